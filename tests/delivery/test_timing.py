"""When a message may leave by the client's own clock, against a search minute by minute."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from app.clients.models import Client
from app.core.extensions import db
from app.delivery.models import Message
from app.delivery.timing import EVERY_DAY, Timing, known_zones
from tests.factories.campaigns import make_campaign
from tests.factories.clients import make_client
from tests.factories.ledger import make_run

pytestmark = pytest.mark.usefixtures("app")

ZONES = (
    "UTC",
    "Asia/Shanghai",
    "Europe/Madrid",
    "America/New_York",
    "America/Santiago",  # the clocks change at midnight
    "Australia/Lord_Howe",  # by half an hour
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/St_Johns",
)
MINUTE = timedelta(minutes=1)
LONGEST_SHIFT = timedelta(hours=1)

# Around the days on which clocks change, on both halves of the earth.
_moments = st.one_of(
    st.integers(0, 30 * 24 * 60).map(lambda minutes: datetime(2026, 3, 7, tzinfo=UTC) + timedelta(minutes=minutes)),
    st.integers(0, 58 * 24 * 60).map(lambda minutes: datetime(2026, 9, 5, tzinfo=UTC) + timedelta(minutes=minutes)),
)
_clock = st.integers(0, 47).map(lambda half: time(half // 2, half % 2 * 30))


def is_open(moment: datetime, zone: str, opens: time, closes: time, days: frozenset[int]) -> bool:
    local = moment.astimezone(ZoneInfo(zone))
    return local.isoweekday() in days and opens <= local.time() and (closes == time() or local.time() < closes)


def first_open(moment: datetime, zone: str, opens: time, closes: time, days: frozenset[int]) -> datetime:
    while not is_open(moment, zone, opens, closes, days):
        moment += MINUTE
    return moment


@pytest.fixture
def row(app: Flask) -> Message:
    """One planned message; the client's zone is set by the test."""
    client = make_client()
    run = make_run(make_campaign(), [client.id], waiting=[client.id])
    return db.session.scalars(select(Message).where(Message.run_id == run.id)).one()


def asked(timing: Timing, row: Message, zone: str | None, at: datetime) -> datetime | None:
    """What the statement says of the message, with the client in a zone."""
    db.session.get_one(Client, row.client_id).time_zone = zone
    db.session.flush()
    found = db.session.scalar(
        select(timing.wait_until(at)).select_from(Message).join(Client, Client.id == Message.client_id)
    )
    db.session.rollback()
    return found


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    zone=st.sampled_from(ZONES),
    at=_moments,
    opens=_clock,
    closes=_clock,
    days=st.frozensets(st.integers(1, 7), min_size=1),
)
@example(
    zone="Europe/Madrid", at=datetime(2026, 3, 29, 0, 30, tzinfo=UTC), opens=time(2, 30), closes=time(4), days=EVERY_DAY
)
@example(
    zone="Europe/Madrid", at=datetime(2026, 10, 25, 0, 5, tzinfo=UTC), opens=time(2, 30), closes=time(4), days=EVERY_DAY
)
@example(
    zone="America/Santiago", at=datetime(2026, 9, 6, 3, 30, tzinfo=UTC), opens=time(), closes=time(1), days=EVERY_DAY
)
def test_nothing_leaves_while_it_is_closed_and_nothing_waits_longer_than_it_must(
    row: Message, zone: str, at: datetime, opens: time, closes: time, days: frozenset[int]
) -> None:
    if closes != time() and opens >= closes:
        opens, closes = closes, opens if opens != closes else time()
    timing = Timing(zone="UTC", started_at=at, opens=opens, closes=closes, days=days)
    naive = first_open(at, zone, opens, closes, days)
    moment, looks = at, 0
    while (until := asked(timing, row, zone, moment)) is not None:
        assert until > moment
        moment, looks = until, looks + 1
        assert looks <= 2  # a second time only where the clocks skip or repeat the opening
    assert is_open(moment, zone, opens, closes, days)
    if naive == at:
        assert moment == at
    # A time of opening that is skipped or comes twice may be taken later by the shift; a window inside it is missed.
    assert naive <= moment
    assert moment <= naive + LONGEST_SHIFT or looks == 2 or moment - naive >= timedelta(hours=20)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(zone=st.sampled_from(ZONES), started_at=_moments, local_time=_clock, later=st.integers(0, 72))
def test_ten_oclock_is_ten_oclock_of_each_client(
    row: Message, zone: str, started_at: datetime, local_time: time, later: int
) -> None:
    timing = Timing(zone="UTC", started_at=started_at, local_time=local_time)
    meant = asked(timing, row, zone, started_at) or started_at
    assert started_at <= meant <= started_at + timedelta(hours=25)
    local = meant.astimezone(ZoneInfo(zone))
    naive = local.replace(tzinfo=None)
    if local.utcoffset() == (meant - timedelta(hours=2)).astimezone(ZoneInfo(zone)).utcoffset():
        assert naive.time() == local_time
    at = started_at + timedelta(hours=later)
    assert asked(timing, row, zone, at) == (meant if meant > at else None)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(started_at=_moments, hours=st.integers(1, 168), salt=st.integers(1, 10**9))
def test_a_spread_is_stable_and_within_its_hours(row: Message, started_at: datetime, hours: int, salt: int) -> None:
    spread = timedelta(hours=hours)
    timing = Timing(zone="UTC", started_at=started_at, spread=spread, salt=salt)
    until = asked(timing, row, None, started_at) or started_at
    assert started_at <= until < started_at + spread
    assert (asked(timing, row, "Asia/Tokyo", started_at + MINUTE) or until) == until


def test_an_unknown_zone_is_the_firms(row: Message) -> None:
    at = datetime(2026, 6, 1, 0, 0, tzinfo=UTC)
    timing = Timing(zone="Asia/Shanghai", started_at=at, opens=time(9), closes=time(20))
    for zone in (None, "", "Nowhere/At_All", "'; --"):
        assert asked(timing, row, zone, at) == datetime(2026, 6, 1, 1, 0, tzinfo=UTC)
    assert "Asia/Shanghai" in known_zones()


def test_hours_that_leave_nothing_never_send(row: Message) -> None:
    at = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
    timing = Timing(zone="UTC", started_at=at, opens=time(20), closes=time(9))
    assert timing.never_open
    assert asked(timing, row, "UTC", at) == at + timedelta(days=1)
