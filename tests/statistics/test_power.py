"""Sample sizes against published tables, and what must always hold."""

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import samplesize_proportions_2indep_onetail

from app.statistics.power import chance, days, detectable, needed

rates = st.floats(0.005, 0.3)
lifts = st.floats(0.005, 0.2)
shares = st.floats(0.02, 0.5)


def test_published_sample_size() -> None:
    """`power.prop.test(p1 = .50, p2 = .75, power = .90)` of R's documentation: n = 76.7 in each group."""
    assert needed(0.5, 0.25, 0.5, power=0.9) == (77, 77, 154)


def test_published_power() -> None:
    """`power.prop.test(n = 50, p1 = .50, p2 = .75)` of R's documentation: power = 0.740."""
    assert chance(0.5, 0.25, 50, 50) == pytest.approx(0.7401659, abs=5e-7)


def test_published_table() -> None:
    """J. L. Fleiss (1981), Statistical Methods for Rates and Proportions, section 3.2: rates .60 and .70, level .01,
    power .95 ask for 827 in each group, with the continuity correction that his tables add."""
    plain = samplesize_proportions_2indep_onetail(0.1, 0.6, 0.95, alpha=0.01)
    assert needed(0.6, 0.1, 0.5, power=0.95, confidence=0.99).treated == math.ceil(plain)
    assert math.ceil(plain / 4 * (1 + math.sqrt(1 + 4 / (plain * 0.1))) ** 2) == 827


@settings(deadline=None)
@given(rates, lifts, shares)
def test_what_is_needed_is_enough_and_one_tenth_less_is_not(rate: float, lift: float, share: float) -> None:
    sizes = needed(rate, lift, share)
    assert sizes.total == sizes.treated + sizes.control
    assume(sizes.control > 100)  # whole clients are no fine measure below
    assert chance(rate, lift, sizes.treated, sizes.control) >= 0.799
    assert chance(rate, lift, sizes.treated * 9 // 10, sizes.control * 9 // 10) < 0.8


@settings(deadline=None)
@given(rates, lifts, shares)
def test_what_can_be_seen_is_what_was_asked_for(rate: float, lift: float, share: float) -> None:
    sizes = needed(rate, lift, share)
    assume(sizes.control > 100)
    assert detectable(rate, sizes.treated, sizes.control) == pytest.approx(lift, rel=0.02)


@settings(deadline=None)
@given(rates, lifts, shares)
def test_smaller_lifts_more_power_and_more_confidence_need_more_clients(rate: float, lift: float, share: float) -> None:
    plain = needed(rate, lift, share).total
    assert needed(rate, lift / 2, share).total > plain
    assert needed(rate, lift, share, power=0.9).total >= plain
    assert needed(rate, lift, share, confidence=0.99).total >= plain


def test_equal_groups_need_the_fewest_clients() -> None:
    totals = [needed(0.02, 0.01, share).total for share in (0.5, 0.3, 0.2, 0.1, 0.05)]
    assert totals == sorted(totals)


def test_a_loss_can_be_asked_for_too() -> None:
    assert needed(0.05, -0.02, 0.1).total > 0
    assert chance(0.05, -0.02, 9_000, 1_000) > 0.5


def test_groups_too_small_for_any_lift_say_so() -> None:
    assert detectable(0.5, 2, 1) is None
    assert detectable(0.02, 90_000, 10_000) == pytest.approx(0.0044, abs=3e-4)


def test_days_include_the_time_to_respond() -> None:
    assert days(10_000, 1_000) == 10
    assert days(10_001, 1_000, window_days=30) == 41
    assert days(0, 1_000) == 0


@pytest.mark.parametrize(
    ("rate", "lift", "share", "power"),
    [
        (0.0, 0.1, 0.1, 0.8),
        (1.0, -0.1, 0.1, 0.8),
        (0.5, 0.0, 0.1, 0.8),
        (0.5, 0.5, 0.1, 0.8),
        (0.5, -0.5, 0.1, 0.8),
        (0.5, 0.1, 0.0, 0.8),
        (0.5, 0.1, 1.0, 0.8),
        (0.5, 0.1, 0.1, 1.0),
        (0.5, 0.1, 0.1, 0.01),
        (math.nan, 0.1, 0.1, 0.8),
        (0.5, math.nan, 0.1, 0.8),
    ],
)
def test_impossible_plans_are_refused(rate: float, lift: float, share: float, power: float) -> None:
    with pytest.raises(ValueError, match="must"):
        needed(rate, lift, share, power=power)


def test_impossible_days_and_groups_are_refused() -> None:
    for clients, pace in ((-1, 5.0), (5, 0.0), (5, math.nan)):
        with pytest.raises(ValueError, match="must"):
            days(clients, pace)
    with pytest.raises(ValueError, match="both groups"):
        chance(0.1, 0.1, 0, 5)
    with pytest.raises(ValueError, match="both groups"):
        detectable(0.1, 5, 0)
