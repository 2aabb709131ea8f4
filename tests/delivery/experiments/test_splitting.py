"""What a launch freezes: the control group, its splits, the variants, and the groups of the report."""

from flask import Flask
from pyroaring import BitMap64
from scipy.stats import binomtest
from sqlalchemy import update

from app.campaigns.models import CampaignSegment, State
from app.clients.classes.models import ClientClass
from app.clients.models import Client
from app.core.extensions import db
from app.delivery.models import LEFT_OUT, Run, RunTest
from app.users.models import Branch
from tests.factories.campaigns import make_campaign
from tests.factories.clients import make_clients
from tests.factories.delivery import launched, plan
from tests.factories.experiments import add_variants, contacted, groups_of, run_of, set_global_control, splits_of
from tests.factories.ledger import make_segment
from tests.factories.users import make_branch, make_user


def by_city(city: str) -> dict[str, object]:
    return {"all": [{"field": "city", "op": "in", "value": [city]}]}


def plausible(drawn: int, of: int, share: float) -> bool:
    """A hash that draws this share would be so far off by chance once in a million launches."""
    return bool(binomtest(drawn, of, share).pvalue > 1e-6)


def test_control_and_treated_are_the_eligible(app: Flask) -> None:
    make_clients(2_000)
    make_clients(100, email=None)
    run = run_of(campaign := launched(control_percent=20))
    control = run.control_ids
    assert (run.matched, sum(run.exclusions.values()), run.eligible) == (2_100, 100, 2_000)
    assert plausible(len(control), 2_000, 0.2)
    assert contacted(campaign) == run.audience.client_ids - control  # type: ignore[union-attr]
    assert len(control) + len(contacted(campaign)) == run.eligible
    assert splits_of(run) == {0.2: run.audience.client_ids}  # type: ignore[union-attr]


def test_without_a_share_nobody_is_spared(app: Flask) -> None:
    ids = make_clients(300)
    run = run_of(campaign := launched())
    assert run.control is None
    assert contacted(campaign) == BitMap64(ids)
    assert splits_of(run) == {0.0: BitMap64(ids)}


def test_each_launch_draws_anew(app: Flask) -> None:
    make_clients(1_000)
    runs = [run_of(launched(control_percent=30)) for _ in range(2)]
    assert runs[0].salt != runs[1].salt
    assert runs[0].control_ids != runs[1].control_ids


def test_only_marketing_has_a_control_group(app: Flask) -> None:
    ids = make_clients(300)
    set_global_control(30)
    for purpose in ("service", "statutory"):
        run = run_of(campaign := launched(purpose=purpose, control_percent=50))
        assert run.control is None
        assert contacted(campaign) == BitMap64(ids)
        assert splits_of(run) == {0.0: BitMap64(ids)}


def test_who_is_in_several_segments_takes_the_highest_share(app: Flask) -> None:
    first = make_clients(1_000, city="Porto")
    second = make_clients(1_000, city="Lisbon")
    segments = [
        make_segment("Porto", rule=by_city("Porto")),
        make_segment("Lisbon", rule=by_city("Lisbon")),
        make_segment("Everyone"),
    ]
    campaign = make_campaign(state=State.RUNNING, include=segments, control_percent=10)
    links = {link.segment_id: link for link in campaign.segments}
    links[segments[0].id].control_percent = 50
    links[segments[1].id].control_percent = 5
    db.session.commit()
    plan(campaign)
    run = run_of(campaign)
    assert splits_of(run) == {0.5: BitMap64(first), 0.1: BitMap64(second)}
    assert plausible(len(run.control_ids & BitMap64(first)), 1_000, 0.5)
    assert plausible(len(run.control_ids & BitMap64(second)), 1_000, 0.1)


def test_a_segment_only_reported_by_has_no_share(app: Flask) -> None:
    make_clients(200)
    segment = make_segment("Reported")
    campaign = make_campaign(state=State.RUNNING, report=[segment])
    link = next(link for link in campaign.segments if link.role == "report")
    link.control_percent = 90
    db.session.commit()
    plan(campaign)
    assert run_of(campaign).control is None
    assert isinstance(link, CampaignSegment)


