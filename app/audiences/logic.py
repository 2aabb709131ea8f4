"""Two-valued conditions in three-valued SQL.

SQL knows true, false and NULL; a segment knows only in and out. A `Test` carries two expressions: `holds` is true
for exactly those who are in, `fails` for exactly those who are out; either may be false or NULL for the others. So
"not" only swaps the two, and a plain comparison stays plain where it stands for itself: wrapped in IS TRUE it could
use no index and would be estimated badly.

A test reads `client`, or one table with at most one row a client (metrics, classes). Tests of the same such table
are joined before they are tied to the client, so that each table is read once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, false, literal, not_, or_, select, true

from app.clients.models import Client


@dataclass(frozen=True, slots=True)
class Test:
    """`table` is where the expressions are read, None for the client's own row. `absent` says whether a client who
    has no row there is in."""

    __test__ = False  # not one of pytest's

    holds: ColumnElement[bool]
    fails: ColumnElement[bool]
    table: FromClause | None = None
    absent: bool = False


EVERYBODY = Test(true(), false())


def comparison(expression: ColumnElement[bool], *, table: FromClause | None = None, never_null: bool = False) -> Test:
    """A plain comparison: where it is NULL, it does not hold."""
    fails = not_(expression) if never_null else expression.is_not(True)
    return Test(expression, fails, table)


def presence(column: Any, *, table: FromClause | None = None) -> Test:
    """The value is known."""
    return Test(column.is_not(None), column.is_(None), table)


def exact(expression: ColumnElement[bool]) -> Test:
    """An expression over the client that is never NULL."""
    return Test(expression, not_(expression))


def opposite(test: Test) -> Test:
    return Test(test.fails, test.holds, test.table, not test.absent)


def all_of(tests: Iterable[Test]) -> Test:
    """Every one of them; without any it is everybody."""
    tests = list(tests)
    if not tests:
        return EVERYBODY
    tables = list(dict.fromkeys(test.table for test in tests))
    if len(tables) > 1:
        return all_of(of_client(all_of(test for test in tests if test.table is table)) for table in tables)
    if len(tests) == 1:
        return tests[0]
    return Test(
        holds=and_(*(test.holds for test in tests)),
        fails=or_(*(test.fails for test in tests)),
        table=tables[0],
        absent=all(test.absent for test in tests),
    )


def any_of(tests: Iterable[Test]) -> Test:
    """At least one of them; without any it is nobody."""
    return opposite(all_of(opposite(test) for test in tests))


def of_client(test: Test) -> Test:
    """The same as a test over `client`: a semi-join to the table's row, or an anti-join where no row means in."""
    if test.table is None:
        return test
    if test.absent:
        return opposite(exact(row_exists(test.table, test.fails)))
    return exact(row_exists(test.table, test.holds))


def row_exists(table: FromClause, *where: ColumnElement[bool]) -> ColumnElement[bool]:
    """The client has such a row in a table (or sub-select) with a column `client_id`."""
    rows = select(literal(1)).select_from(table).where(table.c.client_id == Client.id, *where)
    return rows.correlate(Client).exists()
