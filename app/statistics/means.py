"""What a campaign caused in money: the difference of mean amounts, such as assets brought in per client.

Every client of an arm counts, those who brought nothing with zero, because a mean over those who came would compare
people who are not alike. Amounts are plain numbers in one currency.

- Welch: B. L. Welch (1947), Biometrika 34:28-35, with Satterthwaite's degrees of freedom. Quick, needs sums only.
- bootstrap: no normal shape assumed, which a few large deposits break; the interval inverts the test of B. Efron, R. J.
  Tibshirani (1993), An Introduction to the Bootstrap, algorithm 16.1. Reports lead with it: a small control group that
  happens to miss the large deposits looks poor and sure of itself at once, and Welch's interval then calls one
  campaign in ten without effect a success (docs/statistics.md).
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from app.statistics.intervals import require_confidence
from app.statistics.libraries import distributions, np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = 20_260_101
RESAMPLES = 2_000
MOST_REDRAWN = 2_000
DRAWS_AT_ONCE = 250_000


class Moments(NamedTuple):
    """How many clients, their mean amount, and the variance (with n - 1), as PostgreSQL's avg and var_samp."""

    total: int
    mean: float
    variance: float


class Amounts(NamedTuple):
    """The amounts of those who brought anything; the rest of the `total` clients brought nothing."""

    total: int
    amounts: Sequence[float]


class MeanLift(NamedTuple):
    """The difference of the means with both ends of its interval, and the same times the treated clients."""

    difference: float
    low: float
    high: float
    incremental: float
    incremental_low: float
    incremental_high: float


def moments(total: int, amount_sum: float, sum_of_squares: float) -> Moments:
    """Moments from the sums over those who brought anything. ValueError where the sums fit no amounts."""
    if total < 0 or sum_of_squares < 0 or not (math.isfinite(amount_sum) and math.isfinite(sum_of_squares)):
        raise ValueError("sums must be finite and counts must not be negative")
    if total == 0:
        return Moments(0, 0.0, 0.0)
    spread = sum_of_squares - amount_sum**2 / total
    if spread < -1e-6 * max(1.0, sum_of_squares):
        raise ValueError("the sum of squares must be at least the squared sum over the total")
    return Moments(total, amount_sum / total, max(0.0, spread) / (total - 1) if total > 1 else 0.0)


def moments_of(arm: Amounts) -> Moments:
    """Moments of sparse amounts."""
    if len(arm.amounts) > arm.total:
        raise ValueError("there must be no more amounts than clients")
    amount = np.asarray(arm.amounts, dtype=float)
    if not np.isfinite(amount).all():
        raise ValueError("amounts must be finite")
    if arm.total < 2:
        return Moments(arm.total, float(amount.sum()), 0.0)
    mean = float(amount.sum()) / arm.total
    spread = float(((amount - mean) ** 2).sum()) + (arm.total - len(amount)) * mean**2
    return Moments(arm.total, mean, spread / (arm.total - 1))


def welch(treated: Moments, control: Moments, confidence: float = 0.95) -> MeanLift | None:
    """The difference of the means, variances unequal; None where an arm has fewer than two clients.

    ValueError for negative counts or variances, or numbers that are not finite.
    """
    require_confidence(confidence)
    for arm in (treated, control):
        if arm.total < 0 or not (math.isfinite(arm.mean) and math.isfinite(arm.variance)) or arm.variance < 0:
            raise ValueError("counts and variances must not be negative, and all must be finite")
    if treated.total < 2 or control.total < 2:
        return None
    low, high = welch_ends(treated, control, confidence)
    return _mean_lift(treated.total, treated.mean - control.mean, float(low), float(high))


