"""Which message an opening is credited to."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy import func, select, text

from app.campaigns.models import Campaign
from app.core.clock import now
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.tracking.models import AccountOpening, Attribution
from app.tracking.openings.attribution import credit_pending
from app.tracking.openings.matching import match_waiting
from app.tracking.openings.service import credit_openings_again, record_openings
from app.tracking.openings.taking import Opening
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


def _touches(client_id: int, *days: int, model: str = "last_touch", window_days: int = 30) -> list[int]:
    """Messages of one campaign to the client, so many days after SENT each. Returns their ids."""
    campaign = make_launched_campaign(window_days=window_days, attribution_model=model)
    messages = []
    for day in days:
        at = SENT + timedelta(days=day)
        (message,) = make_sent_messages(sent_at=at, campaign=campaign, clients=[client_id])
        db.session.execute(text("UPDATE message SET sent_at = :at WHERE id = :id"), {"at": at, "id": message.id})
        messages.append(message.id)
    db.session.commit()
    return messages


def _weights() -> dict[int, Decimal]:
    return {row.message_id: row.weight for row in db.session.scalars(select(Attribution))}


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ("last_touch", {1: "1"}),
        ("first_touch", {0: "1"}),
        ("even", {0: "0.5", 1: "0.5"}),
        ("last_click", {0: "1"}),
    ],
)
def test_each_model_gives_the_opening_to_its_touches(app: Flask, model: str, parts: dict[int, str]) -> None:
    client = make_client()
    messages = _touches(client.id, 0, 2, 4, model=model)
    click = {"kind": "click", "message_id": messages[0], "at": SENT + timedelta(days=1)}
    make_events([click, click | {"message_id": messages[2], "at": SENT + timedelta(days=5)}])
    interpret()
    _open(client.number, SENT + timedelta(days=3))
    assert _weights() == {messages[place]: Decimal(part) for place, part in parts.items()}


def test_even_parts_add_up_to_one(app: Flask) -> None:
    client = make_client()
    messages = _touches(client.id, *range(7), model="even")
    _open(client.number, SENT + timedelta(days=10))
    weights = _weights()
    assert sorted(weights) == messages
    assert sum(weights.values()) == 1


def test_a_click_of_a_machine_is_no_touch(app: Flask) -> None:
    client = make_client()
    messages = _touches(client.id, 0, model="last_click")
    at = SENT + timedelta(days=1)
    make_events([{"kind": "click", "message_id": messages[0], "at": at, "method": "HEAD"}])
    interpret()
    _open(client.number, SENT + timedelta(days=3))
    assert _credits() == []


def test_the_last_click_is_what_the_window_counts_from(app: Flask) -> None:
    client = make_client()
    messages = _touches(client.id, 0, model="last_click", window_days=5)
    make_events([{"kind": "click", "message_id": messages[0], "at": SENT + timedelta(days=day)} for day in (1, 8)])
    interpret()
    _open(client.number, SENT + timedelta(days=12))
    assert _credits() == [(1, messages[0])]


def test_each_campaign_claims_on_its_own(app: Flask) -> None:
    client = make_client()
    earlier = _sent(client.id, SENT, window_days=30)
    hidden = _sent(client.id, SENT + timedelta(days=1), window_days=1)
    later = _sent(client.id, SENT + timedelta(days=2), window_days=30)
    _open(client.number, SENT + timedelta(days=10))
    assert sorted(_weights()) == [earlier, later]
    assert hidden not in _weights()
    assert db.session.scalar(select(func.count(Attribution.opening_id.distinct()))) == 1


def test_crediting_again_changes_nothing(app: Flask) -> None:
    client = make_client()
    _touches(client.id, 0, 1, 2, model="even")
    _open(client.number, SENT + timedelta(days=10))
    before = [(row.message_id, row.weight, row.at) for row in db.session.scalars(select(Attribution))]
    with unit_of_work():
        assert credit_openings_again(campaign=None) == 1
    db.session.expire_all()
    assert [(row.message_id, row.weight, row.at) for row in db.session.scalars(select(Attribution))] == before


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
        match_waiting()
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
            assert credit_openings_again(campaign=campaign) == 1
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
