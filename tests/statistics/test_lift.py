"""Lift against published values, against statsmodels, and against what must always hold."""

import math
import subprocess
import sys
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep

from app.statistics.lift import Arm, Lift, difference, differences, p_value, p_values, stratified, variance

MODULES = ("corrections", "intervals", "lift", "means", "power", "shrinkage", "split", "variants")


@st.composite
def arms(draw: st.DrawFn, most: int = 50_000) -> Arm:
    total = draw(st.integers(1, most))
    return Arm(draw(st.integers(0, total)), total)


pairs = st.tuples(arms(), arms())


def found(lift: Lift | None) -> Lift:
    assert lift is not None
    return lift


@pytest.mark.parametrize(
    ("treated", "control", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0000),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_published_differences(treated: tuple[int, int], control: tuple[int, int], low: float, high: float) -> None:
    """R. G. Newcombe (1998), Statist. Med. 17:873-890, table II, method 10, to four places."""
    lift = found(difference(Arm(*treated), Arm(*control)))
    assert lift.low == pytest.approx(low, abs=5.1e-5)
    assert lift.high == pytest.approx(high, abs=5.1e-5)


def test_sixty_of_a_thousand_against_forty_is_a_small_but_clear_lift() -> None:
    lift = found(difference(Arm(60, 1000), Arm(40, 1000)))
    assert (lift.low, lift.high) == pytest.approx((0.000817, 0.039527), abs=5e-7)
    assert lift.absolute == pytest.approx(0.02)
    assert lift.relative == pytest.approx(0.5)
    assert lift.incremental == pytest.approx(20)
    assert (lift.incremental_low, lift.incremental_high) == pytest.approx((0.817, 39.527), abs=5e-4)


@settings(deadline=None)  # the first one loads statsmodels
@given(pairs)
def test_difference_is_that_of_statsmodels(pair: tuple[Arm, Arm]) -> None:
    treated, control = pair
    lift = found(difference(treated, control))
    low, high = confint_proportions_2indep(*treated, *control, method="newcomb", compare="diff")
    assert (lift.low, lift.high) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize(
    "counts", [(60, 1000, 40, 1000), (200, 9000, 15, 1000), (36, 40, 16, 80), (900, 1000, 90, 100)]
)
def test_relative_lift_is_close_to_the_score_interval(counts: tuple[int, int, int, int]) -> None:
    """P. A. R. Koopman (1984), Biometrics 40:513-517, as statsmodels has it: another road to the same interval."""
    one, size, other, of_other = counts
    lift = found(difference(Arm(one, size), Arm(other, of_other)))
    low, high = confint_proportions_2indep(*counts, method="score", compare="ratio")
    assert lift.relative_low is not None
    assert lift.relative_high is not None
    assert 1 + lift.relative_low == pytest.approx(low, rel=0.02)
    assert 1 + lift.relative_high == pytest.approx(high, rel=0.04)


@settings(deadline=None)
@given(pairs, st.floats(0.5, 0.999))
def test_all_figures_are_numbers_and_within_their_bounds(pair: tuple[Arm, Arm], confidence: float) -> None:
    treated, control = pair
    lift = found(difference(treated, control, confidence))
    assert all(number is None or math.isfinite(number) for number in lift)
    assert -1 - 1e-12 <= lift.low <= lift.absolute <= lift.high <= 1 + 1e-12
    assert lift.incremental_low <= lift.incremental <= lift.incremental_high
    assert (lift.relative is None) == (control.successes == 0)
    if lift.relative is not None and lift.relative_low is not None and lift.relative_high is not None:
        assert -1 <= lift.relative_low <= lift.relative <= lift.relative_high


@settings(deadline=None)
@given(pairs)
def test_absolute_and_relative_lift_and_p_value_never_contradict_each_other(pair: tuple[Arm, Arm]) -> None:
    treated, control = pair
    lift, p = found(difference(treated, control)), p_value(treated, control)
    assert p is not None
    assume(min(abs(lift.low), abs(lift.high)) > 1e-9)  # exactly on the edge rounding may decide
    assert (p < 0.05) == (lift.low > 0 or lift.high < 0)
    if lift.relative_low is not None and lift.relative_high is not None:
        assert (lift.relative_low > 0) == (lift.low > 0)
        assert (lift.relative_high < 0) == (lift.high < 0)


@settings(deadline=None)
@given(pairs)
def test_arms_changed_about_turn_the_sign(pair: tuple[Arm, Arm]) -> None:
    treated, control = pair
    one, other = found(difference(treated, control)), found(difference(control, treated))
    assert (one.low, one.absolute, one.high) == pytest.approx((-other.high, -other.absolute, -other.low), abs=1e-12)
    assert p_value(treated, control) == pytest.approx(p_value(control, treated), abs=1e-12)


@settings(deadline=None)
@given(pairs)
def test_failures_counted_instead_of_successes_turn_the_sign(pair: tuple[Arm, Arm]) -> None:
    one = found(difference(*pair))
    other = found(difference(*(Arm(arm.total - arm.successes, arm.total) for arm in pair)))
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-9)


@settings(deadline=None)
@given(pairs)
def test_more_confidence_gives_a_wider_interval(pair: tuple[Arm, Arm]) -> None:
    ninety, ninety_nine = found(difference(*pair, 0.90)), found(difference(*pair, 0.99))
    assert ninety_nine.low <= ninety.low + 1e-12
    assert ninety.high <= ninety_nine.high + 1e-12


