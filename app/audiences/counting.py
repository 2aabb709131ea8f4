"""Tests that count rows a client has elsewhere: transactions, accounts, positions, what was sent and opened."""

from typing import Any

from sqlalchemy import ColumnElement, FromClause, func, select, true

from app.audiences.comparing import compare_number, number_holds
from app.audiences.logic import Test, exact, opposite, row_exists

# Comparisons of a count that ask for any row at all, and so need no count.
_ANY = {("gte", 1), ("gt", 0), ("ne", 0)}
_OPPOSITE = {"eq": "ne", "lte": "gt", "lt": "gte"}


def rows_counted(
    table: FromClause,
    op: str,
    value: Any,
    *,
    where: ColumnElement[bool] | None = None,
    of: ColumnElement[Any] | None = None,
) -> Test:
    """The number of the client's rows in `table`, or the sum of `of` over them (0 without any), compares so.

    Who has no such row is in no group of the sub-select, which therefore asks for clients with rows that are enough,
    or, where none is enough too, for those whose rows are not: a semi-join or an anti-join.
    """
    where = true() if where is None else where
    if number_holds(op, 0, value):
        return opposite(exact(_with_rows(table, where, of, op, value, enough=False)))
    return exact(_with_rows(table, where, of, op, value, enough=True))


def _with_rows(
    table: FromClause, where: ColumnElement[bool], of: ColumnElement[Any] | None, op: str, value: Any, *, enough: bool
) -> ColumnElement[bool]:
    wanted = op if enough else _OPPOSITE.get(op, op)
    if of is None and (wanted, value) in _ANY:
        return row_exists(table, where)
    number = func.count() if of is None else func.coalesce(func.sum(of), 0, type_=of.type)
    compared = compare_number(number, "eq" if op == "ne" else op, value)
    having = compared if enough != (op == "ne") else ~compared
    rows = select(table.c.client_id).where(where).group_by(table.c.client_id).having(having)
    return row_exists(rows.correlate(None).subquery())
