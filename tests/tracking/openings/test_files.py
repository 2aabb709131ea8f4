"""Times in files of openings: days and times of the firm's zone, and none that lies ahead."""

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select
from xlsxwriter import Workbook

from app.core.clock import today
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.tracking.models import AccountOpening
from app.tracking.openings.files import Refused, read_openings
from app.tracking.openings.models import CountedOpening
from app.tracking.openings.service import import_openings, judge_campaign
from app.tracking.openings.taking import Opening
from tests.factories.clients import make_client
from tests.factories.ledger import make_launched_campaign, make_run
from tests.factories.openings import make_holding, noon

ZONES = ["UTC", "Asia/Shanghai", "America/New_York"]
READ_AT = datetime(2026, 3, 10, 15, 0, tzinfo=UTC)  # in Shanghai 23:00, in New York 11:00 of the same day


@pytest.fixture
def zone(app: Flask, request: pytest.FixtureRequest) -> Iterator[ZoneInfo]:
    """The firm's zone: Shanghai, or what the test asks for."""
    name = getattr(request, "param", "Asia/Shanghai")
    config = app.extensions["bellwether_config"]
    app.extensions["bellwether_config"] = replace(config, time_zone=name)
    yield ZoneInfo(name)
    app.extensions["bellwether_config"] = config


def _read(opened_at: str, *, at: datetime = READ_AT) -> Opening | Refused:
    file = io.BytesIO(f"client_number;opened_at\n77;{opened_at}\n".encode())
    (row,) = read_openings(file, received_at=at)
    return row


def _opened_at(opened_at: str, *, at: datetime = READ_AT) -> datetime:
    row = _read(opened_at, at=at)
    assert isinstance(row, Opening)
    return row.opened_at


@pytest.mark.parametrize("zone", ZONES, indirect=True)
@pytest.mark.parametrize("words", ["2026-03-02", "20260302", "2026/3/2", "2026年3月2日", "2.3.2026", "2 Mar 2026"])
def test_a_bare_date_is_the_end_of_that_day_where_the_firm_is(zone: ZoneInfo, words: str) -> None:
    moment = _opened_at(words)
    assert moment.astimezone(zone).date() == date(2026, 3, 2)
    assert (moment + timedelta(microseconds=1)).astimezone(zone).date() == date(2026, 3, 3)


@pytest.mark.parametrize("zone", ZONES, indirect=True)
def test_a_bare_date_of_today_is_now(zone: ZoneInfo) -> None:
    assert _opened_at("2026-03-10") == READ_AT
    tomorrow = _read("2026-03-11")
    assert isinstance(tomorrow, Refused)
    assert "future" in tomorrow.reason


def test_today_is_that_of_the_firm(zone: ZoneInfo) -> None:
    early = datetime(2026, 3, 10, 17, 0, tzinfo=UTC)  # it is 01:00 on the 11th in Shanghai
    assert _opened_at("2026-03-11", at=early) == early
    assert isinstance(_read("2026-03-12", at=early), Refused)


def test_at_midnight_a_clock_a_little_ahead_is_no_lie(zone: ZoneInfo) -> None:
    almost = datetime(2026, 3, 10, 15, 58, tzinfo=UTC)
    assert _opened_at("2026-03-11", at=almost).astimezone(zone) == datetime(2026, 3, 11, tzinfo=zone)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("2026-03-01 09:30", "2026-03-01T01:30Z"),
        ("2026-03-01T09:30:15", "2026-03-01T01:30:15Z"),
        ("2026/3/1 9:30", "2026-03-01T01:30Z"),
        ("2026年3月1日 14:05:06", "2026-03-01T06:05:06Z"),
        ("1 Mar 2026 2:05 PM", "2026-03-01T06:05Z"),
        ("1 Mar 2026 12:05 am", "2026-02-28T16:05Z"),
        ("2026-03-01T09:30:00+00:00", "2026-03-01T09:30Z"),
        ("2026-03-01T09:30:00Z", "2026-03-01T09:30Z"),
        ("2026/3/1 9:30+01:00", "2026-03-01T08:30Z"),
    ],
)
def test_a_time_without_an_offset_is_the_firms(zone: ZoneInfo, words: str, expected: str) -> None:
    assert _opened_at(words) == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    "words",
    ["2026/3/1 25:30", "2026/3/1 9:75", "31.2.2026", "9999-12-31", "0001-01-01", "1899-12-31", "9999/12/31 9:00"],
)
def test_what_is_no_time_or_none_that_can_be_is_refused(zone: ZoneInfo, words: str) -> None:
    assert isinstance(_read(words), Refused)


@pytest.mark.parametrize(("ahead", "taken"), [(4, True), (6, False), (23 * 60, False)])
def test_a_time_may_be_ahead_by_no_more_than_clocks_are_apart(zone: ZoneInfo, ahead: int, taken: bool) -> None:
    moment = (READ_AT + timedelta(minutes=ahead)).astimezone(zone)
    for written in (moment.isoformat(), moment.replace(tzinfo=None).isoformat(sep=" ")):
        assert isinstance(_read(written), Opening) == taken


def test_a_workbook_says_the_same_as_a_text(zone: ZoneInfo) -> None:
    file = io.BytesIO()
    with Workbook(file, {"remove_timezone": True}) as workbook:
        sheet = workbook.add_worksheet()
        sheet.write_row(0, 0, ["client_number", "opened_at"])
        for row, (moment, form) in enumerate(
            [
                (datetime(2026, 3, 2, tzinfo=UTC), "yyyy-mm-dd"),
                (datetime(2026, 3, 2, 9, 30, tzinfo=UTC), "yyyy-mm-dd hh:mm"),
            ],
            start=1,
        ):
            sheet.write(row, 0, "77")
            sheet.write_datetime(row, 1, moment, workbook.add_format({"num_format": form}))
    day, moment = read_openings(file, received_at=READ_AT)
    assert isinstance(day, Opening)
    assert isinstance(moment, Opening)
    assert day.opened_at == _opened_at("2026-03-02")
    assert moment.opened_at == _opened_at("2026-03-02 09:30")


@pytest.mark.parametrize("zone", ZONES, indirect=True)
def test_an_opening_is_judged_on_the_day_that_the_file_says(zone: ZoneInfo) -> None:
    client = make_client(number="77")
    day = today() - timedelta(days=10)
    launched_at = noon(day - timedelta(days=2))
    campaign = make_launched_campaign(launched_at=launched_at, window_days=30)
    make_run(campaign, [client.id], launched_at=launched_at)
    make_holding(client, "cash", balances={day: 20_000}, opened_on=day)
    file = io.BytesIO(f"client_number,opened_at\n77,{day}\n".encode())
    with unit_of_work():
        import_openings(stream=file, name="openings.csv", actor=None)
        judge_campaign(campaign, everything=True)
    counted = db.session.scalars(select(CountedOpening)).one()
    assert (counted.effective_on, counted.brought_in) == (day, Decimal(20_000))
    assert db.session.scalars(select(AccountOpening.opened_at)).one().astimezone(zone).date() == day


def test_an_amount_that_cannot_be_harms_its_own_row_only(zone: ZoneInfo) -> None:
    make_client(number="77")
    lines = ["client_number,opened_at,product,amount", "77,2026-03-01,fund,1"]
    lines += [f"77,2026-03-02,fund,{amount}" for amount in ("9999999999999999.999", "1e30", "-1")]
    with unit_of_work():
        done = import_openings(stream=io.BytesIO("\n".join(lines).encode()), name="openings.csv", actor=None)
    assert (done.taken, [row[0] for row in done.refused]) == (1, [2, 3, 4])
