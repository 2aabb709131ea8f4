"""Both arms as they were assigned, whoever opened an account, and what is read from it."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pyroaring import BitMap64
from sqlalchemy import select, update

from app.audit.models import AuditEntry
from app.campaigns.models import Campaign
from app.clients.models import Client
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.reports.effect.breakdown import breakdown
from app.reports.effect.effects import Judgement, effects_of
from app.reports.effect.report import campaign_effect
from app.reports.effect.strata import Strata, Stratum
from app.reports.effect.verdict import Finding
from app.reports.effect.words import headline
from app.reports.outcomes.service import count_outcomes
from app.statistics.lift import Arm, difference
from tests.factories.clients import make_clients
from tests.factories.effect import make_compared_run, make_openings
from tests.factories.ledger import LAUNCH, make_launched_campaign
from tests.factories.users import make_branch, make_user, sign_in


@pytest.fixture
def clients(app: Flask) -> list[int]:
    return make_clients(2_000)


@pytest.fixture
def campaign(clients: list[int]) -> Campaign:
    """1,500 treated of whom 150 opened, 500 of the control group of whom 20 did; A did it, B did nothing."""
    made = make_launched_campaign(code="DRIVE", name="Autumn drive", fixed_cost=Decimal(500))
    made.steps[0].unit_cost = Decimal("0.1")
    control = clients[::4]
    a, b = clients[:1000], clients[1000:]
    make_compared_run(made, clients, control, segments={"A": a, "B": b})
    make_openings([c for c in a if c not in set(control)][:130], campaign=made, brought_in=1_000)
    make_openings([c for c in b if c not in set(control)][:20])
    make_openings([c for c in control if c in set(a)][:10] + [c for c in control if c in set(b)][:10])
    return made


def test_lift_is_over_all_who_were_assigned(campaign: Campaign) -> None:
    effect = campaign_effect(campaign)
    assert effect is not None
    whole = effect.whole
    assert (whole.treated, whole.control, whole.opened, whole.control_opened) == (1500, 500, 150, 20)
    assert whole.effective == 130
    assert whole.lift == difference(Arm(150, 1500), Arm(20, 500))
    assert effect.split is not None
    assert effect.split.ok
    assert [one.judgement for one in effect.segments] == [Judgement.MORE, Judgement.INCONCLUSIVE]


def test_the_verdict_names_the_accounts_their_cost_and_the_segments(campaign: Campaign) -> None:
    effect = campaign_effect(campaign)
    assert effect is not None
    assert effect.verdict.finding is Finding.WORKED
    assert effect.cost is None or effect.cost == 500  # nothing is counted yet
    words = headline(effect)
    assert words.startswith("90 (")
    assert words.endswith("repeat for A, stop for B.")


def test_openings_count_by_either_arm_and_within_the_window_only(campaign: Campaign, clients: list[int]) -> None:
    before = campaign_effect(campaign)
    late = LAUNCH + timedelta(days=campaign.window_days)
    make_openings(clients[-40:], opened_at=late)
    make_openings(clients[-40:], opened_at=LAUNCH - timedelta(seconds=1))
    assert campaign_effect(campaign).whole == before.whole  # type: ignore[union-attr]
    make_openings(clients[-4:], opened_at=late - timedelta(seconds=1))
    after = campaign_effect(campaign)
    assert after is not None
    assert (after.whole.opened, after.whole.control_opened) == (153, 21)


def test_a_client_who_opened_twice_counts_once(campaign: Campaign, clients: list[int]) -> None:
    make_openings([clients[1]] * 3)
    effect = campaign_effect(campaign)
    assert effect is not None
    assert effect.whole.opened == 150


def test_a_record_that_was_merged_away_is_found_by_the_one_that_stays(campaign: Campaign, clients: list[int]) -> None:
    (survivor,) = make_clients(1)
    db.session.execute(update(Client).where(Client.id == clients[-1]).values(merged_into_id=survivor))
    db.session.commit()
    make_openings([survivor])
    effect = campaign_effect(campaign)
    assert effect is not None
    assert effect.whole.opened == 151


def test_assets_count_those_who_brought_nothing(campaign: Campaign) -> None:
    effect = campaign_effect(campaign)
    assert effect is not None
    assert effect.assets.brought_in == 130_000
    assert effect.assets.welch is not None
    assert round(effect.assets.welch.incremental) == 130_000
    assert effect.assets.bootstrap is not None
    assert round(effect.assets.bootstrap.incremental) == 130_000


def test_assets_of_several_control_shares_are_compared_share_by_share(clients: list[int]) -> None:
    """The rich bring 1,000 each in both arms, the poor nothing: added up, the campaign would seem to bring them in."""
    rich, poor = clients[:1_000], clients[1_000:]
    made = make_launched_campaign()
    control = rich[::10] + [client for place, client in enumerate(poor) if place % 10]
    make_compared_run(made, clients, control, shares={0.1: rich, 0.9: poor})
    make_openings(rich[:200], campaign=made, brought_in=1_000)
    effect = campaign_effect(made)
    assert effect is not None
    assert effect.assets.brought_in == 180_000
    for lift in (effect.assets.welch, effect.assets.bootstrap):
        assert lift is not None
        assert lift.low < 0 < lift.high
        assert abs(lift.incremental) < 1e-6


def test_each_segment_has_its_effective_accounts_assets_and_cost(campaign: Campaign) -> None:
    """1,500 messages at 0.10 and 500 fixed, which fall on the segments as their treated do: 750 each."""
    with unit_of_work():
        count_outcomes()
    effect = campaign_effect(campaign)
    assert effect is not None
    a, b = effect.segments
    assert (a.opened, a.effective, a.brought_in) == (130, 130, 130_000)
    assert (b.opened, b.effective, b.brought_in) == (20, 0, 0)
    assert (a.cost, b.cost, effect.cost) == (325, 325, 650)
    assert a.cost_per_account == Decimal("2.5")
    assert (b.cost_per_account, b.cost_per_effective) == (Decimal("16.25"), None)


def test_shares_of_their_own_are_compared_share_by_share() -> None:
    """Adding up would call a campaign without any effect a success: the arms differ in who is in them."""
    rich, poor = range(1, 2_001), range(2_001, 4_001)
    opened = BitMap64([*range(1, 401), *range(2_001, 2_041)])  # every fifth of the rich, every fiftieth of the poor

    def stratum(ids: range, every: int) -> Stratum:
        control = BitMap64(ids[::every])
        everybody = BitMap64(ids)
        spread = BitMap64([i for i in ids if i % 5 == 0]) if ids is rich else BitMap64([i for i in ids if i % 50 == 0])
        return Stratum(1 / every, everybody - control, control, spread, BitMap64())

    strata = Strata([stratum(rich, 11), stratum(poor, 2)])
    assert opened
    (effect,) = effects_of(strata, [("", "all", strata.assigned)])
    assert effect.lift is not None
    assert effect.lift.low < 0 < effect.lift.high
    treated_rate, control_rate = effect.opened / effect.treated, effect.control_opened / effect.control
    assert treated_rate - control_rate > 0.02


def test_without_a_control_group_the_report_says_so(clients: list[int]) -> None:
    made = make_launched_campaign()
    make_compared_run(made, clients, [])
    effect = campaign_effect(made)
    assert effect is not None
    assert effect.verdict.finding is Finding.NO_CONTROL
    assert headline(effect).startswith("No control group")


def test_a_split_that_is_not_what_was_drawn_is_told(clients: list[int]) -> None:
    made = make_launched_campaign(code="LOST")
    make_compared_run(made, clients, clients[:300], shares={0.25: clients})
    effect = campaign_effect(made)
    assert effect is not None
    assert effect.verdict.finding is Finding.SPLIT_FAILED


def test_a_branch_counts_its_own_part_of_both_arms(app: Flask) -> None:
    south = make_branch(name="South")
    own, other = make_clients(400, branch_id=south.id), make_clients(400)
    made = make_launched_campaign()
    everybody = own + other
    groups = {("branch", str(south.id), "South"): own, ("branch", str(south.parent_id), "Head office"): other}
    make_compared_run(made, everybody, everybody[::4], groups=groups, segments={"all": everybody})
    make_openings(own[1:40] + other[1:90])
    effect = campaign_effect(made, make_user(role="branch_manager", branch=south))
    assert effect is not None
    assert (effect.whole.treated, effect.whole.control) == (300, 100)
    assert effect.whole.opened + effect.whole.control_opened == 39
    assert effect.split is not None
    assert effect.split.ok
    assert {one.cost for one in (effect.whole, *effect.segments)} == {None}


def test_groups_are_those_of_the_launch_or_of_today(app: Flask) -> None:
    south = make_branch(name="South")
    own = make_clients(40, branch_id=south.id)
    made = make_launched_campaign()
    make_compared_run(made, own, own[:10], groups={("branch", str(south.id), "South"): own})
    db.session.execute(update(Client).where(Client.id.in_(own[:4])).values(branch_id=south.parent_id))
    db.session.commit()
    then = breakdown(made, "branch")
    now = breakdown(made, "branch", today=True)
    assert [(row.name, one.treated + one.control) for row, one in then.lines] == [("South", 40)]
    assert sorted(one.treated + one.control for _row, one in now.lines) == [4, 36]


class TestPage:
    @pytest.fixture
    def marketing(self, browser_client: FlaskClient) -> FlaskClient:
        return sign_in(browser_client, make_user(role="marketing"))

    def test_the_report_opens_with_its_verdict(self, marketing: FlaskClient, campaign: Campaign) -> None:
        page = marketing.get("/reports/DRIVE").text
        assert "repeat for A, stop for B." in page
        assert "Split check passed." in page
        assert "Draft the suggested campaign" in page

    def test_one_click_drafts_the_suggested_campaign(self, marketing: FlaskClient, campaign: Campaign) -> None:
        answer = marketing.post("/reports/DRIVE/draft")
        assert answer.status_code == 302
        drafts = db.session.scalars(select(Campaign).where(Campaign.state == "draft")).all()
        assert [draft.name for draft in drafts] == ["Autumn drive, repeated"]
        roles = {link.segment.name: link.role for link in drafts[0].segments}
        assert roles == {"A": "include", "B": "exclude"}
        assert db.session.scalar(select(AuditEntry.id).where(AuditEntry.action == "campaign.copied"))

    @pytest.mark.parametrize("figure", ["treated", "control", "opened_treated", "opened_control", "effective"])
    def test_every_figure_leads_to_its_clients(self, marketing: FlaskClient, campaign: Campaign, figure: str) -> None:
        assert marketing.get(f"/reports/DRIVE/clients?outcome={figure}").status_code == 200

    def test_the_control_group_is_listed_though_it_got_nothing(
        self, marketing: FlaskClient, campaign: Campaign
    ) -> None:
        page = marketing.get("/reports/DRIVE/clients?outcome=opened_control").text
        assert page.count('data-label="Branch"') == 20

    @pytest.mark.parametrize("dimension", ["branch", "adviser", "tier", "variant", "channel"])
    def test_every_breakdown_is_there(self, marketing: FlaskClient, campaign: Campaign, dimension: str) -> None:
        page = marketing.get(f"/reports/DRIVE/by/{dimension}")
        assert page.status_code == 200
        assert re.findall(r'id="by-(\w+)"[^>]*aria-current="true"', page.text) == [dimension]
        assert marketing.get(f"/reports/DRIVE/by/{dimension}?today=1").status_code == 200

    def test_a_segment_put_on_afterwards_is_described_and_not_compared(
        self, marketing: FlaskClient, campaign: Campaign
    ) -> None:
        page = marketing.get(f"/reports/DRIVE/segment?segment={campaign.segments[0].segment_id}").text
        assert "Rates that describe, no lift" in page
        assert marketing.get("/reports/DRIVE/segment?segment=99999").status_code == 404
        assert marketing.get("/reports/DRIVE/segment?segment=x").status_code == 200

    def test_addresses_that_name_nothing_are_not_found(self, marketing: FlaskClient, campaign: Campaign) -> None:
        for query in (
            "outcome=nothing",
            "outcome=treated&group=branch:9",
            "outcome=treated&group=x",
            "outcome=sent&segment=999999999999999999999",
        ):
            assert marketing.get(f"/reports/DRIVE/clients?{query}").status_code == 404
