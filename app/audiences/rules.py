"""The grammar of a segment's rule.

    rule      = group | negation | condition
    group     = {"all": [rule, ...]} | {"any": [rule, ...]}      an empty group is everyone
    negation  = {"not": rule}
    condition = {"field": KEY, "op": OPERATOR, "value": VALUE}   no value where the operator takes none

At most 8 groups deep and 200 conditions. The same as JSON Schema: docs/rule.schema.json.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask_babel import lazy_gettext as _l

from app.audiences.fields import CUSTOM, Catalogue, Field, Operator
from app.core.errors import AppError

MAX_DEPTH = 8
MAX_CONDITIONS = 200
MAX_VALUES = 1_000
MAX_TEXT = 500
MAX_NUMBER = 10**15
MAX_DAYS = 36_500
EVERYONE: dict[str, Any] = {"all": []}

RuleJson = Mapping[str, Any]


class RuleError(AppError):
    """The rule cannot be understood; `path` leads to the place, e.g. "all[1].value" ("" is the whole rule)."""

    status = 422

    def __init__(self, path: str, problem: object) -> None:
        self.path = path
        self.problem = problem
        super().__init__(_l("At %(path)s: %(problem)s", path=path, problem=problem) if path else problem)


@dataclass(frozen=True, slots=True)
class Condition:
    """`value` is None, str, int, float, bool, date or a tuple of them, as the operator takes it."""

    field: Field
    op: Operator
    value: Any


@dataclass(frozen=True, slots=True)
class Group:
    """All (`every`) or at least one of the rules; without rules it is everyone."""

    every: bool
    rules: "tuple[Rule, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    rule: "Rule"


Rule = Condition | Group | Not


def parse_rule(data: object, catalogue: Catalogue) -> Rule:
    """The rule of decoded JSON. Raises RuleError for anything the grammar or the catalogue does not know."""
    return _Parser(catalogue).rule(data, "", 1)


def parse_rule_text(text: str, catalogue: Catalogue) -> Rule:
    """The rule of JSON text. Raises RuleError, also where it is no JSON at all."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise RuleError("", _l("This is not a rule in JSON.")) from None
    return parse_rule(data, catalogue)


def dump_rule(rule: Rule) -> dict[str, Any]:
    """The rule as JSON data, in one spelling."""
    if isinstance(rule, Group):
        return {"all" if rule.every else "any": [dump_rule(one) for one in rule.rules]}
    if isinstance(rule, Not):
        return {"not": dump_rule(rule.rule)}
    made: dict[str, Any] = {"field": rule.field.key, "op": rule.op.key}
    if rule.value is not None:
        made["value"] = _plain(rule.value)
    return made


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, date) else value


