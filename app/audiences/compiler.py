"""Rule > SQL: a condition over `client` with bound parameters only, as fast as one written by hand.

A segment knows only in and out, so `not` is the exact complement over all clients:

- a missing value never matches a positive condition (is, contains, more than, before, is yes, is no, ...);
- the negative comparisons (is not, does not contain, is none of, ne, do not include) are the exact complement of
  their positive ones, so they do match where the value is missing.

How three-valued SQL is kept out of the way is told in `logic.py`. Rows elsewhere become semi-joins and anti-joins.

"In the last n days" runs from today - n to today, both included, so "longer ago than n days" is the rest of the
past; "in the next n days" runs from today to today + n.
"""

from datetime import date
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, cast, func, literal, select, text

from app.audiences import comparing
from app.audiences.counting import rows_counted
from app.audiences.field import Field
from app.audiences.fields import Catalogue, load_catalogue
from app.audiences.logic import Test, all_of, any_of, comparison, exact, of_client, opposite, presence
from app.audiences.operators import NEGATIVE
from app.audiences.rules import Condition, Not, Related, Rule, RuleJson, Sample, Top, parse_rule
from app.clients.models import Client
from app.clients.queries import visible_clients
from app.core import clock
from app.core.extensions import db

_GREATEST = 2**63 - 1


def condition(
    rule: RuleJson | Rule,
    *,
    today: date | None = None,
    catalogue: Catalogue | None = None,
    scope: ColumnElement[bool] | None = None,
) -> ColumnElement[bool]:
    """True for the clients of the rule, false or NULL for all others: for WHERE, FILTER or CASE WHEN of a query over
    `Client`, but not to be negated there; use {"not": rule}.

    Relative dates count from `today` (the firm's). A "take" chooses among the clients for whom `scope` holds (all in
    the book); the condition itself says nothing of it. Raises RuleError where a rule given as JSON data is not one.
    """
    parsed = rule if isinstance(rule, Rule) else parse_rule(rule, catalogue or load_catalogue())
    scope = visible_clients(None) if scope is None else scope
    return of_client(_Compiler(today or clock.today(), scope).test(parsed)).holds


def tune_statements(connection: Connection | None = None) -> None:
    """Settings for the statements of audiences until the transaction (the session's, unless told) ends.

    Sets of client ids are hashed in memory: 64 MB sort a million of them, and eight times that may be hashed before
    PostgreSQL falls back to looking them up one by one. Compiling to machine code takes longer than it saves.
    """
    (connection or db.session).execute(
        text(
            "SELECT set_config('work_mem', '64MB', true), set_config('hash_mem_multiplier', '8', true), "
            "set_config('jit', 'off', true)"
        )
    )


class _Compiler:
    def __init__(self, today: date, scope: ColumnElement[bool]) -> None:
        self._today = today
        self._scope = scope

    def test(self, rule: Rule) -> Test:
        if isinstance(rule, Not):
            return opposite(self.test(rule.rule))
        if isinstance(rule, Related):
            where = self.test(rule.where).holds
            return rows_counted(
                rule.kind.table, rule.op.key, rule.value, where=where, of=rule.of.column if rule.of else None
            )
        if isinstance(rule, Condition):
            return self._condition(rule)
        # Without any rule a group is everyone, also an "any".
        join = all_of if rule.every or not rule.rules else any_of
        members = join(map(self.test, rule.rules))
        return self._taken(members, rule.take) if rule.take else members

    def _condition(self, rule: Condition) -> Test:
        if rule.members:
            found = any_of(map(self.test, rule.members))
            return opposite(found) if rule.op.key in NEGATIVE else found
        op = rule.op.key
        if op in NEGATIVE:
            return opposite(self._positive(rule.field, NEGATIVE[op], rule.value))
        return self._positive(rule.field, op, rule.value)

    def _positive(self, field: Field, op: str, value: object) -> Test:
        if field.compare is not None:
            return field.compare(op, value, self._today)
        if op == "known" and field.type != "tags":
            return presence(field.column, table=field.table)
        expression = self._compare(field, op, field.stored(value))
        return comparison(expression, table=field.table, never_null=field.never_empty)

    def _compare(self, field: Field, op: str, value: Any) -> ColumnElement[bool]:
        column = field.column
        match field.type:
            case "date":
                return comparing.compare_date(column, op, value, self._today)
            case "number" | "money":
                return comparing.compare_number(column, op, value)
            case "tags":
                return comparing.compare_tags(column, op, value)
            case "text" if not field.code:
                return comparing.compare_text(column, op, value)
            case "yesno":
                yes: ColumnElement[bool] = column.is_(op == "is_yes")
                return yes
        return comparing.compare_exactly(column, op, value)

    # ---- Some of those a group matches ----

    def _taken(self, test: Test, take: Top | Sample) -> Test:
        if isinstance(take, Sample):
            place = func.hashint8extended(Client.id, literal(take.seed, BigInteger))
            if take.percent is not None:
                limit = min(int(take.percent / 100 * 2**63), _GREATEST)
                chosen = exact(
                    cast(place, BigInteger).op("&")(literal(_GREATEST, BigInteger)) <= literal(limit, BigInteger)
                )
                return all_of([of_client(test), chosen])
            return self._first(test, take.count or 0, [place, Client.id])
        column = take.by.column
        order = [column.desc(), Client.id.desc()] if take.most else [column, Client.id]
        return self._first(all_of([test, presence(column, table=take.by.table)]), take.count, order, take.by)

    def _first(self, test: Test, count: int, order: list[Any], by: Field | None = None) -> Test:
        """The first clients in scope by an order, as a set of ids."""
        clients = select(Client.id)
        if by is not None and by.table is not None:
            clients = clients.join(by.table, by.table.c.client_id == Client.id)
        chosen = clients.where(of_client(test).holds, self._scope).order_by(*order).limit(count).correlate(None)
        return exact(Client.id.in_(chosen))
