"""Which message an opening is credited to."""

from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select, text

from app.campaigns.models import Campaign
from app.core.clock import now
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.tracking.account_openings import Opening, credit_pending, match_late
from app.tracking.models import AccountOpening, Attribution
from app.tracking.service import credit_openings_again, record_openings
from tests.factories.clients import make_client, make_clients
from tests.factories.ledger import make_launched_campaign, make_run
from tests.factories.tracking import interpret, make_events, make_sent_messages

SENT = datetime.fromisoformat("2026-05-04T09:00:00+00:00")


def _open(number: str, at: datetime, *, external_id: str = "1") -> None:
    with unit_of_work():
        record_openings(source="test", openings=[Opening(external_id=external_id, client_number=number, opened_at=at)])
        credit_pending()


def _credits() -> list[tuple[int, int]]:
    rows = db.session.execute(select(Attribution.opening_id, Attribution.message_id).order_by(Attribution.opening_id))
    return [(row.opening_id, row.message_id) for row in rows]


def _sent(client_id: int, at: datetime, window_days: int = 30) -> int:
    campaign = make_launched_campaign(window_days=window_days)
    (message,) = make_sent_messages(sent_at=at, campaign=campaign, clients=[client_id])
    db.session.execute(text("UPDATE message SET sent_at = :at WHERE id = :id"), {"at": at, "id": message.id})
    db.session.commit()
    return message.id


@pytest.mark.parametrize(
    ("after", "credited"),
    [
        (timedelta(microseconds=-1), False),
        (timedelta(), True),
        (timedelta(days=30), True),
        (timedelta(days=30, microseconds=1), False),
    ],
)
def test_both_ends_of_the_window_belong_to_it(app: Flask, after: timedelta, credited: bool) -> None:
    client = make_client()
    message_id = _sent(client.id, SENT)
    _open(client.number, SENT + after)
    assert _credits() == ([(1, message_id)] if credited else [])


def test_the_last_message_before_the_opening_gets_the_credit(app: Flask) -> None:
    client = make_client()
    _sent(client.id, SENT)
    last = _sent(client.id, SENT + timedelta(days=2))
    _sent(client.id, SENT + timedelta(days=4))
    _open(client.number, SENT + timedelta(days=3))
    assert _credits() == [(1, last)]


def test_a_later_message_with_a_short_window_does_not_hide_an_earlier_one(app: Flask) -> None:
    client = make_client()
    earlier = _sent(client.id, SENT, window_days=30)
    _sent(client.id, SENT + timedelta(days=1), window_days=1)
    _open(client.number, SENT + timedelta(days=10))
    assert _credits() == [(1, earlier)]


def test_a_message_that_was_not_sent_gets_no_credit(app: Flask) -> None:
    clients = make_clients(1)
    make_run(make_launched_campaign(), clients, failed={"refused": clients}, launched_at=SENT)
    _open("1", SENT + timedelta(days=1))
    assert _credits() == []
    assert db.session.scalars(select(AccountOpening.attributed_at)).one() is not None


def test_reporting_again_changes_nothing(app: Flask) -> None:
    client = make_client()
    _sent(client.id, SENT)
    opening = Opening(external_id="a", client_number=client.number, opened_at=SENT + timedelta(days=1))
    with unit_of_work():
        first = record_openings(source="core", openings=[opening, opening])
        again = record_openings(source="core", openings=[opening])
        other = record_openings(source="branch", openings=[opening])
        credit_pending()
    assert (first.taken, first.known) == ({"a"}, 0)
    assert (again.taken, again.known) == (set(), 1)
    assert other.taken == {"a"}
    assert len(_credits()) == 2


def test_an_opening_waits_for_its_client_to_be_imported(app: Flask) -> None:
    _open("N77", SENT + timedelta(days=1))
    assert _credits() == []
    client = make_client(number="N77")
    message_id = _sent(client.id, SENT)
    with unit_of_work():
        match_late()
        credit_pending()
    assert _credits() == [(1, message_id)]


def test_crediting_anew_follows_a_changed_window(app: Flask) -> None:
    client = make_client()
    _sent(client.id, SENT, window_days=30)
    _open(client.number, SENT + timedelta(days=20))
    assert len(_credits()) == 1
    campaign = db.session.scalars(select(Campaign)).one()
    for days, expected in ((10, 0), (30, 1)):
        with unit_of_work():
            campaign.window_days = days
        with unit_of_work():
            assert credit_openings_again(campaign_code=campaign.code) == 1
        assert len(_credits()) == expected


def test_a_message_settled_later_gets_its_credit(app: Flask) -> None:
    clients = make_clients(1)
    make_run(make_launched_campaign(), clients, unconfirmed=clients)
    make_events([{"kind": "open", "message_id": 1}])
    _open("1", now() + timedelta(minutes=1))
    assert _credits() == []
    interpret()
    with unit_of_work():
        credit_pending()
    assert len(_credits()) == 1


def test_thousands_of_openings_are_credited_in_rounds(app: Flask) -> None:
    clients = make_clients(6_000)
    make_run(make_launched_campaign(), clients, launched_at=SENT)
    with unit_of_work():
        openings = [
            Opening(external_id=str(number), client_number=str(number), opened_at=SENT + timedelta(days=1))
            for number in range(1, 6_001)
        ]
        record_openings(source="test", openings=openings)
        assert credit_pending() == 6_000
    assert db.session.scalar(select(func.count()).select_from(Attribution)) == 6_000
