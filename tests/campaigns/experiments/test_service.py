"""Choosing the control group and the variants: checked, on record, only in drafts; and what preflight says of them."""

import math
from collections.abc import Mapping

import pytest
from flask import Flask

from app.campaigns import service as campaigns
from app.campaigns.experiments.control import Shares, expected_split
from app.campaigns.experiments.global_control import global_control
from app.campaigns.experiments.service import add_variant, remove_variant, set_control, set_global_control, set_test
from app.campaigns.gates import is_personalised
from app.campaigns.models import Campaign, GlobalControl, State, Variant
from app.campaigns.preflight import preflight
from app.campaigns.queries import history
from app.core.errors import AppError, Conflict, Forbidden
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from tests.factories.campaigns import make_campaign, make_content
from tests.factories.experiments import add_variants
from tests.factories.ledger import make_segment
from tests.factories.sms import make_sms_campaign
from tests.factories.users import make_user

pytestmark = pytest.mark.usefixtures("app")
NOWHERE: Mapping[int, float | None] = {}


def choose(campaign: Campaign, percent: float, segments: Mapping[int, float | None] = NOWHERE) -> None:
    with unit_of_work():
        set_control(campaign=campaign, percent=percent, segments=segments, actor=None)


def vary(campaign: Campaign) -> Variant:
    with unit_of_work():
        return add_variant(campaign=campaign, step=campaign.steps[0], actor=None)


def compare(campaign: Campaign, **facts: object) -> None:
    values = {"shares": {"A": 50.0, "B": 50.0}, "test_percent": None, "metric": "clicked", "hours": 72} | facts
    with unit_of_work():
        set_test(campaign=campaign, step=campaign.steps[0], actor=None, **values)  # type: ignore[arg-type]


def found(campaign: Campaign) -> list[tuple[str, str | None, str]]:
    return [(one.severity, one.variant, str(one.message)) for one in preflight(campaign)]


# ---- Control groups -------------------------------------------------------------------------------------------------


def test_shares_are_kept_for_the_campaign_and_its_segments_and_are_on_record() -> None:
    campaign = make_campaign(include=[one := make_segment("One"), two := make_segment("Two")])
    choose(campaign, 10, {one.id: 25, two.id: None})
    assert campaign.control_percent == 10
    assert [link.control_percent for link in campaign.segments] == [25, None]
    assert history(campaign)[0].action == "campaign.control_changed"
    acts = len(history(campaign))
    choose(campaign, 10, {one.id: 25})
    assert len(history(campaign)) == acts


@pytest.mark.parametrize("percent", [-1, 90.5, math.nan, math.inf])
def test_a_share_that_is_none_is_refused(percent: float) -> None:
    campaign = make_campaign(include=[segment := make_segment("One")])
    with pytest.raises(AppError):
        choose(campaign, percent)
    with pytest.raises(AppError):
        choose(campaign, 10, {segment.id: percent})


def test_a_segment_that_is_not_sent_to_has_no_share() -> None:
    with pytest.raises(Conflict):
        choose(make_campaign(), 10, {make_segment("Elsewhere").id: 5})


@pytest.mark.parametrize("state", [State.IN_REVIEW, State.RUNNING, State.PAUSED, State.REVISING, State.COMPLETE])
def test_nothing_changes_once_it_was_submitted(state: State) -> None:
    campaign = make_campaign(state=state)
    with pytest.raises(Conflict):
        choose(campaign, 10)
    with pytest.raises(Conflict):
        vary(campaign)


def test_an_approved_campaign_falls_back_to_draft() -> None:
    campaign = make_campaign(state=State.APPROVED)
    choose(campaign, 10)
    assert campaign.state == State.DRAFT


