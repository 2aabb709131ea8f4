"""What a campaign caused in money: the difference of mean amounts, such as assets brought in per client.

Every client of an arm counts, those who brought nothing with zero, because a mean over those who came would compare
people who are not alike. Amounts are plain numbers in one currency.

- Welch: B. L. Welch (1947), Biometrika 34:28-35, with Satterthwaite's degrees of freedom. Quick, needs sums only.
- bootstrap: no normal shape assumed, which a few large deposits break: B. Efron, R. J. Tibshirani (1993), An
  Introduction to the Bootstrap, ch. 12 (bootstrap-t).
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from app.statistics.intervals import require_confidence
from app.statistics.libraries import distributions, np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = 20_260_101
RESAMPLES = 2_000
FEWEST_RESAMPLES = 1_000
DRAWS = 20_000_000
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
    gap = treated.mean - control.mean
    one, other = treated.variance / treated.total, control.variance / control.total
    if one + other == 0:
        return _mean_lift(treated.total, gap, gap, gap)
    freedom = (one + other) ** 2 / (one**2 / (treated.total - 1) + other**2 / (control.total - 1))
    reach = float(distributions.t.isf((1 - confidence) / 2, freedom)) * math.sqrt(one + other)
    return _mean_lift(treated.total, gap, gap - reach, gap + reach)


def bootstrap(
    treated: Amounts,
    control: Amounts,
    confidence: float = 0.95,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> MeanLift | None:
    """The difference of the means with a bootstrap-t interval; None where an arm has fewer than two clients or
    nobody of it brought anything, from which nothing can be redrawn.

    The same amounts give the same interval: the seed is fixed. ValueError for impossible counts or amounts.
    """
    require_confidence(confidence)
    if resamples < 100:
        raise ValueError("there must be at least 100 resamples")
    one, other = moments_of(treated), moments_of(control)
    if min(one.total, other.total) < 2 or not np.any(treated.amounts) or not np.any(control.amounts):
        return None
    # Where very many brought something the shape is all but normal, and fewer resamples tell as much.
    resamples = min(resamples, max(FEWEST_RESAMPLES, DRAWS // (len(treated.amounts) + len(control.amounts))))
    source = np.random.default_rng(seed)
    gap, error = one.mean - other.mean, math.sqrt(one.variance / one.total + other.variance / other.total)
    mean_1, variance_1 = _redrawn(source, treated, resamples)
    mean_0, variance_0 = _redrawn(source, control, resamples)
    errors = np.sqrt(variance_1 / one.total + variance_0 / other.total)
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = (mean_1 - mean_0 - gap) / errors
    distances = distances[np.isfinite(distances)]  # a resample of nothing but equal amounts has no scale
    tail = (1 - confidence) / 2
    below, above = np.quantile(distances, (tail, 1 - tail))
    return _mean_lift(one.total, gap, min(gap, gap - float(above) * error), max(gap, gap - float(below) * error))


def _redrawn(
    source: "np.random.Generator", arm: Amounts, resamples: int
) -> tuple["NDArray[np.float64]", "NDArray[np.float64]"]:
    """Mean and variance of each resample of an arm.

    A resample draws `total` clients with replacement. How many of them brought anything is binomial; only these
    are drawn, so that a million clients cost no more than the few that count.
    """
    amount = np.sort([value for value in arm.amounts if value])  # the order they came in must not matter
    sums, squares = [], []
    at_once = max(1, DRAWS_AT_ONCE // len(amount))
    for start in range(0, resamples, at_once):
        counts = source.binomial(arm.total, len(amount) / arm.total, min(at_once, resamples - start))
        # One zero ends each resample, so that none is without a draw.
        ends = np.cumsum(counts + 1)
        drawn = amount[source.integers(0, len(amount), ends[-1], dtype=np.int32)]
        drawn[ends - 1] = 0
        starts = ends - counts - 1
        sums.append(np.add.reduceat(drawn, starts))
        squares.append(np.add.reduceat(drawn * drawn, starts))
    total_sum, total_squares = np.concatenate(sums), np.concatenate(squares)
    means = total_sum / arm.total
    return means, np.maximum(total_squares - total_sum * means, 0.0) / (arm.total - 1)


def _mean_lift(treated: int, gap: float, low: float, high: float) -> MeanLift:
    return MeanLift(gap, low, high, gap * treated, low * treated, high * treated)
