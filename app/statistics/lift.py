"""What a campaign caused: the treated against their control group, as shares of clients who opened an account.

Absolute lift is a difference of shares (0.02 is two percentage points), relative lift a share of the control group's
own rate (0.5 is 50 % more than without the campaign), incremental accounts the absolute lift times the treated.

All intervals come from the same limits of each arm's share, so that they never contradict each other: the absolute
lift's interval lies above zero exactly when the relative lift's does.

- one arm: the Wilson score limits (see `intervals`), from statsmodels;
- difference: Newcombe's hybrid score interval, R. G. Newcombe (1998), Statist. Med. 17:873-890, method 10;
- ratio: the same recovery of variance from the limits, MOVER-R: A. Donner, G. Y. Zou (2012), Stat. Methods Med. Res.
  21:347-359; with Wilson limits: R. G. Newcombe (2016), Stat. Methods Med. Res. 25:1774-1778;
- several strata: MOVER over the weighted shares, G. Y. Zou, A. Donner (2008), Statist. Med. 27:1693-1702.

docs/statistics.md derives them with worked examples and reports how often they are right.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from app.statistics.intervals import require_confidence
from app.statistics.libraries import np, proportion, special

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

HALVINGS = 50
LARGEST_Z = 37.0


class Arm(NamedTuple):
    """One side of a comparison: of `total` clients, `successes` opened an account."""

    successes: int
    total: int


class Lift(NamedTuple):
    """Absolute and relative lift and incremental accounts, each with both ends of its interval.

    The relative lift is None where nobody of the control group succeeded: a rate of zero has no multiple.
    `treated` is how many treated clients the figures speak of.
    """

    absolute: float
    low: float
    high: float
    relative: float | None
    relative_low: float | None
    relative_high: float | None
    incremental: float
    incremental_low: float
    incremental_high: float
    treated: int


class Limits(NamedTuple):
    """Shares and the ends of their intervals, as arrays of one shape or as numbers."""

    share: Any
    low: Any
    high: Any


def difference(treated: Arm, control: Arm, confidence: float = 0.95) -> Lift | None:
    """The lift of one campaign, segment or variant; None where an arm is empty. ValueError for impossible counts."""
    return differences([(treated, control)], confidence)[0]


def differences(arms: Sequence[tuple[Arm, Arm]], confidence: float = 0.95) -> list[Lift | None]:
    """The lift of each pair (treated, control), all at once; None where an arm of the pair is empty."""
    _require(arms, confidence)
    full = [pair for pair in arms if _both(pair)]
    if not full:
        return [None] * len(arms)
    treated, control = (_columns([pair[side] for pair in full]) for side in (0, 1))
    ends = compare(wilson_limits(*treated, 1 - confidence), wilson_limits(*control, 1 - confidence))
    lifts = iter(
        [
            _lift(pair[0].total, *numbers)
            for pair, *numbers in zip(full, *(column.tolist() for column in ends), strict=True)
        ]
    )
    return [next(lifts) if _both(pair) else None for pair in arms]


def stratified(arms: Sequence[tuple[Arm, Arm]], confidence: float = 0.95) -> Lift | None:
    """The lift over strata with control shares of their own, each a pair (treated, control).

    Adding the arms up would compare unlike clients where the shares differ (Simpson's paradox). So each stratum is
    compared within itself and weighs as much as it has treated clients: the incremental accounts are the sum of
    those of the strata. Strata without one of the arms say nothing and are left out: `treated` of the answer counts
    the clients it speaks of. None where no stratum has both.
    """
    _require(arms, confidence)
    strata = [pair for pair in arms if _both(pair)]
    if not strata:
        return None
    if len(strata) == 1:
        return difference(*strata[0], confidence)
    sizes = np.array([float(treated.total) for treated, _ in strata])
    weights = sizes / sizes.sum()
    treated, control = (
        _weighted(wilson_limits(*_columns([pair[side] for pair in strata]), 1 - confidence), weights) for side in (0, 1)
    )
    ends = compare(treated, control)
    return _lift(int(sizes.sum()), *(float(number) for number in ends))


def p_value(treated: Arm, control: Arm) -> float | None:
    """How surprising the difference would be without any effect, from 0 to 1; None where an arm is empty."""
    return p_values([(treated, control)])[0]


def p_values(arms: Sequence[tuple[Arm, Arm]]) -> list[float | None]:
    """The two-sided p-value of each pair: the level at which Newcombe's interval just touches zero.

    So p < 0.05 says the same as a 95 % interval without zero in it, and a table corrected for many segments never
    disagrees with its own intervals for another reason than the correction.
    """
    _require(arms, 0.95)
    full = [pair for pair in arms if _both(pair)]
    if not full:
        return [None] * len(arms)
    # The larger share first: what matters is how far its lower limit and the other's upper limit reach.
    ordered = [pair if _share(pair[0]) >= _share(pair[1]) else pair[::-1] for pair in full]
    (one, size), (other, of_other) = (_columns([pair[side] for pair in ordered]) for side in (0, 1))
    one, other = one / size, other / of_other
    below, above = np.zeros(len(full)), np.full(len(full), LARGEST_Z)
    for _ in range(HALVINGS):
        z = (below + above) / 2
        reach = np.hypot(one - _score_limits(one, size, z)[0], _score_limits(other, of_other, z)[1] - other)
        clear = one - other > reach
        below, above = np.where(clear, z, below), np.where(clear, above, z)
    found = iter((2 * special.ndtr(-below)).tolist())
    return [next(found) if _both(pair) else None for pair in arms]


def variance(treated: Arm, control: Arm) -> float:
    """The variance of the absolute lift, above zero even where nobody or everybody succeeded.

    With one success and one failure more in each arm: A. Agresti, B. Caffo (2000), Am. Stat. 54:280-288. ValueError
    where an arm is empty.
    """
    _require([(treated, control)], 0.95)
    if not _both((treated, control)):
        raise ValueError("both arms must have clients")
    return sum(share * (1 - share) / size for share, size in map(_with_one_more_of_each, (treated, control)))


class Ends(NamedTuple):
    """Differences and ratios with the ends of their intervals; the ratio's are nan or inf without control successes."""

    difference: Any
    low: Any
    high: Any
    ratio: Any
    ratio_low: Any
    ratio_high: Any


def wilson_limits(successes: "Numbers", totals: "Numbers", alpha: Any) -> Limits:
    """Wilson limits of many shares at once; `alpha` is one level or one for each."""
    share = successes / totals
    low, high = proportion.proportion_confint(successes, totals, alpha=alpha, method="wilson")
    # At 0 and at 100 % the formula meets the share itself; rounding must not put it outside.
    return Limits(share, np.minimum(low, share), np.maximum(high, share))


def compare(treated: Limits, control: Limits) -> Ends:
    """Difference and ratio of two shares from the limits of each (see the module's sources)."""
    one, other = treated.share, control.share
    gap = one - other
    low = gap - np.hypot(one - treated.low, control.high - other)
    high = gap + np.hypot(treated.high - one, other - control.low)
    with np.errstate(divide="ignore", invalid="ignore"):
        product = one * other
        # Both are roots of a quadratic, written so that nothing cancels: also where the control group is tiny.
        least = treated.low * (2 * one - treated.low)
        width = control.high * (2 * other - control.high)
        divisor = product + np.sqrt(np.maximum(product**2 - least * width, 0.0))
        ratio_low = np.where(least > 0, least / divisor, 0.0)
        most = treated.high * (2 * one - treated.high)
        width = control.low * (2 * other - control.low)
        ratio_high = (product + np.sqrt(np.maximum(product**2 - most * width, 0.0))) / width
        ratio = one / other
        return Ends(gap, low, high, ratio, np.fmin(ratio_low, ratio), np.fmax(ratio_high, ratio))


def _score_limits(share: Any, total: Any, z: Any) -> tuple[Any, Any]:
    """Wilson's limits `z` standard errors out: the same as `wilson_limits`, at a tenth of the cost of asking often."""
    square = z * z / total
    middle, reach = share + square / 2, z * np.sqrt(share * (1 - share) / total + square / (4 * total))
    return (middle - reach) / (1 + square), (middle + reach) / (1 + square)


def _weighted(limits: Limits, weights: "Numbers") -> Limits:
    """The limits of a weighted sum of independent shares."""
    share = (weights * limits.share).sum()
    down = np.sqrt(((weights * (limits.share - limits.low)) ** 2).sum())
    up = np.sqrt(((weights * (limits.high - limits.share)) ** 2).sum())
    return Limits(share, share - down, share + up)


def _lift(
    treated: int, absolute: float, low: float, high: float, ratio: float, ratio_low: float, ratio_high: float
) -> Lift:
    known = ratio < float("inf")  # neither x / 0 nor 0 / 0
    return Lift(
        absolute,
        low,
        high,
        ratio - 1 if known else None,
        ratio_low - 1 if known else None,
        ratio_high - 1 if known else None,
        absolute * treated,
        low * treated,
        high * treated,
        treated,
    )


def _require(arms: Sequence[tuple[Arm, Arm]], confidence: float) -> None:
    require_confidence(confidence)
    if not all(0 <= arm.successes <= arm.total for pair in arms for arm in pair):
        raise ValueError("successes must be from 0 to total")


def _both(pair: tuple[Arm, Arm]) -> bool:
    return pair[0].total > 0 and pair[1].total > 0


def _share(arm: Arm) -> float:
    return arm.successes / arm.total


def _with_one_more_of_each(arm: Arm) -> tuple[float, int]:
    return (arm.successes + 1) / (arm.total + 2), arm.total + 2


def _columns(arms: Sequence[Arm]) -> tuple["Numbers", "Numbers"]:
    return np.array([float(arm.successes) for arm in arms]), np.array([float(arm.total) for arm in arms])
