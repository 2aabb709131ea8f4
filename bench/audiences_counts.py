"""Counting segments, filtering by custom fields, freezing and comparing audiences, against SQL written by hand.

The SQL by hand asks the same question of the same tables, with dates and values as literals, the way somebody who
knows the tables and PostgreSQL would; it runs with the same settings of the session.
"""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Any

from sqlalchemy import ColumnElement, func, select, text

from app import create_app
from app import models as models  # every table, before anything is mapped
from app.audiences.compiler import condition, tune_statements
from app.audiences.fields import load_catalogue
from app.audiences.models import Segment, Snapshot
from app.audiences.rules import parse_rule
from app.audiences.service import freeze_segment
from app.audiences.snapshots import client_ids, freeze, overlap_matrix
from app.clients.models import Client, CustomField
from app.config import load_config
from app.core.clock import today
from app.core.extensions import db, settings
from bench.big_book import Book
from bench.figures import Measure
from bench.measuring import best

ROUNDS = 5
SETS = 12


def measures(book: Book) -> Iterator[Measure]:
    yield from _counts(book)
    yield from _custom_fields(book)
    yield from _freezing(book)
    yield from _overlap(book)


# ---- Typical rules ----


@dataclass(frozen=True)
class Question:
    """A rule, and the count of the same clients by hand."""

    name: str
    rule: dict[str, Any]
    by_hand: str


def _is(field: str, op: str, value: Any = None) -> dict[str, Any]:
    return {"field": field, "op": op} | ({} if value is None else {"value": value})


def _all(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"all": list(rules)} | more


