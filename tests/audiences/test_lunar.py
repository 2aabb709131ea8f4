"""The lunar calendar: published dates, and every month against the library's own reading."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import pytest
from cnlunar import Lunar
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st

from app.audiences.lunar import CYCLE, born_for, lunar_day
from tests.audiences.test_compiler import matching
from tests.factories.clients import make_account, make_client

FIRST, LAST = date(1901, 2, 19), date(2100, 2, 8)  # of the calendar
NEW_YEAR_2026 = date(2026, 2, 17)


@pytest.mark.parametrize(
    ("day", "month", "number", "leap"),
    [  # Hong Kong Observatory, Gregorian-Lunar Calendar Conversion Table
        (date(2026, 2, 17), 1, 1, False),  # New Year
        (date(2026, 6, 19), 5, 5, False),  # Dragon Boat Festival
        (date(2026, 9, 25), 8, 15, False),  # Mid-Autumn Festival
        (date(2025, 1, 29), 1, 1, False),
        (date(2025, 10, 6), 8, 15, False),
        (date(1985, 2, 20), 1, 1, False),
        (date(2020, 5, 23), 4, 1, True),
        (date(2023, 3, 22), 2, 1, True),
        (date(2025, 7, 25), 6, 1, True),
        (date(2033, 12, 22), 11, 1, True),  # where many tables were wrong
        (FIRST, 1, 1, False),
        (LAST, 12, 30, False),
    ],
)
def test_published_dates(day: date, month: int, number: int, leap: bool) -> None:
    found = lunar_day(day)
    assert found is not None
    assert (found[0].number, found[1], found[0].leap) == (month, number, leap)


def test_outside_of_the_calendar_there_is_no_lunar_day() -> None:
    assert lunar_day(FIRST - timedelta(days=1)) is lunar_day(LAST + timedelta(days=1)) is None
    assert born_for(date(1890, 1, 1), 7) == born_for(date(2150, 1, 1), 7) == []


@settings(deadline=None)
@given(day=st.dates(FIRST, date(2099, 12, 31)))
def test_a_day_is_what_the_library_says_it_is(day: date) -> None:
    known, found = Lunar(datetime.combine(day, time(12))), lunar_day(day)
    assert found is not None
    month, number = found
    assert (month.number, number, month.leap) == (known.lunarMonth, known.lunarDay, bool(known.isLunarLeapMonth))


@settings(deadline=None)
@given(today=st.dates(date(1950, 1, 1), date(2090, 12, 31)))
def test_everybody_celebrates_within_a_cycle(today: date) -> None:
    born = sorted(born_for(today, CYCLE))
    assert (born[0], born[-1]) == (FIRST, today)
    assert all(after - before == timedelta(days=1) for before, after in pairwise(born))
    assert sorted(born_for(today, 36_500)) == born


@pytest.mark.parametrize(
    ("born", "day"),
    [
        (date(1985, 2, 20), NEW_YEAR_2026),
        (date(1984, 2, 1), date(2026, 2, 16)),  # a 30th of the 12th month, which has 29 days this time
        (date(1984, 2, 1), date(2023, 1, 21)),  # and 30 that time
        (date(2001, 5, 23), date(2026, 5, 17)),  # the leap 4th month
        (date(2024, 7, 6), date(2025, 6, 25)),  # the 6th month, before its leap month
    ],
)
def test_a_lunar_birthday_is_found_on_its_day_only(app: Flask, born: date, day: date) -> None:
    make_client(birth_date=born)
    make_client()
    rule = {"field": "birth_date", "op": "lunar_anniversary_in_next_days", "value": 0}
    around = [day + timedelta(days=offset) for offset in range(-35, 36)]
    assert [one for one in around if matching(rule, today=one)] == [day]
    assert matching(rule, today=day) == ["1"]
    assert matching({"not": rule}, today=day) == ["2"]


def test_the_coming_days_reach_over_the_new_year(app: Flask) -> None:
    for born in (date(1985, 2, 20), date(1985, 2, 26), date(1985, 2, 27)):  # 1-1, 1-7 and 1-8
        make_client(birth_date=born)
    rule = {"field": "birth_date", "op": "lunar_anniversary_in_next_days", "value": 7}
    assert matching(rule, today=NEW_YEAR_2026 - timedelta(days=1)) == ["1", "2"]
    assert matching(rule, today=NEW_YEAR_2026) == ["1", "2", "3"]


def test_a_moment_counts_by_its_day(app: Flask) -> None:
    make_client(created_at=datetime(1985, 2, 20, 23, 59, tzinfo=UTC))
    make_client(created_at=datetime(1985, 2, 21, 0, 0, tzinfo=UTC))
    rule = {"field": "added_on", "op": "lunar_anniversary_in_next_days", "value": 0}
    assert matching(rule, today=NEW_YEAR_2026) == ["1"]


def test_it_is_asked_of_metrics_and_of_rows_elsewhere(app: Flask) -> None:
    make_account(make_client(), opened_on=date(1985, 2, 20))
    make_account(make_client(), opened_on=date(1985, 2, 21))
    opened = {"field": "opened_on", "op": "lunar_anniversary_in_next_days", "value": 0}
    rule = {"related": "accounts", "where": opened, "op": "gte", "value": 1}
    assert matching(rule, today=NEW_YEAR_2026) == ["1"]
    traded = {"field": "last_trade_on", "op": "lunar_anniversary_in_next_days", "value": 0}
    assert matching(traded) == []
    assert matching({"not": traded}) == ["1", "2"]
