"""What the verdict says, rule by rule, on numbers alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.reports.effect.effects import Effect, Judgement
from app.reports.effect.verdict import Finding, verdict_on
from app.statistics.lift import Arm, difference, p_value
from app.statistics.split import SplitCheck

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PAST = NOW - timedelta(days=1)
FINE = SplitCheck(0.4, True)


def effect(opened: int, treated: int, control_opened: int, control: int, **fields: object) -> Effect:
    arms = Arm(opened, treated), Arm(control_opened, control)
    made = Effect(
        name="A",
        key="1",
        treated=treated,
        control=control,
        opened=opened,
        control_opened=control_opened,
        effective=0,
        control_effective=0,
        lift=difference(*arms),
        p=p_value(*arms),
    )
    return replace(made, **fields)  # type: ignore[arg-type]


WORKED = effect(500, 9_000, 20, 1_000)
NOTHING = effect(300, 9_000, 33, 1_000)
HARMED = effect(100, 9_000, 40, 1_000)


def test_without_a_control_group_nothing_is_said_of_cause() -> None:
    found = verdict_on(effect(5, 100, 0, 0), [], split=None, closes_at=PAST, at=NOW)
    assert (found.finding, found.suggests) == (Finding.NO_CONTROL, False)


def test_a_failed_split_check_comes_before_every_figure() -> None:
    found = verdict_on(WORKED, [WORKED], split=SplitCheck(1e-9, False), closes_at=PAST, at=NOW)
    assert (found.finding, found.repeat) == (Finding.SPLIT_FAILED, ())


def test_an_open_window_tells_the_days_left_and_advises_nothing() -> None:
    found = verdict_on(WORKED, [WORKED], split=FINE, closes_at=NOW + timedelta(days=4, hours=2), at=NOW)
    assert (found.finding, found.days_left, found.suggests) == (Finding.WINDOW_OPEN, 4, False)
    soon = verdict_on(WORKED, [], split=FINE, closes_at=NOW + timedelta(minutes=5), at=NOW)
    assert soon.days_left == 1


@pytest.mark.parametrize(
    ("whole", "finding"),
    [
        (WORKED, Finding.WORKED),
        (NOTHING, Finding.INCONCLUSIVE),
        (HARMED, Finding.HARMED),
        (effect(30, 5_000, 0, 90), Finding.TOO_FEW),
        (effect(6, 5_000, 3, 500), Finding.TOO_FEW),
    ],
)
def test_the_interval_decides(whole: Effect, finding: Finding) -> None:
    assert verdict_on(whole, [], split=FINE, closes_at=PAST, at=NOW).finding is finding


def test_segments_are_repeated_by_the_corrected_p_value_only() -> None:
    sure = replace(WORKED, name="sure", corrected=0.001)
    lucky = replace(WORKED, name="lucky", corrected=0.06)
    found = verdict_on(WORKED, [sure, lucky], split=FINE, closes_at=PAST, at=NOW)
    assert [one.name for one in found.repeat] == ["sure"]
    assert found.suggests


def test_what_does_clearly_worse_than_the_whole_without_any_sign_of_working_is_stopped() -> None:
    idle = replace(NOTHING, name="idle", corrected=0.8)
    unsure = replace(effect(30, 900, 1, 110), name="unsure", corrected=0.3)
    harmed = replace(HARMED, name="harmed", corrected=0.001)
    found = verdict_on(WORKED, [idle, unsure, harmed], split=FINE, closes_at=PAST, at=NOW)
    assert [one.name for one in found.stop] == ["idle", "harmed"]


def test_only_harm_is_stopped_where_the_campaign_did_not_work() -> None:
    idle = replace(NOTHING, name="idle", corrected=0.8)
    assert verdict_on(NOTHING, [idle], split=FINE, closes_at=PAST, at=NOW).stop == ()


def test_a_small_segment_says_so_whatever_its_luck() -> None:
    assert effect(60, 80, 2, 40).judgement is Judgement.TOO_FEW
    assert effect(60, 80, 0, 0).judgement is Judgement.NO_CONTROL
