"""Contacts and responses of a client: written with what delivery and tracking record, and never twice."""

from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from app.audiences.compiler import condition
from app.clients.engagement.models import Engagement
from app.clients.engagement.service import Happening, forget_hits, forget_responses, note
from app.clients.models import Client
from app.core.clock import now
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Message, MessageState
from app.delivery.service import settle_unconfirmed
from app.tracking.service import reinterpret
from tests.factories.clients import make_clients
from tests.factories.delivery import launched, send_all
from tests.factories.tracking import interpret, make_events, make_sent_messages

pytestmark = pytest.mark.usefixtures("app")
Summary = dict[tuple[int, str], tuple[datetime, datetime]]


def summary() -> Summary:
    """Client and kind to the first and the last time, where there is one campaign."""
    db.session.expire_all()
    rows = db.session.scalars(select(Engagement))
    return {(row.client_id, row.kind): (row.first_at, row.last_at) for row in rows}


def test_who_was_sent_a_message_was_contacted() -> None:
    reached = make_clients(3)
    make_clients(1, email_consent=None)
    launched()
    send_all()
    sent = {message.client_id: message.sent_at for message in db.session.scalars(select(Message))}
    assert summary() == {(client_id, "contacted"): (sent[client_id], sent[client_id]) for client_id in reached}
    row = db.session.scalars(select(Engagement)).first()
    assert row is not None
    assert (row.channel, row.campaign_id) == ("email", db.session.scalars(select(Message.campaign_id)).first())


def test_a_message_that_is_settled_later_was_a_contact_all_the_same() -> None:
    (message,) = make_sent_messages()
    db.session.execute(update(Message).values(state=MessageState.UNCONFIRMED, sent_at=None))
    db.session.commit()
    with unit_of_work():
        settle_unconfirmed([message.id])
    assert summary().keys() == {(message.client_id, "contacted")}


def test_people_open_and_click_and_machines_do_not() -> None:
    person, machine = make_sent_messages(2)
    at = now() - timedelta(minutes=9)
    make_events(
        [
            {"kind": "click", "message_id": person.id, "at": at},
            {"kind": "open", "message_id": person.id, "at": at + timedelta(minutes=4)},
            {"kind": "reply", "message_id": person.id, "at": at + timedelta(minutes=5)},
            {"kind": "open", "message_id": machine.id, "at": at, "method": "HEAD"},
            {"kind": "delivered", "message_id": machine.id, "at": at},
        ]
    )
    interpret()
    assert summary() == {
        (person.client_id, "opened"): (at, at + timedelta(minutes=4)),
        (person.client_id, "clicked"): (at, at),
        (person.client_id, "replied"): (at + timedelta(minutes=5),) * 2,
    }


def test_interpreting_again_changes_nothing() -> None:
    messages = make_sent_messages(3)
    at = now() - timedelta(minutes=9)
    make_events([{"kind": "click", "message_id": one.id, "at": at} for one in messages])
    interpret()
    before = summary()
    reinterpret(campaign=None)
    assert summary() == before


def test_noting_in_any_order_keeps_the_first_and_the_last_time() -> None:
    (client_id,) = make_clients(1)
    at = now()
    times = [at - timedelta(days=days) for days in (3, 9, 1, 3)]
    for some in (times[:2], times[2:], times):
        note(Happening("opened", client_id, 7, "email", one) for one in some)
    assert summary() == {(client_id, "opened"): (times[1], times[2])}
    note([])


def test_each_channel_of_a_campaign_is_kept(app: Flask) -> None:
    both, by_mail = make_clients(2)
    at = now() - timedelta(days=5)
    mails = [Happening("contacted", client_id, 7, "email", at) for client_id in (both, by_mail)]
    note(mails)
    note([Happening("contacted", both, 7, "sms", at + timedelta(days=2)), *mails])
    rows = db.session.execute(select(Engagement.client_id, Engagement.channel, Engagement.last_at)).all()
    assert sorted(map(tuple, rows)) == [
        (both, "email", at), (both, "sms", at + timedelta(days=2)), (by_mail, "email", at),
    ]  # fmt: skip

    def contacted(channel: str) -> set[int]:
        where = {"all": [{"field": "kind", "op": "is", "value": "contacted"},
                         {"field": "channel", "op": "is", "value": channel}]}  # fmt: skip
        rule = {"related": "engagement", "where": where, "op": "gte", "value": 1}
        return set(db.session.scalars(select(Client.id).where(condition(rule))))

    assert contacted("sms") == {both}
    assert contacted("email") == {both, by_mail}
    assert contacted("call") == set()


def test_responses_are_forgotten_on_every_channel(app: Flask) -> None:
    (client_id,) = make_clients(1)
    for channel in ("email", "sms"):
        note(Happening(kind, client_id, 7, channel, now()) for kind in ("contacted", "clicked", "replied"))
    forget_hits([(client_id, 7)])
    assert {row.kind for row in db.session.scalars(select(Engagement))} == {"contacted", "replied"}
    forget_responses(campaign_id=7)
    assert {(row.kind, row.channel) for row in db.session.scalars(select(Engagement))} == {
        ("contacted", "email"), ("contacted", "sms"),
    }  # fmt: skip


def test_what_a_merged_record_does_counts_for_whom_it_was_merged_into(app: Flask) -> None:
    kept, merged = make_clients(2)
    db.session.execute(update(Client).where(Client.id == merged).values(merged_into_id=kept))
    at = now()
    note([Happening("opened", kept, 7, "email", at), Happening("opened", merged, 7, "email", at + timedelta(hours=1))])
    assert summary() == {(kept, "opened"): (at, at + timedelta(hours=1))}
