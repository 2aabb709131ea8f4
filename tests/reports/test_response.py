"""What the report counts: unique clients, nested figures, per segment as frozen at launch."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyroaring import BitMap64
from sqlalchemy import event, update

from app.campaigns.models import Campaign
from app.clients.models import Client
from app.core.extensions import db
from app.delivery.models import Message, MessageState
from app.reports.outcomes.queries import Sets, keys_of
from app.reports.response import (
    DENOMINATORS,
    Delivery,
    Ledger,
    Outcome,
    add_sets,
    campaign_response,
    headlines,
    outcome_clients,
)
from app.users.models import Branch
from tests.factories.clients import make_clients
from tests.factories.ledger import LAUNCH, make_launched_campaign, make_opening, make_run
from tests.factories.users import make_branch, make_user


@pytest.fixture
def clients(app: Flask) -> list[int]:
    return make_clients(100)


@pytest.fixture
def queries(app: Flask) -> Iterator[list[str]]:
    """Every statement sent to the database, as it is sent."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    yield seen
    event.remove(db.engine, "before_cursor_execute", note)


def test_every_figure_of_the_whole_audience_and_each_segment(clients: list[int]) -> None:
    campaign = make_launched_campaign()
    students, retired = clients[:40], clients[30:60]
    make_run(
        campaign,
        clients,
        segments={"everyone": clients, "students": students, "retired": retired},
        opened=clients[:20],
        clicked=clients[10:15],
        replied=clients[:2],
        unsubscribed=[clients[3]],
        bounced=clients[90:],
        exclusions={"no_consent": 7, "no_address": 2},
    )
    make_opening(campaign, clients[35])
    make_opening(campaign, clients[35])
    make_opening(campaign, clients[5])

    response = campaign_response(campaign)

    total = response.total
    assert (total.targeted, total.sent, total.delivered) == (100, 100, 90)
    assert (total.opened, total.clicked, total.replied, total.unsubscribed) == (20, 5, 2, 1)
    assert (total.bounced, total.accounts_opened) == (10, 2)
    assert [row.name for row in response.segments] == ["everyone", "students", "retired"]
    everyone, young, old = response.segments
    assert (everyone.targeted, everyone.opened) == (total.targeted, total.opened)
    assert (young.targeted, young.opened, young.clicked, young.accounts_opened) == (40, 20, 5, 2)
    assert (old.targeted, old.opened, old.clicked, old.accounts_opened) == (30, 0, 0, 1)
    assert response.exclusions == {"no_consent": 7, "no_address": 2}
    assert response.matched == 109


def test_a_click_proves_an_open(clients: list[int]) -> None:
    campaign = make_launched_campaign()
    make_run(campaign, clients, opened=clients[:3], clicked=clients[2:6])
    assert campaign_response(campaign).total.opened == 6


def test_openings_of_clients_outside_the_segment_do_not_count_for_it(clients: list[int]) -> None:
    campaign = make_launched_campaign()
    make_run(campaign, clients, segments={"first": clients[:10], "rest": clients[10:]})
    make_opening(campaign, clients[0])
    first, rest = campaign_response(campaign).segments
    assert (first.accounts_opened, rest.accounts_opened) == (1, 0)


def test_plain_smtp_counts_what_was_accepted_and_did_not_bounce_as_delivered(clients: list[int]) -> None:
    campaign = make_launched_campaign()
    make_run(campaign, clients, bounced=clients[:4], failed={"refused": clients[4:6]}, unconfirmed=[clients[6]])
    response = campaign_response(campaign)
    assert not response.receipts
    assert (response.total.sent, response.total.delivered, response.total.bounced) == (97, 93, 4)
    assert (response.total.failed, response.total.unconfirmed) == (2, 1)
    assert response.failed == {"refused": 2}


def test_receipts_decide_where_a_vendor_sends_them(clients: list[int]) -> None:
    campaign = make_launched_campaign()
    make_run(campaign, clients, delivered=clients[:50], opened=clients[49:52])
    response = campaign_response(campaign)
    assert response.receipts
    assert response.total.delivered == 52  # an open proves delivery even where its receipt is late
    assert response.total.opened == 3