@settings(deadline=None)
@given(arms(), st.integers(1, 5_000), st.data())
def test_one_more_success_raises_the_lift_and_both_its_ends(control: Arm, total: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, total - 1))
    fewer = found(difference(Arm(successes, total), control))
    more = found(difference(Arm(successes + 1, total), control))
    assert more.absolute > fewer.absolute
    assert more.low >= fewer.low - 1e-12
    assert more.high >= fewer.high - 1e-12


@settings(deadline=None)
@given(arms(2_000), arms(2_000))
def test_twice_as_many_clients_give_a_narrower_interval(treated: Arm, control: Arm) -> None:
    few = found(difference(treated, control))
    many = found(difference(Arm(*(2 * part for part in treated)), Arm(*(2 * part for part in control))))
    assert many.high - many.low < few.high - few.low


@settings(deadline=None)
@given(st.lists(st.tuples(arms(), arms()), min_size=1, max_size=6))
def test_many_at_once_are_the_same_as_one_by_one(several: list[tuple[Arm, Arm]]) -> None:
    for together, pair in zip(differences(several), several, strict=True):
        alone = found(difference(*pair))
        assert found(together)[:3] == pytest.approx(alone[:3], rel=1e-12)
        assert found(together).relative == alone.relative
    assert p_values(several) == pytest.approx([p_value(*pair) for pair in several])


def test_an_empty_arm_leaves_nothing_to_say() -> None:
    empty, full = Arm(0, 0), Arm(3, 10)
    assert difference(empty, full) is None
    assert difference(full, empty) is None
    assert p_value(full, empty) is None
    assert stratified([(full, empty), (empty, full)]) is None
    assert stratified([]) is None
    assert [lift is None for lift in differences([(full, empty), (full, full), (empty, empty)])] == [True, False, True]
    assert [p is None for p in p_values([(full, empty), (full, full)])] == [True, False]


@pytest.mark.parametrize(("arm", "confidence"), [((-1, 5), 0.95), ((6, 5), 0.95), ((1, -1), 0.95), ((1, 5), 1.0)])
def test_impossible_counts_are_refused(arm: tuple[int, int], confidence: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        difference(Arm(*arm), Arm(1, 5), confidence)
    with pytest.raises(ValueError, match="must be"):
        stratified([(Arm(*arm), Arm(1, 5))], confidence)


def test_unlike_strata_with_unlike_shares_are_not_mixed() -> None:
    """Simpson's paradox: in neither group anything happens, but the treated are mostly of the keener one."""
    keen, idle = (Arm(180, 900), Arm(20, 100)), (Arm(2, 100), Arm(18, 900))
    mixed = found(difference(Arm(182, 1000), Arm(38, 1000)))
    apart = found(stratified([keen, idle]))
    assert mixed.low > 0.1
    assert apart.absolute == pytest.approx(0, abs=1e-12)
    assert apart.low < 0 < apart.high


@settings(deadline=None)
@given(st.lists(st.tuples(arms(5_000), arms(5_000)), min_size=1, max_size=8))
def test_incremental_accounts_of_strata_add_up(strata: list[tuple[Arm, Arm]]) -> None:
    whole = found(stratified(strata))
    assert whole.incremental == pytest.approx(sum(found(difference(*pair)).incremental for pair in strata), abs=1e-6)
    assert whole.treated == sum(treated.total for treated, _ in strata)
    assert whole.low <= whole.absolute <= whole.high
    assert all(number is None or math.isfinite(number) for number in whole)


def test_one_stratum_is_the_plain_difference_and_one_without_control_is_left_out() -> None:
    pair = (Arm(60, 1000), Arm(40, 1000))
    assert stratified([pair]) == difference(*pair)
    assert stratified([pair, (Arm(9, 90), Arm(0, 0))]) == difference(*pair)


def test_equal_strata_are_about_as_sure_as_their_sum() -> None:
    """Ten groups alike: the interval of the whole is that of the counts added up, but for rounding at the middle."""
    strata = [(Arm(45, 900), Arm(4, 100))] * 10
    apart, together = found(stratified(strata)), found(difference(Arm(450, 9000), Arm(40, 1000)))
    assert apart.absolute == pytest.approx(together.absolute)
    assert apart.high - apart.low == pytest.approx(together.high - together.low, rel=0.08)


@settings(deadline=None)
@given(pairs)
def test_variance_is_always_above_zero(pair: tuple[Arm, Arm]) -> None:
    assert 0 < variance(*pair) < 1


def test_variance_is_that_of_agresti_and_caffo() -> None:
    assert variance(Arm(7, 8), Arm(2, 8)) == pytest.approx(0.8 * 0.2 / 10 + 0.3 * 0.7 / 10)
    with pytest.raises(ValueError, match="both arms"):
        variance(Arm(0, 0), Arm(1, 5))


def test_twenty_segments_take_a_small_part_of_a_page() -> None:
    segments = [(Arm(20 + n, 900 + n), Arm(n // 4, 100)) for n in range(20)]
    differences(segments)
    p_values(segments)  # loaded and warm
    start = time.process_time()
    differences(segments)
    p_values(segments)
    assert time.process_time() - start < 0.03


def test_knowing_the_modules_does_not_load_the_libraries() -> None:
    """A sending worker may import what knows of statistics; 100 MB of libraries must not follow."""
    imports = ", ".join(f"app.statistics.{module}" for module in MODULES)
    code = f"import sys, {imports}; sys.exit(bool({{'scipy', 'statsmodels'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
