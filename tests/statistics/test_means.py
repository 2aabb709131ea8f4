"""Differences of means against textbook data, scipy, and what must always hold."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from app.statistics import means
from app.statistics.means import (
    Amounts,
    MeanLift,
    Moments,
    bootstrap,
    moments,
    moments_of,
    stratified_bootstrap,
    stratified_welch,
    welch,
)

# Student's sleep data (1908): additional hours of sleep under two drugs.
SLEEP = (
    [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
    [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
)
amounts = st.lists(st.floats(0.01, 1e9), min_size=1, max_size=40)


def found(lift: MeanLift | None) -> MeanLift:
    assert lift is not None
    return lift


def test_published_welch_interval() -> None:
    """`t.test(extra ~ group, data = sleep)` of R's documentation: -3.3654832 to 0.2054832."""
    one, other = (moments_of(Amounts(10, hours)) for hours in SLEEP)
    lift = found(welch(one, other))
    assert (one.mean, other.mean) == pytest.approx((0.75, 2.33))
    assert (lift.low, lift.high) == pytest.approx((-3.3654832, 0.2054832), abs=5e-8)
    assert lift.incremental == pytest.approx(-15.8)


@settings(deadline=None)
@given(amounts, amounts, st.integers(2, 10_000), st.integers(2, 10_000))
def test_welch_on_sums_is_that_of_scipy_on_every_client(
    ones: list[float], others: list[float], more: int, of_others: int
) -> None:
    arms = [(ones, len(ones) + more), (others, len(others) + of_others)]
    one, other = (moments(total, sum(some), sum(amount**2 for amount in some)) for some, total in arms)
    lift = found(welch(one, other, 0.9))
    every = (np.concatenate([some, np.zeros(total - len(some))]) for some, total in arms)
    reference = stats.ttest_ind(*every, equal_var=False).confidence_interval(0.9)
    scale = max(one.mean, other.mean)
    assert (lift.low / scale, lift.high / scale) == pytest.approx(
        (reference.low / scale, reference.high / scale), rel=1e-5, abs=1e-5
    )


@given(amounts, st.integers(2, 10_000))
def test_sums_and_amounts_give_the_same_moments(some: list[float], zeros: int) -> None:
    total = len(some) + zeros
    one, other = moments_of(Amounts(total, some)), moments(total, sum(some), sum(amount**2 for amount in some))
    assert one == pytest.approx(other, rel=1e-6)


def test_amounts_that_do_not_differ_leave_no_doubt() -> None:
    assert welch(Moments(10, 5.0, 0.0), Moments(10, 3.0, 0.0)) == MeanLift(2.0, 2.0, 2.0, 20.0, 20.0, 20.0)


def test_too_few_clients_leave_nothing_to_say() -> None:
    assert welch(Moments(1, 5.0, 0.0), Moments(10, 3.0, 1.0)) is None
    assert welch(moments(0, 0, 0), Moments(10, 3.0, 1.0)) is None
    assert bootstrap(Amounts(100, [0.0]), Amounts(100, [])) is None
    assert bootstrap(Amounts(100, [5.0]), Amounts(0, [])) is None
    assert bootstrap(Amounts(0, []), Amounts(0, [])) is None


@pytest.mark.parametrize(
    "arm", [Moments(-1, 0.0, 1.0), Moments(5, math.nan, 1.0), Moments(5, 1.0, -1.0), Moments(5, math.inf, 1.0)]
)
def test_impossible_moments_are_refused(arm: Moments) -> None:
    with pytest.raises(ValueError, match="must"):
        welch(arm, Moments(5, 1.0, 1.0))


def test_impossible_amounts_are_refused() -> None:
    with pytest.raises(ValueError, match="no more amounts"):
        bootstrap(Amounts(1, [1.0, 2.0]), Amounts(5, [1.0]))
    with pytest.raises(ValueError, match="finite"):
        bootstrap(Amounts(5, [math.nan]), Amounts(5, [1.0]))
    with pytest.raises(ValueError, match="resamples"):
        bootstrap(Amounts(5, [1.0]), Amounts(5, [1.0]), resamples=10)
    with pytest.raises(ValueError, match="must"):
        moments(-1, 0, 0)
    with pytest.raises(ValueError, match="at least the squared sum"):
        moments(2, 10, 1)
    with pytest.raises(ValueError, match="confidence"):
        welch(Moments(5, 1.0, 1.0), Moments(5, 1.0, 1.0), 1.0)


def test_bootstrap_is_close_to_welch_where_amounts_are_tame() -> None:
    source = np.random.default_rng(7)
    treated = Amounts(9_000, source.normal(1_000, 100, 900).tolist())
    control = Amounts(1_000, source.normal(1_000, 100, 70).tolist())
    one, other = found(bootstrap(treated, control)), found(welch(moments_of(treated), moments_of(control)))
    assert one.difference == pytest.approx(other.difference)
    assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=0.15 * (other.high - other.low))


def test_a_small_control_group_without_large_deposits_does_not_look_sure() -> None:
    """Forty bring 1,000 to 20,000 in both groups, and the large deposits happen to be in the larger one."""
    usual = np.linspace(1_000, 20_000, 40).tolist()
    treated, control = Amounts(9_000, usual * 9 + [900_000.0] * 6), Amounts(1_000, usual[:-8])
    careless = found(welch(moments_of(treated), moments_of(control)))
    assert careless.low > 0
    assert found(bootstrap(treated, control)).low < 0


def test_a_control_group_that_brought_nothing_can_be_compared() -> None:
    assert found(bootstrap(Amounts(900, [500.0] * 100), Amounts(100, []))).low > 0


