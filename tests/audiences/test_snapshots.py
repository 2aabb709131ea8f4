"""Audiences: who is in, who is left out and why, frozen for good."""

from typing import Any

from flask import Flask
from pyroaring import BitMap64

from app.audiences.compiler import condition
from app.audiences.models import Snapshot
from app.audiences.snapshots import (
    audience_counts,
    client_ids,
    exclusion_counts,
    freeze,
    union_rule,
)
from app.clients.models import Client, Suppression
from app.clients.queries import visible_clients
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
    audience = exclusion_counts(included=[EVERYONE], excluded=[city("Wuhan")], channel="email", purpose="marketing")
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
    counts = audience_counts(included=[EVERYONE], excluded=[city("Wuhan")], channel="email", purpose="marketing")
    assert (counts.matched, counts.eligible, counts.exclusions) == (10, 3, audience.exclusions)


def test_consent_is_asked_for_marketing_only(app: Flask) -> None:
    make_client(email_consent=None)
    counts = audience_counts(included=[EVERYONE], excluded=[], channel="email", purpose="service")
    assert (counts.matched, counts.eligible, counts.exclusions) == (1, 1, {})


def test_segments_are_joined_and_a_client_in_two_counts_once(app: Flask) -> None:
    make_clients(2, city="Wuhan", status="dormant")
    make_clients(2, city="Beijing")
    dormant = {"field": "status", "op": "is", "value": "dormant"}
    audience = exclusion_counts(included=[city("Wuhan"), dormant], excluded=[], channel="email", purpose="marketing")
    assert len(audience.matched) == len(audience.eligible) == 2


def test_no_included_segment_is_nobody(app: Flask) -> None:
    make_client()
    audience = exclusion_counts(included=[], excluded=[], channel="email", purpose="marketing")
    assert (len(audience.matched), len(audience.eligible), audience.exclusions) == (0, 0, {})
    assert client_ids(condition(union_rule([]))) == BitMap64()


def test_only_clients_in_scope_are_matched(app: Flask) -> None:
    branch = make_branch()
    mine = make_clients(2, branch_id=branch.id)
    make_clients(3)
    manager = make_user(role="branch_manager", branch=branch)
    audience = exclusion_counts(
        included=[EVERYONE], excluded=[], channel="email", purpose="marketing", visible=visible_clients(manager)
    )
    assert audience.matched == BitMap64(mine)


def test_the_rule_of_several_segments_is_any_of_them(app: Flask) -> None:
    wuhan, beijing = make_segment(rule=city("Wuhan")), make_segment(rule=city("Beijing"))
    ids = make_clients(4, city=lambda position: ("Wuhan", "Beijing", "Lhasa", None)[position - 1])
    assert client_ids(condition(union_rule([wuhan, beijing]))) == BitMap64(ids[:2])
    assert union_rule([wuhan]) == wuhan.rule
    assert client_ids(Client.id > 0) == BitMap64(ids)
