"""From raw events to times on messages, and what follows for clients."""

import random
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, text

from app.campaigns.models import Campaign
from app.clients.models import Client, Consent, Suppression
from app.core.clock import now
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Message, MessageState
from app.tracking.interpretation import make_partitions
from app.tracking.models import Event
from app.tracking.service import reinterpret
from tests.factories.clients import make_clients
from tests.factories.ledger import make_launched_campaign, make_run
from tests.factories.tracking import PHONE, interpret, make_events, make_sent_messages, reload

TIMES = ("opened_at", "clicked_at", "delivered_at", "bounced_at", "complained_at", "unsubscribed_at", "replied_at")


def _state_of_all() -> dict[int, tuple[Any, ...]]:
    db.session.expire_all()
    return {
        message.id: (message.state, *(getattr(message, name) for name in TIMES))
        for message in db.session.scalars(select(Message))
    }


def test_the_earliest_open_counts_and_a_click_proves_an_open(app: Flask) -> None:
    first, second = make_sent_messages(2)
    at = now()
    make_events(
        [
            {"kind": "open", "message_id": first.id, "at": at - timedelta(minutes=5)},
            {"kind": "open", "message_id": first.id, "at": at - timedelta(minutes=9)},
            {"kind": "click", "message_id": second.id, "at": at - timedelta(minutes=3)},
            {"kind": "open", "message_id": second.id, "at": at - timedelta(minutes=1)},
        ]
    )
    assert interpret() == 4
    assert reload(first).opened_at == at - timedelta(minutes=9)
    assert first.clicked_at is None
    assert reload(second).opened_at == second.clicked_at == at - timedelta(minutes=3)
    assert interpret() == 0


@pytest.mark.parametrize(
    ("hit", "reason"),
    [
        ({"method": "HEAD"}, "head"),
        ({"user_agent": "Barracuda Sentinel (EE)"}, "agent"),
        ({"user_agent": "Mozilla/5.0"}, "agent"),
        ({"user_agent": "Mozilla/5.0 (compatible; bingbot/2.0)"}, "agent"),
        ({"payload": {"sg_machine_open": True}}, "sg_machine_open"),
    ],
)
def test_a_machine_is_kept_with_its_reason_and_opens_nothing(app: Flask, hit: dict[str, Any], reason: str) -> None:
    (message,) = make_sent_messages()
    make_events([{"kind": "open", "message_id": message.id} | hit])
    interpret()
    event = db.session.scalars(select(Event)).one()
    assert (event.machine, event.machine_reasons) == (True, reason)
    assert reload(message).opened_at is None


@pytest.mark.parametrize(
    "agent",
    [
        PHONE,
        None,
        "",
        "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
        "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
        "Microsoft Outlook 16.0.17328; Abbott Laboratories",
    ],
)
def test_a_persons_mail_program_is_not_taken_for_a_machine(app: Flask, agent: str | None) -> None:
    (message,) = make_sent_messages()
    make_events([{"kind": "open", "message_id": message.id, "user_agent": agent}])
    interpret()
    assert reload(message).opened_at is not None


def test_a_hit_right_after_sending_is_too_fast_for_a_person(app: Flask) -> None:
    sent_at = now() - timedelta(minutes=1)
    early, late = make_sent_messages(2, sent_at=sent_at)
    make_events(
        [
            {"kind": "click", "message_id": early.id, "at": early.sent_at + timedelta(seconds=1.9)},
            {"kind": "click", "message_id": late.id, "at": late.sent_at + timedelta(seconds=2)},
        ]
    )
    interpret()
    assert reload(early).clicked_at is None
    assert reload(late).clicked_at is not None


def test_any_order_and_any_repetition_gives_the_same_result(app: Flask) -> None:
    messages = make_sent_messages(30)
    random.seed(7)
    start = now() - timedelta(minutes=50)
    kinds = ["open", "click", "delivered", "bounce", "reply", "deferred", "complaint", "unsubscribe", "other"]
    events = [
        {
            "kind": random.choice(kinds),
            "message_id": random.choice(messages).id,
            "at": start + timedelta(seconds=random.randrange(2000)),
            "method": random.choice(["GET", "GET", "HEAD"]),
        }
        for _number in range(400)
    ]
    make_events(events)
    interpret()
    expected = _state_of_all()
    for _attempt in range(2):
        random.shuffle(events)
        with unit_of_work() as session:
            session.execute(text("DELETE FROM event"))
            session.execute(text(f"UPDATE message SET {', '.join(f'{name} = NULL' for name in TIMES)}"))  # noqa: S608
        for first in range(0, 400, 90):
            make_events(events[first : first + 90] + events[:first:7])
            interpret()
        assert _state_of_all() == expected


