"""This and last week, month, quarter and year, of dates and of moments, in the firm's time zone."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from flask_babel import force_locale
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select

from app.audiences.comparing import period_days
from app.audiences.compiler import condition
from app.audiences.fields import load_catalogue
from app.audiences.operators import PERIODS
from app.audiences.rules import RuleError, parse_rule
from app.audiences.sentence import sentence
from app.clients.engagement.models import Engagement
from app.clients.models import Client
from app.core.extensions import db
from tests.audiences.plain_reading import in_period
from tests.factories.clients import head_office, make_account, make_client, make_clients

SHANGHAI = ZoneInfo("Asia/Shanghai")
EDGES = tuple(
    date(year, month, day) + timedelta(days=shift)
    for year in (2024, 2025, 2027)
    for month, day in ((1, 1), (3, 1), (4, 1), (7, 1), (10, 1), (12, 29))
    for shift in (-1, 0)
)
edges = st.sampled_from(EDGES)
days = st.one_of(edges, st.dates(date(2023, 6, 1), date(2028, 6, 1)))
# Late and early hours are another day, and at times another quarter or year, in UTC.
moments = st.builds(
    lambda day, at: datetime.combine(day, at, SHANGHAI),
    days,
    st.sampled_from((time(0), time(0, 30), time(7, 59), time(8), time(23, 59, 59))),
)
ROWS = st.lists(st.tuples(st.none() | days, moments, moments), min_size=1, max_size=5)


def asks(field: str, period: str) -> dict[str, Any]:
    return {"field": field, "op": "in_period", "value": period}


@pytest.fixture
def shanghai(app: Flask) -> Iterator[None]:
    config = app.extensions["bellwether_config"]
    app.extensions["bellwether_config"] = replace(config, time_zone="Asia/Shanghai")
    yield
    app.extensions["bellwether_config"] = config


def found(rule: dict[str, Any], today: date) -> set[int]:
    return set(db.session.scalars(select(Client.id).where(condition(rule, today=today))))


@pytest.mark.usefixtures("shanghai")
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=ROWS, period=st.sampled_from(list(PERIODS)), today=days)
def test_the_database_agrees_with_the_calendar(rows: list[Any], period: str, today: date) -> None:
    for model in (Engagement, Client):
        db.session.execute(delete(model))
    branch_id = head_office().id
    for key, (opened, added, clicked) in enumerate(rows, 1):
        values = {"number": str(key), "branch_id": branch_id, "opened_on": opened, "created_at": added}
        db.session.execute(insert(Client).values(id=key, **values))
        seen = {"kind": "clicked", "campaign_id": 1, "channel": "email", "first_at": clicked, "last_at": clicked}
        db.session.execute(insert(Engagement).values(client_id=key, **seen))
    facts = {key: (opened, added.date(), clicked.date()) for key, (opened, added, clicked) in enumerate(rows, 1)}

    def those(place: int) -> set[int]:
        return {key for key, have in facts.items() if have[place] and in_period(have[place], period, today)}

    assert found(asks("opened_on", period), today) == those(0)
    assert found({"not": asks("opened_on", period)}, today) == set(facts) - those(0)
    assert found(asks("added_on", period), today) == those(1)
    assert found({"related": "engagement", "op": "gte", "value": 1, "where": asks("last_at", period)}, today) == those(
        2
    )
    past = {key for key in those(2) if facts[key][2] <= today}
    assert found(asks("last_clicked_on", period), today) == past
    db.session.rollback()


@pytest.mark.parametrize(
    ("today", "period", "first", "last"),
    [
        (date(2026, 1, 1), "this_week", date(2025, 12, 29), date(2026, 1, 4)),
        (date(2026, 1, 4), "last_week", date(2025, 12, 22), date(2025, 12, 28)),
        (date(2028, 2, 29), "this_month", date(2028, 2, 1), date(2028, 2, 29)),
        (date(2026, 3, 31), "last_month", date(2026, 2, 1), date(2026, 2, 28)),
        (date(2026, 3, 31), "this_quarter", date(2026, 1, 1), date(2026, 3, 31)),
        (date(2026, 4, 1), "last_quarter", date(2026, 1, 1), date(2026, 3, 31)),
        (date(2026, 2, 1), "last_quarter", date(2025, 10, 1), date(2025, 12, 31)),
        (date(2028, 12, 31), "this_year", date(2028, 1, 1), date(2028, 12, 31)),
        (date(2029, 1, 1), "last_year", date(2028, 1, 1), date(2028, 12, 31)),
    ],
)
def test_a_period_is_from_its_first_to_its_last_day(today: date, period: str, first: date, last: date) -> None:
    assert period_days(period, today) == (first, last)


def test_custody_account_opened_this_quarter_and_no_fund(app: Flask) -> None:
    today = date(2026, 5, 20)
    rule = {
        "all": [
            {
                "related": "accounts",
                "op": "gte",
                "value": 1,
                "where": {
                    "all": [{"field": "kind", "op": "is", "value": "custody"}, asks("opened_on", "this_quarter")]
                },
            },
            {"field": "account_kinds", "op": "has_not", "value": "fund"},
        ]
    }
    opened = (date(2026, 4, 1), date(2026, 3, 31), date(2026, 6, 30), date(2026, 5, 1))
    clients = [make_client() for _day in opened]
    for client, day in zip(clients, opened, strict=True):
        make_account(client, kind="custody", opened_on=day)
    make_account(clients[3], kind="fund", number="F1")
    assert found(rule, today) == {clients[0].id, clients[2].id}
    catalogue = load_catalogue()
    parsed = parse_rule(rule, catalogue)
    assert sentence(parsed, catalogue) == (
        "at least 1 accounts where (Kind is custody and Opening date falls in this quarter) "
        "and Open accounts do not include fund"
    )
    with force_locale("zh_Hans_CN"):
        catalogue = load_catalogue()
        assert "开户日期在本季度内" in sentence(parse_rule(rule, catalogue), catalogue)


@pytest.mark.usefixtures("shanghai")
def test_days_of_moments_are_those_of_the_firm(app: Flask) -> None:
    late = datetime(2026, 3, 31, 16, 30, tzinfo=UTC)  # half past midnight in Shanghai
    (one,) = make_clients(1, created_at=late)
    today = date(2026, 4, 1)
    assert found(asks("added_on", "this_quarter"), today) == {one}
    assert found({"field": "added_on", "op": "on", "value": "2026-04-01"}, today) == {one}
    assert found({"field": "added_on", "op": "anniversary_in_next_days", "value": 0}, today) == {one}
    assert found({"field": "added_on", "op": "in_last_days", "value": 0}, today) == {one}
    for edge in ("0001-01-01", "9999-12-31"):
        for op in ("on", "before", "after"):
            found({"field": "added_on", "op": op, "value": edge}, today)


@pytest.mark.parametrize("value", ["next_week", "this", "", 1, None, ["this_week"], "THIS_WEEK"])
def test_another_period_is_refused(app: Flask, value: Any) -> None:
    with pytest.raises(RuleError) as refusal:
        parse_rule(asks("opened_on", value), load_catalogue())
    assert refusal.value.path == "value"
    assert "this_week" in str(refusal.value)


def test_the_builder_is_given_the_periods(app: Flask) -> None:
    (operator,) = [
        one
        for field in load_catalogue().for_builder()["fields"]
        if field["key"] == "opened_on"
        for one in field["operators"]
        if one["key"] == "in_period"
    ]
    assert [choice["value"] for choice in operator["choices"]] == list(PERIODS)
    assert operator["choices"][4]["label"] == "this quarter"