def _questions(nested: Segment) -> list[Question]:
    day = today()

    def ago(days: int) -> str:
        return f"DATE '{day - timedelta(days=days)}'"

    sixty = f"DATE '{day.replace(year=day.year - 60)}'" if (day.month, day.day) != (2, 29) else ago(21_915)
    big_trades = {"all": [_is("trade", "is_yes"), _is("amount", "gt", 10_000), _is("on_date", "in_last_days", 90)]}
    trades = f"""
        SELECT client_id FROM transaction
        WHERE kind IN ('buy', 'sell', 'subscribe', 'redeem') AND amount > 10000
            AND on_date BETWEEN {ago(90)} AND {ago(0)}
    """
    return [
        Question(
            "profile",
            _all(_is("city", "in", ["Shanghai", "Hangzhou"]), _is("age", "gte", 60), _is("kind", "is", "person")),
            "SELECT count(*) FROM client WHERE lower(city) IN ('shanghai', 'hangzhou') "
            f"AND birth_date <= {sixty} AND kind = 'person' AND merged_into_id IS NULL",
        ),
        Question(
            "money",
            _is("total_assets", "between", [200_000, 2_000_000]),
            "SELECT count(*) FROM client WHERE total_assets BETWEEN 200000 AND 2000000 AND merged_into_id IS NULL",
        ),
        Question(
            "relative date",
            _all(_is("opened_on", "in_last_days", 90), _is("last_transaction_on", "missing")),
            f"SELECT count(*) FROM client LEFT JOIN client_metrics ON client_metrics.client_id = client.id "
            f"WHERE opened_on BETWEEN {ago(90)} AND {ago(0)} AND last_transaction_on IS NULL "
            "AND merged_into_id IS NULL",
        ),
        Question(
            "birthday",
            _is("birth_date", "anniversary_in_next_days", 7),
            "SELECT count(*) FROM client WHERE 100 * date_part('month', birth_date) + date_part('day', birth_date) "
            f"IN ({', '.join(str(100 * d.month + d.day) for d in (day + timedelta(days=n) for n in range(8)))}) "
            "AND merged_into_id IS NULL",
        ),
        Question(
            "custom field",
            _all(_is("custom.occupation", "in", ["teacher", "doctor"]), _is("custom.annual_income", "gt", 150_000)),
            "SELECT count(*) FROM client WHERE {occupation} IN ('teacher', 'doctor') AND {annual_income} > 150000 "
            "AND merged_into_id IS NULL",
        ),
        Question(
            "metrics",
            _all(_is("assets_change_30", "lt", -30), _is("trades_90", "eq", 0)),
            "SELECT count(*) FROM client JOIN client_metrics ON client_metrics.client_id = client.id "
            "WHERE assets_change_30 < -0.3 AND trades_90 = 0 AND merged_into_id IS NULL",
        ),
        Question(
            "class",
            _all(_is("contribution_turnover", "in", ["A", "C"]), _is("status", "is", "client")),
            "SELECT count(*) FROM client JOIN client_class ON client_class.client_id = client.id "
            "WHERE contribution_turnover IN ('A', 'C') AND status = 'client' AND merged_into_id IS NULL",
        ),
        Question(
            "related rows",
            {"related": "transactions", "where": big_trades, "op": "gte", "value": 2},
            f"SELECT count(*) FROM client JOIN ({trades} GROUP BY client_id HAVING count(*) >= 2) AS trading "
            "ON trading.client_id = client.id WHERE merged_into_id IS NULL",
        ),
        Question(
            "custody without fund",
            _all(_is("account_kinds", "has", "custody"), _is("account_kinds", "has_not", "fund")),
            "SELECT count(*) FROM client WHERE EXISTS (SELECT FROM account WHERE client_id = client.id "
            "AND kind = 'custody' AND closed_on IS NULL) AND NOT EXISTS (SELECT FROM account "
            "WHERE client_id = client.id AND kind = 'fund' AND closed_on IS NULL) AND merged_into_id IS NULL",
        ),
        Question(
            "engagement",
            _all(
                {
                    "related": "engagement",
                    "where": _all(_is("kind", "is", "clicked"), _is("last_at", "in_last_days", 60)),
                    "op": "gte",
                    "value": 1,
                },
                {"not": _is("last_contacted_on", "in_last_days", 30)},
            ),
            "SELECT count(*) FROM client WHERE EXISTS (SELECT FROM engagement WHERE client_id = client.id "
            f"AND kind = 'clicked' AND last_at >= {ago(60)} AND last_at < {ago(-1)}) AND NOT EXISTS "
            "(SELECT FROM engagement WHERE client_id = client.id AND kind = 'contacted' "
            f"AND last_at >= {ago(30)} AND last_at < {ago(-1)}) AND merged_into_id IS NULL",
        ),
        Question(
            "nested segment",
            _all(_is("segment", "in", [nested.id]), {"not": _is("reachable_by_email", "is_yes")}),
            "SELECT count(*) FROM client WHERE (total_assets >= 200000 OR EXISTS (SELECT FROM client_class "
            "WHERE client_id = client.id AND contribution_turnover = 'A')) AND (merged_into_id IS NOT NULL "
            "OR status = 'closed' OR flags && ARRAY['deceased', 'minor', 'frozen', 'vulnerable', 'open_complaint'] "
            "OR email IS NULL OR email = '' OR EXISTS (SELECT FROM suppression WHERE channel = 'email' "
            "AND address = lower(email)) OR email_consent IS NOT TRUE) AND merged_into_id IS NULL",
        ),
        Question(
            "top 10,000",
            _all(_is("risk_level", "in", [4, 5]), take={"count": 10_000, "by": "net_inflow_90", "order": "most"}),
            "SELECT count(*) FROM (SELECT client.id FROM client JOIN client_metrics "
            "ON client_metrics.client_id = client.id WHERE risk_level IN (4, 5) AND merged_into_id IS NULL "
            "AND net_inflow_90 IS NOT NULL ORDER BY net_inflow_90 DESC, client.id DESC LIMIT 10000) AS best",
        ),
    ]


def _counts(book: Book) -> Iterator[Measure]:
    """Each rule from JSON to its number, as the page counts it, against the SQL by hand."""
    nested = _nested_segment()
    slots = _slots()
    ratios = []
    slowest = 0.0
    for question in _questions(nested):
        ours, by_hand = _counted(question.rule), question.by_hand.format(**slots)
        taken, reference = _against(ours, lambda sql=by_hand: db.session.scalar(text(sql)) or 0)
        ratios.append(taken / reference)
        slowest = max(slowest, taken)
        yield Measure(f"count: {question.name}", book.clients, taken, "s", reference, 1.5)
    yield Measure("count: median of the ratios", book.clients, median(ratios), "", bound=1.15, on="value")
    yield Measure("count: worst of the ratios", book.clients, max(ratios), "", bound=1.5, on="value")
    yield Measure("count: slowest", book.clients, slowest, "s", bound=2, on="value")


def _nested_segment() -> Segment:
    return _segment("Of value", {"any": [_is("total_assets", "gte", 200_000), _is("contribution_turnover", "is", "A")]})


def _segment(name: str, rule: dict[str, Any]) -> Segment:
    found = db.session.scalar(select(Segment).where(Segment.name == name))
    if found is None:
        found = Segment(name=name, rule=rule, version=1)
        db.session.add(found)
    found.rule = rule  # a kept book may have it with the rule of an earlier version
    db.session.commit()
    return found


def _slots() -> dict[str, str]:
    return dict(iter(db.session.execute(select(CustomField.key, CustomField.slot)).tuples()))


