"""A segment's rule line by line, each with whether it holds for one client now."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, func, select

from app.audiences.compiler import condition, tune_statements
from app.audiences.fields import Catalogue
from app.audiences.rules import Condition, Group, Not, Rule, RuleError, parse_rule
from app.audiences.sentence import sentence
from app.clients.models import Client
from app.core.extensions import db

AT_ONCE = 400  # expressions in one statement; PostgreSQL takes 1,600 columns


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One line of a rule. `depth` from 0; `joins` says that what follows it, one deeper, is a part of it."""

    depth: int
    words: str
    holds: bool
    joins: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """A whole rule for one client: None where it is no longer understood, and then `lines` is empty."""

    holds: bool | None
    lines: list[RuleLine]


def judge(rule: Mapping[str, Any], *, client_id: int, catalogue: Catalogue, scope: ColumnElement[bool]) -> Judged:
    """The rule with each of its conditions looked at for the client as they are today.

    `scope`: among whom a rule chooses that takes only some of its clients.
    """
    try:
        parsed = parse_rule(rule, catalogue)
    except RuleError:
        return Judged(None, [])
    nodes = list(_nodes(parsed, 0, catalogue))
    whole, *parts = _hold([parsed, *(node for _depth, _words, node, _joins in nodes)], client_id, catalogue, scope)
    lines = [
        RuleLine(depth, words, holds, joins) for (depth, words, _node, joins), holds in zip(nodes, parts, strict=True)
    ]
    return Judged(whole, lines)


def _hold(rules: list[Rule], client_id: int, catalogue: Catalogue, scope: ColumnElement[bool]) -> list[bool]:
    tune_statements()
    found: list[bool] = []
    for start in range(0, len(rules), AT_ONCE):
        tests = (condition(rule, catalogue=catalogue, scope=scope) for rule in rules[start : start + AT_ONCE])
        columns = [func.coalesce(test, False).label(f"test_{place}") for place, test in enumerate(tests)]
        row = db.session.execute(select(*columns).where(Client.id == client_id)).one()
        found += map(bool, row)
    return found


def _nodes(rule: Rule, depth: int, catalogue: Catalogue) -> Iterator[tuple[int, str, Rule, bool]]:
    """(depth, words, rule, whether its parts follow) of a rule and all below it, as it is read."""
    if isinstance(rule, Group) and rule.rules:
        if len(rule.rules) == 1 and not rule.take:
            yield from _nodes(rule.rules[0], depth, catalogue)
            return
        words = _("All of these") if rule.every else _("At least one of these")
        yield depth, sentence(rule, catalogue) if rule.take else words, rule, True
        for part in rule.rules:
            yield from _nodes(part, depth + 1, catalogue)
    elif isinstance(rule, Not) and not isinstance(rule.rule, Condition):
        yield depth, _("Not this"), rule, True
        yield from _nodes(rule.rule, depth + 1, catalogue)
    else:
        members = rule.members if isinstance(rule, Condition) else ()
        yield depth, sentence(rule, catalogue), rule, bool(members)
        for member in members:
            yield from _nodes(member, depth + 1, catalogue)
