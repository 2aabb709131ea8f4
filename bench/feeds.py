"""Loading transactions through a feed: staged, checked, joined to their accounts and stored by month."""

import csv
from datetime import date, timedelta
from pathlib import Path
from random import Random

import psycopg
from sqlalchemy import text

from app.clients.feeds import service
from app.clients.feeds import tasks as tasks  # registers the job
from app.clients.feeds.models import FeedRun
from app.core.extensions import db, settings
from app.core.jobs import run_job
from app.core.unit_of_work import unit_of_work
from app.users.queries import head_office
from bench.measuring import best, report_rate, seconds

COLUMNS = ("external_id", "account", "on_date", "kind", "amount", "fee", "order_channel")
KINDS = ("buy", "sell", "subscribe", "redeem", "deposit", "withdrawal", "fee")
CHANNELS = ("app", "counter", "telephone", "")
FIRST_DAY = date(2025, 1, 1)


def write_file(path: Path, size: int, accounts: int) -> None:
    chance = Random(1)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(size):
            day = FIRST_DAY + timedelta(days=number * 365 // size)
            amount, fee = chance.randrange(1, 10_000_000), chance.randrange(500)
            writer.writerow(
                (
                    f"T{number:09}",
                    f"F{chance.randrange(accounts):07}",
                    day.isoformat(),
                    chance.choice(KINDS),
                    f"{amount // 100}.{amount % 100:02}",
                    f"{fee // 100}.{fee % 100:02}",
                    chance.choice(CHANNELS),
                )
            )


def measure_feeds(folder: Path, size: int) -> None:
    """A feed's first load and the same file once more, against COPY of the file into a table of text."""
    accounts = max(1, size // 10)
    path = folder / "transactions.csv"
    write_file(path, size, accounts)
    _add_accounts(accounts)
    with unit_of_work():
        feed = service.create_feed(name="bench", kind="transactions", source="bench", actor=None)
        service.define_feed(feed=feed, definition={"columns": {name: {"column": name} for name in COLUMNS}}, actor=None)
    first = seconds(lambda: _load(feed.id, path, (size, 0)))
    again = seconds(lambda: _load(feed.id, path, (0, size)))
    (reference,) = best(lambda: _copy(path))
    report_rate("load transactions", size=size, unit="rows/s", taken=first, reference_taken=reference, bound=0.02)
    report_rate("load them again", size=size, unit="rows/s", taken=again, reference_taken=reference, bound=0.04)


def _add_accounts(count: int) -> None:
    with db.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO client (number, branch_id) "
                "SELECT 'F' || g, :branch FROM generate_series(1, CAST(:count AS int)) g"
            ),
            {"count": count, "branch": head_office().id},
        )
        connection.execute(
            text(
                "INSERT INTO account (number, client_id, kind) "
                "SELECT 'F' || lpad((row_number() OVER () - 1)::text, 7, '0'), id, 'cash' "
                "FROM client WHERE number LIKE 'F%'"
            )
        )
        connection.execute(text("ANALYZE client, account"))
    db.session.rollback()


def _load(feed_id: int, path: Path, expected: tuple[int, int]) -> None:
    with unit_of_work() as session, path.open("rb") as stream:
        feed = session.get_one(service.Feed, feed_id)
        run = service.receive_file(feed=feed, stream=stream, name=path.name, actor=None, again=True, in_worker=False)
    assert run.job_id is not None
    run_id = run.id
    run_job(run.job_id)
    db.session.rollback()
    done = db.session.get_one(FeedRun, run_id)
    assert (done.created, done.unchanged) == expected, done.error
    db.session.rollback()


def _copy(path: Path) -> None:
    address = settings().database_url.replace("+psycopg", "", 1)
    with psycopg.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE plain ({', '.join(f'{name} text' for name in COLUMNS)})")
        with cursor.copy("COPY plain FROM STDIN (FORMAT csv, HEADER)") as copy, path.open("rb") as stream:
            while data := stream.read(1 << 16):
                copy.write(data)
        connection.commit()
        cursor.execute("DROP TABLE plain")
