"""Audiences: who is in, who is left out and why, frozen for good."""

from datetime import timedelta
from itertools import product
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from pyroaring import BitMap64
from sqlalchemy import case, func, select

from app.audiences.compiler import condition
from app.audiences.models import Snapshot
from app.audiences.snapshots import (
    client_ids,
    freeze,
    packed,
    reach,
    read_set,
    read_sets,
    union_rule,
)
from app.clients.contactability import exclusion_reason
from app.clients.models import Client, Suppression
from app.clients.preferences.models import MarketingPause, Topic, TopicRefusal
from app.clients.preferences.queries import refuses_topic
from app.clients.queries import visible_clients
from app.core.clock import now
from app.core.extensions import db
from tests.factories.audiences import make_segment
from tests.factories.clients import make_client, make_clients
from tests.factories.users import make_branch, make_user

EVERYONE: dict[str, Any] = {"all": []}


def city(name: str) -> dict[str, Any]:
    return {"field": "city", "op": "is", "value": name}


def test_the_clients_of_a_rule_are_a_set_of_ids(app: Flask) -> None:
    ids = make_clients(1_000, city=lambda position: "Wuhan" if position % 4 == 0 else None)
    assert client_ids(condition(city("Wuhan"))) == BitMap64(ids[3::4])
    assert client_ids(condition(city("nowhere"))) == BitMap64()