def test_receipts_of_one_account_say_nothing_of_another(clients: list[int]) -> None:
    """Half went through a vendor that reports, half through a relay that does not."""
    campaign = make_launched_campaign()
    run = make_run(campaign, clients, delivered=clients[:40], bounced=clients[48:52])
    for account_id, some in ((1, clients[:50]), (2, clients[50:])):
        db.session.execute(
            update(Message).where(Message.run_id == run.id, Message.client_id.in_(some)).values(account_id=account_id)
        )
    db.session.commit()
    response = campaign_response(campaign)
    assert (response.total.sent, response.total.delivered) == (100, 40 + 48)
    assert response.delivery is Delivery.BOTH
    assert not response.receipts


def test_an_answer_settles_a_message_that_awaited_its_receipt(clients: list[int]) -> None:
    campaign = make_launched_campaign()
    make_run(campaign, clients, unconfirmed=clients[:3], opened=[clients[0]])
    total = campaign_response(campaign).total
    assert (total.sent, total.delivered, total.unconfirmed) == (98, 98, 2)


def test_skipped_waiting_and_cancelled_are_targeted_but_not_sent(clients: list[int]) -> None:
    campaign = make_launched_campaign()
    make_run(campaign, clients, skipped={"suppressed": clients[:5], "no_consent": clients[5:7]}, waiting=clients[7:10])
    response = campaign_response(campaign)
    assert (response.total.targeted, response.total.sent) == (100, 90)
    assert (response.total.skipped, response.total.waiting) == (7, 3)
    assert response.skipped == {"suppressed": 5, "no_consent": 2}
    assert list(response.skipped) == ["suppressed", "no_consent"]


def test_clients_not_planned_yet_are_targeted_and_still_to_be_sent(clients: list[int]) -> None:
    campaign = make_launched_campaign()
    run = make_run(campaign, clients[:60])
    run.audience.bitmap = BitMap64(clients).serialize()
    db.session.commit()
    total = campaign_response(campaign).total
    assert (total.targeted, total.sent, total.waiting) == (100, 60, 40)
    run.state = "cancelled"
    db.session.commit()
    assert campaign_response(campaign).total.cancelled == 40


def test_the_number_of_queries_does_not_grow_with_segments(clients: list[int], queries: list[str]) -> None:
    campaign = make_launched_campaign()
    make_run(campaign, clients, segments={f"segment {n}": clients[n:] for n in range(30)})
    db.session.expire_all()
    queries.clear()
    campaign_response(campaign)
    assert len(queries) <= 9


def test_segments_are_counted_as_frozen_at_launch(clients: list[int]) -> None:
    campaign = make_launched_campaign()
    make_run(campaign, clients, segments={"Shanghai": clients[:10]}, opened=clients[:10])
    db.session.execute(update(Client).values(city="Beijing"))
    assert campaign_response(campaign).segments[0].opened == 10


def test_clients_of_several_launches_count_once(clients: list[int]) -> None:
    campaign = make_launched_campaign()
    make_run(campaign, clients[:60], segments={"everyone": clients[:60]}, opened=clients[:5])
    make_run(campaign, clients[40:], segments={"everyone": clients[40:]}, opened=clients[40:50])
    response = campaign_response(campaign)
    assert (response.total.targeted, response.total.opened) == (100, 15)
    assert response.segments[0].targeted == 100


def test_a_campaign_that_was_not_launched_has_an_empty_report(app: Flask) -> None:
    response = campaign_response(make_launched_campaign())
    assert response.total.targeted == 0
    assert response.segments == []
    assert response.total.rate(Outcome.SENT).share is None


def test_one_client_of_another_campaign_does_not_leak_in(clients: list[int]) -> None:
    one, other = make_launched_campaign(), make_launched_campaign()
    make_run(one, clients[:10], opened=clients[:2])
    make_run(other, clients, opened=clients)
    assert campaign_response(one).total.opened == 2
    rows = headlines([one, other])
    assert (rows[one.id].opened, rows[other.id].opened) == (2, 100)