def test_interpreting_anew_gives_the_same_result_and_acts_on_nobody_twice(app: Flask) -> None:
    first, second, third = make_sent_messages(3)
    make_events(
        [
            {"kind": "open", "message_id": first.id},
            {"kind": "open", "message_id": first.id, "method": "HEAD"},
            {"kind": "click", "message_id": second.id},
            {"kind": "unsubscribe", "message_id": third.id, "source": "sendgrid"},
            {"kind": "complaint", "message_id": second.id, "source": "sendgrid"},
        ]
    )
    interpret()
    expected = _state_of_all()
    for campaign in (db.session.scalars(select(Campaign)).one(), None):
        with unit_of_work():
            assert reinterpret(campaign=campaign) == 5
        assert _state_of_all() == expected
    assert db.session.scalar(select(func.count(Consent.id))) == 2
    assert db.session.scalar(select(func.count(Event.id)).where(Event.acted_at.is_not(None))) == 2


def test_interpreting_one_campaign_anew_leaves_the_others_alone(app: Flask) -> None:
    (mine,) = make_sent_messages()
    (other,) = make_sent_messages()
    make_events([{"kind": "open", "message_id": mine.id}, {"kind": "open", "message_id": other.id}])
    interpret()
    with unit_of_work():
        assert reinterpret(campaign=db.session.get_one(Campaign, mine.campaign_id)) == 1
    assert reload(other).opened_at is not None


def test_a_hard_bounce_suppresses_the_address_and_a_block_does_not(app: Flask) -> None:
    hard, soft = make_sent_messages(2)
    make_events(
        [
            {"kind": "bounce", "message_id": hard.id, "source": "sendgrid", "payload": {"email": "Old@Example.com"}},
            {"kind": "blocked", "message_id": soft.id, "source": "sendgrid"},
        ]
    )
    interpret()
    suppression = db.session.scalars(select(Suppression)).one()
    assert (suppression.address, suppression.reason) == ("old@example.com", "hard bounce")
    assert reload(hard).bounced_at is not None
    assert reload(soft).bounced_at is not None


def test_a_complaint_withdraws_consent_and_suppresses(app: Flask) -> None:
    (message,) = make_sent_messages()
    make_events([{"kind": "complaint", "message_id": message.id, "source": "sendgrid"}])
    interpret()
    client = db.session.get_one(Client, message.client_id)
    assert client.email_consent is False
    assert db.session.scalars(select(Suppression.address)).one() == client.email
    assert reload(message).complained_at is not None


def test_an_event_settles_a_message_that_awaits_a_receipt(app: Flask) -> None:
    clients = make_clients(2)
    make_run(make_launched_campaign(), clients, unconfirmed=clients)
    proved, waiting = db.session.scalars(select(Message).order_by(Message.id))
    make_events([{"kind": "open", "message_id": proved.id}])
    interpret()
    assert reload(proved).state == MessageState.SENT
    assert proved.sent_at is not None
    assert proved.opened_at is not None
    assert reload(waiting).state == MessageState.UNCONFIRMED
    expected = _state_of_all()
    with unit_of_work():
        reinterpret(campaign=None)
    assert _state_of_all() == expected


def test_events_of_a_message_in_hand_wait_until_it_is_put_down(app: Flask) -> None:
    (message,) = make_sent_messages()
    sent_at = message.sent_at
    with unit_of_work() as session:
        session.execute(text("UPDATE message SET state = 'handing', sent_at = NULL"))
    make_events([{"kind": "open", "message_id": message.id}])
    assert interpret() == 0
    with unit_of_work() as session:
        session.execute(text("UPDATE message SET state = 'sent', sent_at = :at"), {"at": sent_at})
    assert interpret() == 1
    assert reload(message).opened_at is not None


def test_events_of_no_message_of_ours_are_kept_and_harm_nothing(app: Flask) -> None:
    make_events(
        [{"kind": "open", "message_id": None}, {"kind": "bounce", "message_id": 999}, {"kind": "x", "message_id": 0}]
    )
    assert interpret() == 3
    assert interpret() == 0


def test_more_events_than_one_round_are_all_interpreted(app: Flask) -> None:
    messages = make_sent_messages(100)
    make_events([{"kind": "open", "message_id": messages[number % 100].id} for number in range(11_000)])
    assert interpret() == 11_000
    assert db.session.scalar(select(func.count(Message.id)).where(Message.opened_at.is_not(None))) == 100


def test_the_months_ahead_get_their_partition_with_what_came_early(app: Flask) -> None:
    with unit_of_work():
        make_partitions()
    name = db.session.scalar(text("SELECT 'event_' || to_char(now() + interval '3 months', 'YYYYMM')"))
    try:
        with unit_of_work() as session:
            session.execute(text(f"DROP TABLE {name}"))
        ahead = db.session.scalar(text("SELECT date_trunc('month', now()) + interval '3 months 4 days'"))
        make_events([{"kind": "open", "message_id": 1, "at": ahead, "source": "early"}])
        with unit_of_work():
            assert make_partitions() == [name]
        assert db.session.scalar(text(f"SELECT count(*) FROM {name}")) == 1  # noqa: S608
        with unit_of_work():
            assert make_partitions() == []
    finally:
        db.session.rollback()