def welch_ends(treated: Moments, control: Moments, confidence: float) -> tuple[Any, Any]:
    """Both ends of Welch's interval; the moments may be arrays of as many comparisons."""
    one, other = np.divide(treated.variance, treated.total), np.divide(control.variance, control.total)
    errors = one + other
    scale = np.where(errors > 0, errors, 1.0)  # arms without any spread leave no doubt, whatever the degrees of freedom
    shares = (one / scale) ** 2 / (treated.total - 1) + (other / scale) ** 2 / (control.total - 1)
    freedom = 1 / np.where(errors > 0, shares, 1.0)
    reach = distributions.t.isf((1 - confidence) / 2, freedom) * np.sqrt(errors)
    gap = treated.mean - control.mean
    return gap - reach, gap + reach


def bootstrap(
    treated: Amounts,
    control: Amounts,
    confidence: float = 0.95,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> MeanLift | None:
    """The difference of the means with a bootstrap interval; None where an arm is empty or nobody brought anything.

    Both arms are redrawn from all clients together, as if the campaign had done nothing; how far apart their means
    then fall by chance is taken off the difference that was found. The same amounts give the same interval: the seed
    is fixed. Above `MOST_REDRAWN` amounts the outcome is calculated instead, so that a page never waits. ValueError for
    impossible counts or amounts.
    """
    require_confidence(confidence)
    if resamples < 100:
        raise ValueError("there must be at least 100 resamples")
    gap = moments_of(treated).mean - moments_of(control).mean if treated.total and control.total else None
    # The order they came in must not matter.
    amounts = np.sort(np.array([amount for arm in (treated, control) for amount in arm.amounts if amount], dtype=float))
    if gap is None or not len(amounts):
        return None
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    if len(amounts) > MOST_REDRAWN:
        below, above = _expected_quantiles(amounts, treated.total, control.total, tails)
    else:
        source = np.random.default_rng(seed)
        share = len(amounts) / (treated.total + control.total)
        one, other = (_redrawn_means(source, amounts, share, arm.total, resamples) for arm in (treated, control))
        below, above = np.quantile(one - other, tails)
    return _mean_lift(treated.total, gap, min(gap, gap - float(above)), max(gap, gap - float(below)))


def _expected_quantiles(
    amounts: "NDArray[np.float64]", treated: int, control: int, tails: tuple[float, float]
) -> "NDArray[np.float64]":
    """What redrawing comes to where very many brought something: all but normal, but for its skewness.

    Source: E. A. Cornish, R. A. Fisher (1938), Rev. Inst. Int. Stat. 5:307-320, the first correction.
    """
    total = treated + control
    mean = amounts.sum() / total
    nothing = total - len(amounts)
    second = (((amounts - mean) ** 2).sum() + nothing * mean**2) / total
    third = (((amounts - mean) ** 3).sum() - nothing * mean**3) / total
    spread = second * (1 / treated + 1 / control)
    skewness = third * (1 / treated**2 - 1 / control**2) / spread**1.5 if spread else 0.0
    z = distributions.norm.ppf(np.array(tails))
    return np.asarray((z + (z**2 - 1) * skewness / 6) * math.sqrt(spread))


def _redrawn_means(
    source: "np.random.Generator", amounts: "NDArray[np.float64]", share: float, total: int, resamples: int
) -> "NDArray[np.float64]":
    """The mean of each resample of `total` clients, of whom a share has one of the amounts and the rest nothing.

    How many have one is binomial; only these are drawn, so that a million clients cost no more than those who count.
    """
    means = []
    at_once = max(1, int(DRAWS_AT_ONCE / (share * total + 1)))
    for start in range(0, resamples, at_once):
        counts = source.binomial(total, share, min(at_once, resamples - start))
        ends = np.cumsum(counts + 1)  # one zero ends each resample, so that none is without a draw
        drawn = amounts[source.integers(0, len(amounts), ends[-1], dtype=np.int32)]
        drawn[ends - 1] = 0
        means.append(np.add.reduceat(drawn, ends - counts - 1) / total)
    return np.concatenate(means)


def _mean_lift(treated: int, gap: float, low: float, high: float) -> MeanLift:
    return MeanLift(gap, low, high, gap * treated, low * treated, high * treated)
