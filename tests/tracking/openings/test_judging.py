"""When an opening is effective by its campaign's rule, what it brought in, and how it stood later."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app.campaigns.effective_rule import BadRule, read_rule
from app.campaigns.models import Campaign
from app.clients.models import Client
from app.core.clock import today
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.tracking.openings.figures import (
    claimed_by_any,
    openings_between,
    openings_claimed_by_any,
    openings_of_campaign,
)
from app.tracking.openings.models import CountedOpening, OpeningFollowUp
from app.tracking.openings.service import judge_campaign
from tests.factories.clients import make_client, make_clients
from tests.factories.ledger import make_launched_campaign, make_run
from tests.factories.openings import make_holding, noon, report_opening

PARTNER_RULE = {
    "kinds": ["opening", "transfer_in"],
    "accounts": [
        {"kind": "custody", "partner_bank": "Harbour Bank"},
        {"kind": "a_share_shanghai", "designated": True},
        {"kind": "a_share_shenzhen"},
    ],
    "minimum": {"amount": "10000", "kinds": ["cash"]},
    "within_days": 30,
}


def _day(back: int) -> date:
    return today() - timedelta(days=back)


def _launched(client: Client, *, back: int, rule: Any = None, **fields: Any) -> Campaign:
    campaign = make_launched_campaign(
        effective_rule=rule, launched_at=noon(_day(back)), window_days=fields.pop("window_days", 30), **fields
    )
    make_run(campaign, [client.id], launched_at=noon(_day(back)))
    return campaign


def _judge(campaign: Campaign) -> CountedOpening | None:
    with unit_of_work():
        judge_campaign(db.session.get_one(Campaign, campaign.id), everything=True)
    db.session.expire_all()
    return db.session.scalar(select(CountedOpening).where(CountedOpening.campaign_id == campaign.id))


def _partner_accounts(client: Client, *, opened: date) -> None:
    make_holding(client, "custody", opened_on=opened, partner_bank="harbour bank")
    make_holding(client, "a_share_shanghai", opened_on=opened, designated_on=opened + timedelta(days=3))
    make_holding(client, "a_share_shenzhen", opened_on=opened + timedelta(days=1))


def test_without_a_rule_every_opening_is_effective_on_its_day(app: Flask) -> None:
    client = make_client()
    campaign = _launched(client, back=20)
    report_opening(client_number=client.number, opened_at=noon(_day(10)), amount=Decimal(500))
    counted = _judge(campaign)
    assert counted is not None
    assert (counted.effective_on, counted.brought_in) == (_day(10), Decimal(500))


def test_a_rule_holds_on_the_first_day_on_which_all_of_it_is_true(app: Flask) -> None:
    client = make_client()
    campaign = _launched(client, back=60, rule=PARTNER_RULE)
    _partner_accounts(client, opened=_day(50))
    make_holding(client, "cash", opened_on=_day(50), balances={_day(48): 9_500, _day(46): 9_000, _day(44): 10_000})
    report_opening(client_number=client.number, opened_at=noon(_day(50)))
    counted = _judge(campaign)
    assert counted is not None
    assert counted.effective_on == _day(44)  # trading was designated before, but the cash was too little
    assert (counted.assets_before, counted.brought_in) == (None, Decimal(10_000))


@pytest.mark.parametrize("missing", ["partner", "designated", "cash", "late", "kind"])
def test_a_rule_that_does_not_hold_makes_no_effective_opening(app: Flask, missing: str) -> None:
    client = make_client()
    campaign = _launched(client, back=90, rule=PARTNER_RULE | ({"kinds": ["opening"]} if missing == "kind" else {}))
    opened = _day(80)
    make_holding(client, "custody", opened_on=opened, partner_bank="Other" if missing == "partner" else "Harbour Bank")
    designated = None if missing == "designated" else opened
    make_holding(client, "a_share_shanghai", opened_on=opened, designated_on=designated)
    make_holding(client, "a_share_shenzhen", opened_on=opened)
    held = _day(80 - 31) if missing == "late" else _day(75)
    make_holding(client, "cash", opened_on=opened, balances={held: 9_999 if missing == "cash" else 10_000})
    kind = "transfer_in" if missing == "kind" else "opening"
    report_opening(client_number=client.number, opened_at=noon(opened), kind=kind)
    counted = _judge(campaign)
    assert counted is not None
    assert counted.effective_on is None


def test_openings_of_both_arms_count_whatever_was_sent(app: Flask) -> None:
    treated, control, stranger = make_clients(3)
    campaign = make_launched_campaign(window_days=30)
    make_run(campaign, [treated, control], skipped={"control": [control]}, launched_at=noon(_day(20)))
    for number, back in (("1", 10), ("2", 10), ("3", 10)):
        report_opening(external_id=number, client_number=number, opened_at=noon(_day(back)))
    with unit_of_work():
        judge_campaign(campaign)
    found = openings_of_campaign(campaign)
    assert set(found.opened) == {treated, control}
    assert set(found.effective) == {treated, control}
    assert set(found.claimed) == set(found.effective_claimed) == {treated}
    assert stranger not in found.opened


def test_two_campaigns_share_an_opening_and_the_total_counts_it_once(app: Flask) -> None:
    client = make_client()
    one, other = _launched(client, back=20), _launched(client, back=15)
    opening = report_opening(client_number=client.number, opened_at=noon(_day(10)))
    for campaign in (one, other):
        _judge(campaign)
        assert set(openings_of_campaign(campaign).shared) == {client.id}
    assert set(claimed_by_any([one.id, other.id])) == {client.id}
    assert openings_claimed_by_any([one.id, other.id]) == 1
    members = openings_of_campaign(one).opened
    assert [row[:2] for row in openings_between(noon(_day(11)), noon(_day(9)), clients=members)] == [
        (client.id, opening.id)
    ]


def test_openings_are_followed_30_90_and_180_days(app: Flask) -> None:
    client = make_client()
    campaign = _launched(client, back=210, rule={"kinds": ["opening"], "minimum": {"amount": "1000"}})
    make_holding(client, "cash", opened_on=_day(200), balances={_day(199): 5_000, _day(150): 1_000, _day(60): 200})
    report_opening(client_number=client.number, opened_at=noon(_day(200)))
    _judge(campaign)
    notes = db.session.scalars(select(OpeningFollowUp).order_by(OpeningFollowUp.days)).all()
    assert [(note.days, note.still_effective, note.assets) for note in notes] == [
        (30, True, Decimal(5_000)),
        (90, True, Decimal(1_000)),
        (180, False, Decimal(200)),
    ]
    found = openings_of_campaign(campaign)
    assert (len(found.followed[180].looked_at), len(found.followed[180].still)) == (1, 0)
    assert found.brought_in == {client.id: Decimal(5_000)}


def test_a_closed_account_is_no_longer_effective(app: Flask) -> None:
    client = make_client()
    campaign = _launched(client, back=50)
    make_holding(client, "fund", opened_on=_day(40), closed_on=_day(20))
    report_opening(client_number=client.number, opened_at=noon(_day(40)), account_number=f"fund-{client.id}")
    _judge(campaign)
    assert [note.still_effective for note in db.session.scalars(select(OpeningFollowUp))] == [False]


def test_judging_again_changes_nothing_and_forgets_what_no_longer_counts(app: Flask) -> None:
    client = make_client()
    campaign = _launched(client, back=50)
    opening = report_opening(client_number=client.number, opened_at=noon(_day(40)))
    before = _judge(campaign)
    again = _judge(campaign)
    assert before is not None
    assert again is not None
    assert again.effective_on == _day(40)
    with unit_of_work():
        opening.opened_at = noon(_day(60))
        opening.attributed_at = None
    report_opening(external_id="2", client_number=None, email="nobody@example.com", opened_at=noon(_day(1)))
    assert _judge(campaign) is None
    assert db.session.scalars(select(OpeningFollowUp)).all() == []


@pytest.mark.parametrize(
    "plain",
    [
        [],
        "rule",
        {"kinds": []},
        {"kinds": ["gift"]},
        {"kinds": ["opening"], "within_days": 1_000},
        {"kinds": ["opening"], "within_days": True},
        {"kinds": ["opening"], "accounts": [{"kind": "\0"}]},
        {"kinds": ["opening"], "accounts": [{"kind": "a"}] * 7},
        {"kinds": ["opening"], "minimum": {"amount": "-1"}},
        {"kinds": ["opening"], "minimum": {"amount": "NaN"}},
        {"kinds": ["opening"], "more": 1},
    ],
)
def test_what_is_no_rule_is_refused(app: Flask, plain: Any) -> None:
    with app.test_request_context(), pytest.raises(BadRule):
        read_rule(plain)