def test_the_firms_control_group_is_the_same_in_every_campaign(app: Flask) -> None:
    make_clients(2_000)
    set_global_control(10)
    runs = [run_of(campaign) for campaign in (launched(), launched(control_percent=20))]
    assert plausible(len(runs[0].control_ids), 2_000, 0.1)
    assert plausible(len(runs[1].control_ids), 2_000, 0.28)
    assert runs[0].control_ids < runs[1].control_ids
    assert list(splits_of(runs[0])) == [0.1]
    assert list(splits_of(runs[1])) == [0.28]


def test_groups_are_apart_and_together_the_eligible(app: Flask) -> None:
    branch = make_branch(name="Harbour")
    adviser = make_user(name="Ada")
    plain = BitMap64(make_clients(300))
    harbour = BitMap64(make_clients(200, branch_id=branch.id, adviser_id=adviser.id))
    db.session.add_all(ClientClass(client_id=one, aum_tier="private") for one in list(harbour)[:50])
    db.session.commit()
    run = run_of(launched(control_percent=20))
    groups = groups_of(run)
    head_office = db.session.scalars(db.select(Branch.id).where(Branch.code == "HO")).one()
    assert groups["branch"] == {str(head_office): plain, str(branch.id): harbour}
    assert groups["adviser"] == {"": plain, str(adviser.id): harbour}
    assert groups["tier"]["private"] == harbour[:50]
    assert groups["tier"][""] == plain | harbour[50:]
    for sets in groups.values():
        assert sum(len(one) for one in sets.values()) == run.eligible


def test_groups_stay_as_they_were(app: Flask) -> None:
    make_clients(100)
    branch = make_branch(name="Harbour")
    campaign = launched(control_percent=10)
    before = groups_of(run_of(campaign))
    db.session.execute(update(Client).values(branch_id=branch.id))
    db.session.commit()
    plan(campaign)
    assert groups_of(run_of(campaign)) == before


def test_only_the_eligible_are_in_the_groups_and_who_was_left_out_is_kept_apart(app: Flask) -> None:
    eligible = BitMap64(make_clients(50))
    left_out = {"no_consent": BitMap64(make_clients(50, email_consent=False))}
    left_out["no_address"] = BitMap64(make_clients(20, email=None))
    groups = dict(groups_of(run_of(launched())))
    assert groups.pop(LEFT_OUT) == left_out
    for sets in groups.values():
        assert BitMap64().union(*sets.values()) == eligible


def test_variants_split_the_eligible_by_their_shares(app: Flask) -> None:
    make_clients(2_000)
    campaign = make_campaign(state=State.RUNNING, control_percent=20)
    add_variants(campaign, [30, 20], test_hours=48, test_metric="opened")
    plan(campaign)
    run = run_of(campaign)
    arms = groups_of(run)[f"variant:{campaign.steps[0].id}"]
    assert sorted(arms) == ["A", "B", "C"]
    for letter, share in {"A": 0.5, "B": 0.3, "C": 0.2}.items():
        assert plausible(len(arms[letter]), 2_000, share)
        assert plausible(len(arms[letter] & run.control_ids), len(arms[letter]), 0.2)
    assert sum(len(one) for one in arms.values()) == 2_000
    test = db.session.get(RunTest, (run.id, campaign.steps[0].id))
    assert test is not None
    assert (test.metric, test.rest, test.chosen) == ("opened", 0, None)
    assert (test.ends_at - run.created_at).total_seconds() == 48 * 3600


def test_a_test_keeps_the_rest_back(app: Flask) -> None:
    make_clients(2_000)
    campaign = make_campaign(state=State.RUNNING, control_percent=10)
    add_variants(campaign, [50], test_percent=20)
    plan(campaign)
    run = run_of(campaign)
    arms = groups_of(run)[f"variant:{campaign.steps[0].id}"]
    assert plausible(len(arms["rest"]), 2_000, 0.8)
    assert plausible(len(arms["A"]), 2_000, 0.1)
    assert contacted(campaign) == (arms["A"] | arms["B"]) - run.control_ids
    test = db.session.get(RunTest, (run.id, campaign.steps[0].id))
    assert test is not None
    assert test.rest == len(arms["rest"] - run.control_ids)


def test_nobody_eligible_is_no_error(app: Flask) -> None:
    ids = make_clients(5, email_consent=False)
    campaign = make_campaign(state=State.RUNNING, control_percent=10)
    plan(campaign)
    run = run_of(campaign)
    assert run.eligible == 0
    assert run.control is None
    assert groups_of(run) == {LEFT_OUT: {"no_consent": BitMap64(ids)}}
    assert db.session.get(Run, run.id) is not None