@pytest.mark.parametrize("at_once", [4, 12, 1 << 17])
def test_sets_come_in_pieces_that_are_put_together_again(
    app: Flask, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("app.audiences.snapshots._PIECE", at_once)
    make_clients(7, name=lambda i: None if i == 7 else "odd" if i % 2 else "even", city=lambda i: f"city {i}")
    by_number = {int(client.number): client.id for client in db.session.scalars(select(Client))}
    ids = packed(Client.id.expression)
    last, nobody = ids.filter(Client.city == "city 6"), ids.filter(Client.city == "none")
    found = read_sets(select(Client.name, ids, last, nobody).group_by(Client.name), keys=1)
    assert found == {
        ("odd",): [BitMap64(by_number[i] for i in (1, 3, 5)), BitMap64(), BitMap64()],
        ("even",): [BitMap64(by_number[i] for i in (2, 4, 6)), BitMap64([by_number[6]]), BitMap64()],
        (None,): [BitMap64([by_number[7]]), BitMap64(), BitMap64()],
    }
    assert read_set(select(ids)) == BitMap64(by_number.values())
    assert read_sets(select(nobody, ids).where(Client.city == "none")) == {(): [BitMap64(), BitMap64()]}


def test_a_frozen_audience_stays_as_it_was(app: Flask) -> None:
    segment = make_segment(name="Wuhan", rule=city("Wuhan"))
    ids = BitMap64(make_clients(10, city="Wuhan"))
    snapshot_id = freeze(name="Wuhan", ids=ids, segment=segment, rule=segment.rule, sentence="City is Wuhan").id
    db.session.commit()
    db.session.expire_all()
    segment.rule = EVERYONE
    make_client(city="Wuhan")
    kept = db.session.get_one(Snapshot, snapshot_id)
    assert kept.client_ids == ids
    assert (kept.size, kept.segment_id, kept.rule, kept.sentence) == (10, segment.id, city("Wuhan"), "City is Wuhan")


def test_each_client_left_out_is_counted_once_for_the_first_reason(app: Flask) -> None:
    fine = make_clients(3)
    make_client(status="closed", email=None)
    make_client(flags=["minor"])
    make_client(email=None)
    blocked = make_client()
    db.session.add(Suppression(channel="email", address=str(blocked.email), reason="bounce", source="test"))
    make_client(email_consent=None)
    make_client(email_consent=False)
    make_client(city="Wuhan", status="closed")
    audience = reach(included=[EVERYONE], excluded=[city("Wuhan")], channels=["email"], purpose="marketing")
    assert audience.eligible == BitMap64(fine)
    assert len(audience.matched) == 10
    assert audience.exclusions == {
        "excluded_segment": 1,
        "closed": 1,
        "flagged": 1,
        "no_address": 1,
        "suppressed": 1,
        "no_consent": 2,
    }
    counts = audience.counts()
    assert (counts.matched, counts.eligible, counts.exclusions) == (10, 3, audience.exclusions)


def test_consent_is_asked_for_marketing_only(app: Flask) -> None:
    make_client(email_consent=None)
    counts = reach(included=[EVERYONE], excluded=[], channels=["email"], purpose="service").counts()
    assert (counts.matched, counts.eligible, counts.exclusions) == (1, 1, {})


def test_segments_are_joined_and_a_client_in_two_counts_once(app: Flask) -> None:
    make_clients(2, city="Wuhan", status="dormant")
    make_clients(2, city="Beijing")
    dormant = {"field": "status", "op": "is", "value": "dormant"}
    audience = reach(included=[city("Wuhan"), dormant], excluded=[], channels=["email"], purpose="marketing")
    assert len(audience.matched) == len(audience.eligible) == 2


def test_no_included_segment_is_nobody(app: Flask) -> None:
    make_client()
    audience = reach(included=[], excluded=[], channels=["email"], purpose="marketing")
    assert (len(audience.matched), len(audience.eligible), audience.exclusions) == (0, 0, {})
    assert client_ids(condition(union_rule([]))) == BitMap64()


def test_only_clients_in_scope_are_matched(app: Flask) -> None:
    branch = make_branch()
    mine = make_clients(2, branch_id=branch.id)
    make_clients(3)
    manager = make_user(role="branch_manager", branch=branch)
    audience = reach(
        included=[EVERYONE], excluded=[], channels=["email"], purpose="marketing", visible=visible_clients(manager)
    )
    assert audience.matched == BitMap64(mine)


def test_the_rule_of_several_segments_is_any_of_them(app: Flask) -> None:
    wuhan, beijing = make_segment(rule=city("Wuhan")), make_segment(rule=city("Beijing"))
    ids = make_clients(4, city=lambda position: ("Wuhan", "Beijing", "Lhasa", None)[position - 1])
    assert client_ids(condition(union_rule([wuhan, beijing]))) == BitMap64(ids[:2])
    assert union_rule([wuhan]) == wuhan.rule
    assert client_ids(Client.id > 0) == BitMap64(ids)


@pytest.mark.parametrize("purpose", ["marketing", "service", "statutory"])
def test_a_pass_over_the_book_gives_the_reasons_that_are_found_for_each_client(app: Flask, purpose: str) -> None:
    topic = Topic(name="Funds")
    db.session.add(topic)
    db.session.flush()
    for closed, flagged, unreachable, suppressed, unasked, pausing, refusing in product((False, True), repeat=7):
        client = make_client(
            status="closed" if closed else "client",
            flags=["frozen"] if flagged else [],
            email=None if unreachable else f"Someone.{uuid4().hex}@example.com",
            email_consent=None if unasked else True,
        )
        if suppressed and client.email:
            db.session.add(Suppression(channel="email", address=client.email.lower(), reason="bounced", source="test"))
        if pausing:
            db.session.add(MarketingPause(client_id=client.id, until=now() + timedelta(days=9)))
        if refusing:
            db.session.add(TopicRefusal(client_id=client.id, topic_id=topic.id))
    db.session.commit()
    found = reach(
        included=[EVERYONE],
        excluded=[],
        channels=["email"],
        purpose=purpose,
        gates=[(refuses_topic(topic.id, of_many=True), "topic_refused")],
    )
    reason = func.coalesce(
        exclusion_reason(channel="email", purpose=purpose), case((refuses_topic(topic.id), "topic_refused"))
    )
    alone = {row[0]: row[1] for row in db.session.execute(select(Client.id, reason))}
    assert len(alone) == 128
    assert {one: why for why, ids in found.left_out.items() for one in ids} == {
        client_id: why for client_id, why in alone.items() if why
    }
    assert found.eligible == BitMap64(client_id for client_id, why in alone.items() if not why)
    assert sum(map(len, found.left_out.values())) + len(found.eligible) == len(found.matched)
