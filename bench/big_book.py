"""A large client book, made in SQL: the same for the same sizes and day, every time.

Nothing is drawn by `random()`: each value is a hash of its row's number, so that rows of different tables agree
without joins. Tables are filled without their indexes and foreign keys, which are as in service afterwards; months
of transactions and balances are filled two at a time. A book of 1,000,000 clients:

    clients       1,000,000  (8 % leads and prospects without an account)
    accounts      1,600,000
    transactions 10,000,000  over the 730 days to yesterday; one account in a hundred has a fifth of them
    balances     11,300,000  the last 6 month ends of every account that has one, and 35 days of one in twenty
    positions     1,250,000
    engagement    2,000,000  of 20 campaigns
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path

from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import text

from app import create_app
from app.clients.metrics.service import refresh_metrics
from app.config import load_config
from app.core import clock
from app.core.embedded import embedded_servers
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from bench.big_book_sql import FILLING, FUNCTIONS, STAFF, balances, sizes, transactions

SOURCE_DAYS = 730
DAILY_DAYS = 35
MONTH_ENDS = 6
FINISHED = "finished"
HEAD_OFFICE_USER_ID, BRANCH_MANAGER_ID, ADVISER_ID = 98, 99, 100


@dataclass(frozen=True)
class Book:
    """A generated client book and the app over it, inside an application context.

    The people to ask as: one of head office who sees all, a manager of a branch, an adviser.
    `bench.client_ordinary` is a copy of the client table with the custom fields `annual_income`, `occupation` and
    `last_visit` as ordinary columns of those names behind the built-in ones.
    """

    app: Flask
    folder: Path
    clients: int
    transactions: int
    head_office_user_id: int = HEAD_OFFICE_USER_ID
    branch_manager_id: int = BRANCH_MANAGER_ID
    adviser_id: int = ADVISER_ID


@contextmanager
def big_book(clients: int = 1_000_000, transactions: int = 10_000_000) -> Iterator[Book]:
    """A book in a PostgreSQL of its own (durable, as in service), removed afterwards.

    With BENCH_KEEP=folder it is kept there, a folder a size, and used again by the next run. Remove the folder after
    a change of the generator, and from time to time: its dates end on the day before it was made.
    """
    with ExitStack() as stack:
        if kept := os.environ.get("BENCH_KEEP"):
            folder = Path(kept).resolve() / f"{clients}-{transactions}"
            folder.mkdir(parents=True, exist_ok=True)
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bellwether-bench-")))
        folder.chmod(0o755)
        environ = {"VAR_DIR": str(folder), "LOG_LEVEL": "ERROR"}
        stack.enter_context(embedded_servers(folder, environ))
        app = create_app(load_config(environ))
        stack.enter_context(app.app_context())
        upgrade()
        if not (folder / FINISHED).exists():
            _generate(clients, transactions)
            (folder / FINISHED).touch()
        try:
            yield Book(app, folder, clients, transactions)
        finally:
            db.session.remove()
            db.engine.dispose()


def _generate(clients: int, rows: int) -> None:
    today = clock.today()
    ends = _month_ends(today)
    with _told("staff, fields and accounts"):
        run_statements("DROP SCHEMA IF EXISTS bench CASCADE", *sizes(_sizes(clients, ends[-1], today)), *FUNCTIONS)
        run_statements(*STAFF)
        _fill("account")
    with _told("transactions and balances"):
        _two_at_a_time([*_balance_months(ends, today), *_transaction_months(rows, today)])
    with _told("clients"):
        _fill("client")
    with _told("positions, consents, engagement"):
        tables = ("engagement", "position", "consent", "suppression", "ordinary")
        _two_at_a_time([partial(_fill, table) for table in tables])
    with _told("vacuum and analyze"):
        run_statements("VACUUM (ANALYZE)")
    with _told("metrics"), unit_of_work():
        refresh_metrics()
    run_statements("VACUUM (ANALYZE) client", "CHECKPOINT")


def _sizes(clients: int, last_month_end: date, today: date) -> dict[str, int | date]:
    """What the statements ask for by name. Ids are scrambled by a factor that has an inverse."""
    accounts = clients * 8 // 5
    return {
        "today": today,
        "last_month_end": last_month_end,
        "clients": clients,
        "client_factor": _factor(clients),
        "client_inverse": pow(_factor(clients), -1, clients),
        "accounts": accounts,
        "account_factor": _factor(accounts),
        "account_inverse": pow(_factor(accounts), -1, accounts),
        "advisers_an_outlet": max(1, clients // 33_000),
    }


def _factor(size: int) -> int:
    return next(prime for prime in (7_919, 7_907, 7_901) if size % prime)


def _fill(table: str) -> None:
    if table == "ordinary":
        run_statements(*FILLING[table])
    else:
        with without_indexes(table):
            run_statements(*FILLING[table])


def _month_ends(today: date) -> list[date]:
    """The last days of the months before this one, oldest first."""
    ends = [today.replace(day=1) - timedelta(days=1)]
    while len(ends) < MONTH_ENDS:
        ends.insert(0, ends[0].replace(day=1) - timedelta(days=1))
    return ends


def _transaction_months(rows: int, today: date) -> Iterator[Callable[[], None]]:
    """What fills each month; a month has its share of the rows by its days."""
    first = today - timedelta(days=SOURCE_DAYS)
    done = 0
    while first < today:
        next_month = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
        end = min(next_month, today)
        upto = rows * (SOURCE_DAYS - (today - end).days) // SOURCE_DAYS
        statement = transactions(first=first, days=(end - first).days, start=done, rows=upto - done)
        yield _month_filler("transaction", first, statement)
        first, done = next_month, upto


def _balance_months(ends: Sequence[date], today: date) -> Iterator[Callable[[], None]]:
    """What fills each month: its end for every account, and the last days for those with daily balances."""
    days = dict.fromkeys((today - timedelta(days=back) for back in range(1, DAILY_DAYS + 1)), True)
    days |= dict.fromkeys(ends, False)
    for month in sorted({day.replace(day=1) for day in days}):
        chosen = {day: daily for day, daily in sorted(days.items()) if day.replace(day=1) == month}
        yield _month_filler("balance", month, balances(chosen))


def _month_filler(table: str, month: date, statement: str) -> Callable[[], None]:
    """Fills a partition first, then gives it its indexes and attaches it."""
    name = f"{table}_{month:%Y%m}"
    first = month.replace(day=1)
    next_month = (first + timedelta(days=32)).replace(day=1)

    def fill() -> None:
        run_statements(
            f'CREATE TABLE {name} (LIKE "{table}" INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
            statement.replace("INTO PARTITION", f"INTO {name}"),
            *_indexes_of(table, name),
        )
        run_statements(
            f"ALTER TABLE \"{table}\" ATTACH PARTITION {name} FOR VALUES FROM ('{first}') TO ('{next_month}')"
        )

    return fill


def _indexes_of(table: str, partition: str) -> list[str]:
    """The statements that give a table the indexes of the one it will be attached to."""
    with db.engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT indisprimary, pg_get_indexdef(indexrelid) FROM pg_index "
                "WHERE indrelid = CAST(:name AS regclass)"
            ),
            {"name": f'"{table}"'},
        ).all()
    statements = []
    for primary, definition in rows:
        columns = definition[definition.index("USING btree ") + len("USING btree ") :]
        statements.append(
            f"ALTER TABLE {partition} ADD PRIMARY KEY {columns}"
            if primary
            else f"CREATE INDEX ON {partition} USING btree {columns}"
        )
    return statements


@contextmanager
def without_indexes(table: str) -> Iterator[None]:
    """Drop a table's indexes but those of constraints, and make them again, two at a time."""
    with db.engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index "
                "WHERE indrelid = CAST(:name AS regclass) "
                "AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)"
            ),
            {"name": f'"{table}"'},
        ).all()
    run_statements(*(f"DROP INDEX {name}" for name, _definition in rows))
    yield
    _two_at_a_time([partial(run_statements, definition) for _name, definition in rows])


def _two_at_a_time(works: Sequence[Callable[[], None]]) -> None:
    """In the order given, each in the app's context."""
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(copy_context().run, work) for work in works]:
            done.result()


def run_statements(*statements: str) -> None:
    """Run statements one by one, without triggers and so without foreign keys: what is written fits by design."""
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT", no_parameters=True) as connection:
        connection.exec_driver_sql("SET session_replication_role = replica")
        connection.exec_driver_sql("SET maintenance_work_mem = '512MB'")
        connection.exec_driver_sql("SET work_mem = '256MB'")
        try:
            for statement in statements:
                connection.exec_driver_sql(statement)
        finally:
            connection.exec_driver_sql("RESET ALL")


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Say on standard error how long a part took."""
    start = time.perf_counter()
    yield
    sys.stderr.write(f"book: {what} {time.perf_counter() - start:.1f} s\n")