def test_the_expected_numbers_count_the_firms_group_and_weigh_segments_by_size() -> None:
    first, second = make_segment("One", last_count=300), make_segment("Two", last_count=100)
    campaign = make_campaign(include=[first, second], control_percent=10)
    assert expected_split(campaign, 1_000).control == 100
    mixed = expected_split(campaign, 1_000, Shares(10, {first.id: None, second.id: 50}))
    assert (mixed.control, mixed.exact) == (200, False)
    officer = make_user(role=Role.ADMINISTRATOR)
    with unit_of_work():
        set_global_control(percent=5, actor=officer)
    split = expected_split(campaign, 1_000)
    assert (split.control, split.firm, split.treated) == (145, 50, 855)
    assert expected_split(make_campaign(purpose="service", control_percent=10), 1_000).control == 0


def test_the_firms_group_stays_the_same_until_it_is_drawn_anew() -> None:
    administrator = make_user(role=Role.ADMINISTRATOR)
    with unit_of_work():
        set_global_control(percent=2, actor=administrator)
    salt = db.session.get_one(GlobalControl, 1).salt
    with unit_of_work():
        set_global_control(percent=3, actor=administrator)
    assert db.session.get_one(GlobalControl, 1).salt == salt
    with unit_of_work():
        set_global_control(percent=3, anew=True, actor=administrator)
    assert db.session.get_one(GlobalControl, 1).salt != salt
    with unit_of_work():
        set_global_control(percent=0, actor=administrator)
    assert global_control() is None


def test_only_administrators_choose_the_firms_group() -> None:
    officer, administrator = make_user(role=Role.MARKETING), make_user(role=Role.ADMINISTRATOR)
    with pytest.raises(Forbidden), unit_of_work():
        set_global_control(percent=2, actor=officer)
    with pytest.raises(AppError), unit_of_work():
        set_global_control(percent=51, actor=administrator)


def test_a_marketing_campaign_without_a_control_group_is_noted() -> None:
    campaign = make_campaign()
    note = ("note", None, "There is no control group")
    assert any((one[0], one[1], one[2][: len(note[2])]) == note for one in found(campaign))
    choose(campaign, 5)
    assert not any("control group" in message for _severity, _letter, message in found(campaign))
    assert not any("control group" in message for _s, _l, message in found(make_campaign(purpose="service")))


# ---- Variants -------------------------------------------------------------------------------------------------------


def test_variants_get_letters_and_equal_shares_five_at_most() -> None:
    campaign = make_campaign()
    assert [vary(campaign).letter for _ in range(4)] == ["B", "C", "D", "E"]
    assert [variant.share for variant in campaign.steps[0].variants] == [20, 20, 20, 20]
    with pytest.raises(AppError, match="at most 5"):
        vary(campaign)


def test_a_removed_variant_leaves_no_gap() -> None:
    campaign = make_campaign()
    add_variants(campaign, [20, 20, 20])
    second = campaign.steps[0].variants[1]
    with unit_of_work():
        remove_variant(campaign=campaign, step=campaign.steps[0], variant=campaign.steps[0].variants[0], actor=None)
    db.session.expire_all()
    assert [variant.letter for variant in campaign.steps[0].variants] == ["B", "C"]
    assert second.letter == "B"
    assert [variant.share for variant in campaign.steps[0].variants] == [33, 33]


def test_an_unwritten_variant_blocks_approval_and_says_which() -> None:
    campaign, author = make_campaign(), make_user()
    vary(campaign)
    assert ("error", "B", "Variant B says nothing yet.") in found(campaign)
    with pytest.raises(campaigns.NotReady, match="Variant B says nothing yet"), unit_of_work():
        campaigns.submit(campaign=campaign, actor=author)


def test_a_test_that_ends_before_the_messages_have_left_is_warned_of() -> None:
    campaign = make_campaign(spread_hours=48)
    add_variants(campaign, [50], test_hours=24)
    assert any(severity == "warning" and "spread over" in message for severity, _letter, message in found(campaign))
    with unit_of_work():
        campaign.steps[0].test_hours = 72
    assert not any("spread over" in message for _severity, _letter, message in found(campaign))