def test_a_rate_names_its_denominator_and_carries_its_interval(clients: list[int]) -> None:
    campaign = make_launched_campaign()
    make_run(campaign, clients, bounced=clients[:20], opened=clients[50:70])
    rate = campaign_response(campaign).total.rate(Outcome.OPENED)
    assert (rate.numerator, rate.denominator) == (20, 80)
    assert rate.interval is not None
    assert rate.interval.low < 0.25 < rate.interval.high


def test_the_drill_down_holds_exactly_the_clients_of_the_figure(clients: list[int]) -> None:
    campaign = make_launched_campaign()
    make_run(campaign, clients, segments={"all": clients, "part": clients[:30]}, opened=clients[20:50])
    part = campaign_response(campaign).segments[1]
    found = outcome_clients(campaign, Outcome.OPENED, segment_id=part.segment_id)
    assert list(found) == sorted(clients[20:30])
    assert len(found) == part.opened


class TestBranchScope:
    @pytest.fixture
    def south(self, app: Flask) -> Branch:
        return make_branch(name="South")

    def test_a_branch_manager_sees_the_clients_of_the_own_subtree_only(self, south: Branch) -> None:
        outlet = make_branch(name="South 1", parent=south)
        elsewhere = make_clients(20)
        own = make_clients(10, branch_id=south.id) + make_clients(5, branch_id=outlet.id)
        campaign = make_launched_campaign()
        make_run(
            campaign,
            elsewhere + own,
            segments={"everyone": elsewhere + own},
            opened=[elsewhere[0], own[0], own[-1]],
            exclusions={"no_consent": 3},
        )
        make_opening(campaign, own[0])
        make_opening(campaign, elsewhere[0])
        manager = make_user(roles=["branch_manager"], branch=south)

        response = campaign_response(campaign, manager)

        assert (response.total.targeted, response.total.opened, response.total.accounts_opened) == (15, 2, 1)
        assert response.segments[0].targeted == 15
        assert response.exclusions == {}
        assert list(outcome_clients(campaign, Outcome.OPENED, viewer=manager)) == sorted([own[0], own[-1]])

    def test_clients_who_moved_away_are_no_longer_counted_by_their_former_branch(self, south: Branch) -> None:
        own = make_clients(10, branch_id=south.id)
        campaign = make_launched_campaign()
        make_run(campaign, own, opened=own)
        head_office_id = south.parent_id
        db.session.execute(update(Client).where(Client.id == own[0]).values(branch_id=head_office_id))
        db.session.commit()
        manager = make_user(roles=["branch_manager"], branch=south)
        assert campaign_response(campaign, manager).total.opened == 9

    def test_head_office_sees_everything(self, south: Branch) -> None:
        own = make_clients(10, branch_id=south.id)
        campaign = make_launched_campaign()
        make_run(campaign, own)
        assert campaign_response(campaign, make_user(roles=["head_office"])).total.targeted == 10


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.booleans(),
    st.lists(
        st.tuples(st.sampled_from(list(MessageState)), st.integers(0, 511), st.sets(st.integers(1, 30))), max_size=12
    ),
)
def test_figures_nest_whatever_the_ledger_holds(
    reports: bool, groups: list[tuple[MessageState, int, set[int]]]
) -> None:
    """No rate can exceed 100 %: every figure lies within its denominator, for any mix of states and marks."""
    sets: Sets = {}
    for state, marks, ids in groups:
        for key in keys_of(state, "reason", marks):
            sets[key] = sets.get(key, BitMap64()) | BitMap64(ids)
    ledger = Ledger()
    add_sets(ledger, sets, reporting={""} if reports else set())
    for outcome, whole in DENOMINATORS.items():
        assert ledger.clients[outcome].issubset(ledger.clients[whole]), outcome


def test_times_do_not_matter_to_the_figures(clients: list[int]) -> None:
    campaign: Campaign = make_launched_campaign()
    make_run(campaign, clients, opened={clients[0]: LAUNCH + timedelta(days=400)})
    assert campaign_response(campaign).total.opened == 1