class _Parser:
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._conditions = 0

    def rule(self, data: object, path: str, depth: int) -> Rule:
        if not isinstance(data, Mapping):
            raise RuleError(path, _l("Here a group, a “not” or a condition is needed."))
        keys = set(data)
        if keys <= {"field", "op", "value"} and {"field", "op"} <= keys:
            return self._condition(data, path)
        if len(keys) != 1 or not keys <= {"all", "any", "not"}:
            raise RuleError(
                path, _l("A rule is one of “all”, “any”, “not”, or a condition with “field”, “op” and “value”.")
            )
        if depth > MAX_DEPTH:
            raise RuleError(path, _l("Groups may be nested %(depth)s deep at most.", depth=MAX_DEPTH))
        (key,) = keys
        place = f"{path}.{key}" if path else key
        if key == "not":
            return Not(self.rule(data["not"], place, depth + 1))
        members = data[key]
        if not isinstance(members, list):
            raise RuleError(place, _l("Here a list of rules is needed."))
        rules = (self.rule(member, f"{place}[{index}]", depth + 1) for index, member in enumerate(members))
        return Group(every=key == "all", rules=tuple(rules))

    def _condition(self, data: Mapping[str, Any], path: str) -> Condition:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise RuleError(path, _l("A rule may have %(count)s conditions at most.", count=MAX_CONDITIONS))
        at = f"{path}." if path else ""
        key, op = data["field"], data["op"]
        field = self._catalogue.fields.get(key) if isinstance(key, str) else None
        if field is None:
            shown = _shown(key)
            if shown.startswith(f"{CUSTOM}."):
                raise RuleError(f"{at}field", _l("Your firm has no field “%(key)s” (any more).", key=shown))
            raise RuleError(f"{at}field", _l("There is no field “%(key)s”.", key=shown))
        operator = field.operators.get(op) if isinstance(op, str) else None
        if operator is None:
            known = ", ".join(field.operators)
            raise RuleError(
                f"{at}op",
                _l(
                    "“%(field)s” knows no comparison “%(op)s”, only: %(known)s.",
                    field=field.label,
                    op=_shown(op),
                    known=known,
                ),
            )
        return Condition(field, operator, self._value(data.get("value"), field, operator, f"{at}value"))

    def _value(self, value: object, field: Field, operator: Operator, path: str) -> Any:
        kind = operator.value
        if kind == "none":
            if value is not None:
                raise RuleError(path, _l("This comparison takes no value."))
            return None
        if kind in ("choice", "choices"):
            choices = self._catalogue.choices(field)
            one: Callable[[object, str], Any] = lambda item, place: _choice(item, place, field, choices)  # noqa: E731
        else:
            one = _READERS[kind]
        if kind in ("list", "choices"):
            items = _items(value, path)
            return tuple(dict.fromkeys(one(item, f"{path}[{index}]") for index, item in enumerate(items)))
        if kind in ("range", "daterange"):
            return _ends(value, path, one)
        return one(value, path)


def _shown(value: object) -> str:
    return str(value)[:60]


def _items(value: object, path: str) -> Sequence[object]:
    if not isinstance(value, list) or not value:
        raise RuleError(path, _l("Here a list of at least one value is needed."))
    if len(value) > MAX_VALUES:
        raise RuleError(path, _l("A list may have %(count)s values at most.", count=MAX_VALUES))
    return value


def _ends(value: object, path: str, one: Callable[[object, str], Any]) -> tuple[Any, Any]:
    if not isinstance(value, list) or len(value) != 2:
        raise RuleError(path, _l("Here two values are needed, from and to."))
    low, high = (one(item, f"{path}[{index}]") for index, item in enumerate(value))
    if low > high:
        raise RuleError(path, _l("The first value must not be greater than the second."))
    return low, high


def _text(value: object, path: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise RuleError(path, _l("Here a text is needed."))
    if len(value) > MAX_TEXT:
        raise RuleError(path, _l("A text may have %(count)s characters at most.", count=MAX_TEXT))
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise RuleError(path, _l("This text has a character that cannot be stored."))
    return value.strip()


def _number(value: object, path: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # NaN differs from itself
        raise RuleError(path, _l("Here a number is needed."))
    if abs(value) > MAX_NUMBER:
        raise RuleError(path, _l("This number is too large."))
    return value


def _days(value: object, path: str) -> int:
    number = _number(value, path)
    if number != int(number) or not 0 <= number <= MAX_DAYS:
        raise RuleError(path, _l("Here a whole number of days from 0 to %(most)s is needed.", most=MAX_DAYS))
    return int(number)


def _date(value: object, path: str) -> date:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise RuleError(path, _l("Here a date such as 2026-01-31 is needed."))


def _choice(value: object, path: str, field: Field, choices: Mapping[str | int, object]) -> str | int:
    known = isinstance(value, str | int) and not isinstance(value, bool) and value in choices
    if not known:
        shown = _shown(value)
        raise RuleError(path, _l("“%(value)s” is not a choice of “%(field)s”.", value=shown, field=field.label))
    return value  # type: ignore[return-value]  # mypy does not follow `known`


_READERS: dict[str, Callable[[object, str], Any]] = {
    "text": _text,
    "list": _text,
    "number": _number,
    "range": _number,
    "date": _date,
    "daterange": _date,
    "days": _days,
}