def test_every_variant_is_checked() -> None:
    campaign, content = make_campaign(), make_content(subject="Guaranteed profit")
    add_variants(campaign, [50])
    with unit_of_work():
        campaign.steps[0].variants[0].content_id = content.id
    assert any(letter == "B" and "forbidden" in message for _s, letter, message in found(campaign))
    assert not any(letter == "A" and "forbidden" in message for _s, letter, message in found(campaign))


def test_one_personal_variant_makes_the_campaign_personalised() -> None:
    content = make_content(source="<html><body><p>You have {{ client.total_assets }}</p></body></html>")
    campaign = make_campaign()
    add_variants(campaign, [50])
    assert not is_personalised(campaign)
    with unit_of_work():
        campaign.steps[0].variants[0].content_id = content.id
    assert is_personalised(campaign)


def test_a_variant_is_written_apart_from_the_step() -> None:
    campaign = make_campaign()
    variant = vary(campaign)
    before = campaign.steps[0].content_id
    with unit_of_work():
        campaigns.set_content(
            campaign=campaign, step=campaign.steps[0], variant=variant, format="html", subject="Other", preheader="",
            source="<html><body><p>Other words</p></body></html>", actor=None, seen_content_id=0,
        )  # fmt: skip
    assert campaign.steps[0].content_id == before
    assert variant.content is not None
    assert variant.content.subject == "Other"
    with pytest.raises(Conflict), unit_of_work():
        campaigns.set_content(
            campaign=campaign, step=campaign.steps[0], variant=variant, format="html", subject="Third", preheader="",
            source="<html><body><p>Third words</p></body></html>", actor=None, seen_content_id=0,
        )  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"shares": {"A": 50.0, "B": 40.0}},
        {"shares": {"A": 0.0, "B": 100.0}},
        {"shares": {"A": math.nan, "B": 50.0}},
        {"shares": {"A": 100.0}},
        {"shares": {"A": 30.0, "B": 30.0, "C": 40.0}},
        {"test_percent": 0.0},
        {"test_percent": 100.0},
        {"metric": "replied"},
        {"hours": 0},
        {"hours": 24 * 91},
    ],
)
def test_a_comparison_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    campaign = make_campaign()
    vary(campaign)
    with pytest.raises(AppError):
        compare(campaign, **wrong)


def test_how_variants_are_compared_is_kept_and_on_record() -> None:
    campaign = make_campaign()
    vary(campaign)
    compare(campaign, shares={"A": 70.0, "B": 30.0}, test_percent=20.0, metric="opened", hours=48)
    step = campaign.steps[0]
    assert (step.variants[0].share, step.test_percent, step.test_metric, step.test_hours) == (30, 20, "opened", 48)
    assert history(campaign)[0].action == "campaign.test_changed"


def test_sms_are_compared_by_what_they_can_be() -> None:
    campaign = make_sms_campaign(state=State.DRAFT)
    vary(campaign)
    assert campaign.steps[0].test_metric == "accounts"
    with pytest.raises(AppError, match="cannot be compared"):
        compare(campaign, metric="opened")


def test_a_webhook_has_no_variants(app: Flask) -> None:
    campaign = make_campaign()
    with unit_of_work():
        step = campaigns.add_step(campaign=campaign, channel="webhook", actor=None)
    with pytest.raises(AppError, match="no variants"), unit_of_work():
        add_variant(campaign=campaign, step=step, actor=None)


def test_a_copy_has_the_control_group_and_the_variants_too() -> None:
    segment = make_segment("One")
    campaign = make_campaign(include=[segment], control_percent=10)
    add_variants(campaign, [30], test_percent=20.0, test_metric="opened", test_hours=24)
    choose(campaign, 10, {segment.id: 50})
    with unit_of_work():
        copy = campaigns.duplicate(campaign=campaign, actor=None)
    assert (copy.control_percent, copy.segments[0].control_percent) == (10, 50)
    step = copy.steps[0]
    assert (step.test_percent, step.test_metric, step.test_hours) == (20, "opened", 24)
    assert [(one.letter, one.share, one.content_id) for one in step.variants] == [
        (one.letter, one.share, one.content_id) for one in campaign.steps[0].variants
    ]