def _counted(rule: dict[str, Any]) -> Callable[[], int]:
    def count() -> int:
        return db.session.scalar(select(func.count()).select_from(Client).where(_where(rule))) or 0

    return count


def _where(rule: dict[str, Any]) -> ColumnElement[bool]:
    catalogue = load_catalogue()
    return condition(parse_rule(rule, catalogue)) & Client.merged_into_id.is_(None)


def _against(ours: Callable[[], Any], by_hand: Callable[[], Any]) -> list[float]:
    """The best of each, taken by turns in transactions with the same settings; both must say the same."""
    answers: list[set[Any]] = [set(), set()]

    def turn(work: Callable[[], Any], said: set[Any]) -> Callable[[], None]:
        def run() -> None:
            tune_statements()
            said.add(work())
            db.session.rollback()

        return run

    works = turn(ours, answers[0]), turn(by_hand, answers[1])
    for work in works:  # once for the caches
        work()
    times = best(*works, rounds=ROUNDS)
    assert answers[0] == answers[1], answers
    assert len(answers[0]) == 1, answers
    return times


# ---- Custom fields against ordinary columns ----


def _custom_fields(book: Book) -> Iterator[Measure]:
    """A count through the rule on the client table, against the plain filter on a table with columns of these names."""
    since = f"DATE '{today() - timedelta(days=180)}'"
    for key, rule, plain in (
        ("annual_income", _is("custom.annual_income", "gt", 150_000), "annual_income > 150000"),
        ("occupation", _is("custom.occupation", "is", "teacher"), "occupation = 'teacher'"),
        ("last_visit", _is("custom.last_visit", "after", str(today() - timedelta(days=180))), f"last_visit > {since}"),
    ):
        sql = text(f"SELECT count(*) FROM bench.client_ordinary WHERE {plain} AND merged_into_id IS NULL")
        taken, reference = _against(_counted(rule), lambda sql=sql: db.session.scalar(sql) or 0)
        yield Measure(f"filter: {key}", book.clients, taken, "s", reference, 1.2)


# ---- Freezing, and comparing what was frozen ----


def _freezing(book: Book) -> Iterator[Measure]:
    """Half of the book frozen as the page does it, with the counts against each channel and the rule in words, against
    reading the ids into a list."""
    half = _segment("Half of the book", _is("added_on", "before", str(_median_day()))).id
    sql = text(f"SELECT id FROM client WHERE created_at < TIMESTAMPTZ '{_median_day()} 00:00+00'")
    size = _freeze(half)
    db.session.rollback()
    taken, reference = _against(lambda: _freeze(half), lambda: len(db.session.execute(sql).scalars().all()))
    yield Measure("freeze", size, taken, "s", reference, 2)
    yield Measure("freeze: memory of the process", size, _memory_of_freezing(half), "MB", bound=300, on="value")


def _median_day() -> date:
    return db.session.execute(
        text("SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY created_at)::date FROM client")
    ).scalar_one()


def _freeze(segment_id: int) -> int:
    return freeze_segment(segment=db.session.get_one(Segment, segment_id), actor=None).size


def _memory_of_freezing(segment_id: int) -> float:
    """The most that a process of its own had in memory, in MB."""
    config = settings()
    environ = os.environ | {"DATABASE_URL": config.database_url, "BROKER_URL": config.broker_url}
    command = [sys.executable, "-m", "bench.audiences_counts", str(segment_id)]
    return float(subprocess.check_output(command, env=environ))


def _overlap(book: Book) -> Iterator[Measure]:
    """Each pair of twelve frozen audiences of half the book, read from the database and compared."""
    ids = [freeze(name=f"set {seed}", ids=client_ids(_where(_half(book, seed)))).id for seed in range(1, SETS + 1)]
    db.session.flush()

    def compare() -> None:
        db.session.expire_all()
        found = db.session.scalars(select(Snapshot).where(Snapshot.id.in_(ids)))
        matrix = overlap_matrix([snapshot.client_ids for snapshot in found])
        assert len(matrix) == SETS

    (taken,) = best(compare, rounds=ROUNDS)
    db.session.rollback()
    yield Measure("overlap of 12 frozen audiences", book.clients // 2, taken * 1000, "ms", bound=100, on="value")


def _half(book: Book, seed: int) -> dict[str, Any]:
    """Half of the clients at random."""
    return _all(take={"count": book.clients // 2, "random": seed})


if __name__ == "__main__":
    with create_app(load_config(os.environ), web=False).app_context():
        _freeze(int(sys.argv[1]))
        sys.stdout.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