def test_many_amounts_are_calculated_and_come_to_the_same_as_redrawing(monkeypatch: pytest.MonkeyPatch) -> None:
    source = np.random.default_rng(11)
    treated = Amounts(40_000, source.lognormal(10, 1.2, 1_900).tolist())
    control = Amounts(4_000, source.lognormal(10, 1.2, 150).tolist())
    calculated = found(bootstrap(treated, control))
    monkeypatch.setattr(means, "MOST_REDRAWN", 5_000)
    redrawn = found(bootstrap(treated, control, resamples=8_000))
    width = redrawn.high - redrawn.low
    assert calculated != redrawn
    assert (calculated.low, calculated.high) == pytest.approx((redrawn.low, redrawn.high), abs=0.03 * width)


def test_bootstrap_gives_the_same_interval_each_time_in_whatever_order() -> None:
    treated, control = Amounts(900, [5.0, 7.0, 100.0, 0.0, 20.0]), Amounts(100, [4.0, 50.0, 6.0])
    assert bootstrap(treated, control) == bootstrap(Amounts(900, [100.0, 20.0, 7.0, 5.0]), control)
    assert bootstrap(treated, control) != bootstrap(treated, control, seed=1)


@settings(deadline=None, max_examples=30)
@given(amounts, amounts)
def test_bootstrap_holds_the_difference_and_widens_with_confidence(ones: list[float], others: list[float]) -> None:
    treated, control = Amounts(1_000, ones), Amounts(500, others)
    ninety = found(bootstrap(treated, control, 0.9, resamples=400))
    ninety_nine = found(bootstrap(treated, control, 0.99, resamples=400))
    assert all(map(math.isfinite, ninety))
    assert ninety_nine.low <= ninety.low <= ninety.difference <= ninety.high <= ninety_nine.high


RICH = Moments(900, 40.0, 100.0), Moments(100, 40.0, 100.0)
POOR = Moments(100, 10.0, 100.0), Moments(900, 10.0, 100.0)


def test_unlike_strata_are_compared_within_themselves() -> None:
    """Nothing happens in either; added up, the treated seem to bring 37 each and the control group 13."""
    lift = found(stratified_welch([RICH, POOR]))
    errors = [(0.81 * 100 / 900, 899), (0.81 * 100 / 100, 99), (0.01 * 100 / 100, 99), (0.01 * 100 / 900, 899)]
    error = sum(one for one, _own in errors)
    freedom = error**2 / sum(one**2 / own for one, own in errors)
    assert lift.difference == pytest.approx(0)
    assert lift.high == pytest.approx(stats.t.isf(0.025, freedom) * math.sqrt(error))
    assert lift.low == pytest.approx(-lift.high)


def test_what_the_whole_brought_is_the_sum_of_its_strata() -> None:
    strata = [(Moments(900, 50.0, 90.0), Moments(100, 40.0, 80.0)), (Moments(300, 12.0, 9.0), Moments(700, 10.0, 7.0))]
    whole = found(stratified_welch(strata))
    assert whole.incremental == pytest.approx(sum(found(welch(*pair)).incremental for pair in strata))
    halves = [(Moments(450, 40.0, 100.0), Moments(50, 40.0, 100.0))] * 2
    one, other = found(stratified_welch(halves)), found(welch(*RICH))
    assert (one.low, one.high) == pytest.approx((other.low, other.high), rel=0.01)


def test_strata_without_both_arms_say_nothing() -> None:
    alone = Moments(5_000, 99.0, 10.0), Moments(0, 0.0, 0.0)
    assert stratified_welch([RICH, alone]) == welch(*RICH)
    assert stratified_welch([alone]) is None
    assert stratified_welch([(Moments(10, 5.0, 0.0), Moments(10, 3.0, 0.0))] * 2) == MeanLift(2, 2, 2, 40, 40, 40)
    treated, control = Amounts(900, [500.0] * 100), Amounts(100, [400.0] * 5)
    assert stratified_bootstrap([(treated, control), (treated, Amounts(0, []))]) == bootstrap(treated, control)
    assert stratified_bootstrap([(treated, Amounts(0, []))]) is None


def test_bootstrap_over_strata_redraws_each_from_its_own_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fifth of the rich brings a lot, every fiftieth of the poor a little, treated or not."""
    rich = Amounts(900, [1_000.0] * 180), Amounts(100, [1_000.0] * 20)
    poor = Amounts(100, [10.0] * 2), Amounts(900, [10.0] * 18)
    redrawn = found(stratified_bootstrap([rich, poor], resamples=8_000))
    by_welch = found(stratified_welch([(moments_of(one), moments_of(other)) for one, other in (rich, poor)]))
    assert redrawn.difference == pytest.approx(0)
    width = redrawn.high - redrawn.low
    assert (redrawn.low, redrawn.high) == pytest.approx((by_welch.low, by_welch.high), abs=0.05 * width)
    monkeypatch.setattr(means, "MOST_REDRAWN", 100)
    calculated = found(stratified_bootstrap([rich, poor]))
    assert calculated != redrawn
    assert (calculated.low, calculated.high) == pytest.approx((redrawn.low, redrawn.high), abs=0.03 * width)


def test_intervals_over_strata_hold_the_truth() -> None:
    """Two strata of unlike people and shares, tame amounts: the campaign adds 2 to each of the treated."""
    source = np.random.default_rng(3)
    held = 0
    for _run in range(400):
        strata = [
            tuple(
                moments_of(Amounts(size, source.normal(mean + extra, 8, size).tolist()))
                for size, extra in ((one, 2), (other, 0))
            )
            for one, other, mean in ((300, 30, 50), (60, 120, 10))
        ]
        lift = found(stratified_welch(strata))  # type: ignore[arg-type]
        held += lift.low <= 2 <= lift.high
    assert 0.92 <= held / 400 <= 0.98
