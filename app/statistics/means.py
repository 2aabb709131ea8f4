"""What a campaign caused in money: the difference of mean amounts, such as assets brought in per client.

Every client of an arm counts, those who brought nothing with zero, because a mean over those who came would compare
people who are not alike. Amounts are plain numbers in one currency.

- Welch: B. L. Welch (1947), Biometrika 34:28-35, with Satterthwaite's degrees of freedom. Quick, needs sums only.
- bootstrap: no normal shape assumed, which a few large deposits break; the interval inverts the test of B. Efron, R. J.
  Tibshirani (1993), An Introduction to the Bootstrap, algorithm 16.1. Reports lead with it: a small control group that
  happens to miss the large deposits looks poor and sure of itself at once, and Welch's interval then calls one
  campaign in ten without effect a success (docs/statistics.md);
- several strata: each compared within itself, weighing as much as it has treated clients: W. G. Cochran (1977),
  Sampling Techniques, chapter 5; degrees of freedom of the sum: F. E. Satterthwaite (1946), Biometrics Bull. 2:110-114.
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
    amounts: "Sequence[float] | NDArray[np.float64]"


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
    return stratified_welch([(treated, control)], confidence)


def stratified_welch(arms: Sequence[tuple[Moments, Moments]], confidence: float = 0.95) -> MeanLift | None:
    """The difference of the means over strata with control shares of their own, each a pair (treated, control).

    As `lift.stratified` does it for accounts: each stratum is compared within itself and weighs as much as it has
    treated clients, so what the whole brought in is the sum of what its strata did. The variances of all means, times
    the squares of their weights, add up. Strata with fewer than two clients in an arm say nothing and are left out;
    None where none is left. ValueError for negative counts or variances, or numbers that are not finite.
    """
    require_confidence(confidence)
    for arm in (arm for pair in arms for arm in pair):
        if arm.total < 0 or not (math.isfinite(arm.mean) and math.isfinite(arm.variance)) or arm.variance < 0:
            raise ValueError("counts and variances must not be negative, and all must be finite")
    strata = [pair for pair in arms if min(pair[0].total, pair[1].total) > 1]
    if not strata:
        return None
    if len(strata) == 1:
        (treated, control) = strata[0]
        low, high = welch_ends(treated, control, confidence)
        return _mean_lift(treated.total, treated.mean - control.mean, float(low), float(high))
    everybody = sum(treated.total for treated, _control in strata)
    weighted = [(treated.total / everybody, treated, control) for treated, control in strata]
    gap = sum(weight * (treated.mean - control.mean) for weight, treated, control in weighted)
    errors = [(weight**2 * arm.variance / arm.total, arm.total - 1) for weight, *pair in weighted for arm in pair]
    error = sum(one for one, _freedom in errors)
    if not error:  # no spread anywhere leaves no doubt
        return _mean_lift(everybody, gap, gap, gap)
    freedom = 1 / sum((one / error) ** 2 / own for one, own in errors)
    reach = float(distributions.t.isf((1 - confidence) / 2, freedom)) * math.sqrt(error)
    return _mean_lift(everybody, gap, gap - reach, gap + reach)


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
    return stratified_bootstrap([(treated, control)], confidence, resamples=resamples, seed=seed)


def stratified_bootstrap(
    arms: Sequence[tuple[Amounts, Amounts]],
    confidence: float = 0.95,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> MeanLift | None:
    """The same over strata, each a pair (treated, control): the arms of each are redrawn from its own clients, and the
    differences are weighted as `stratified_welch` does. Strata without one of the arms are left out."""
    require_confidence(confidence)
    if resamples < 100:
        raise ValueError("there must be at least 100 resamples")
    strata = [_Stratum.of(*pair) for pair in arms if pair[0].total and pair[1].total]
    count = sum(len(one.amounts) for one in strata)
    if not count:
        return None
    everybody = sum(one.treated for one in strata)
    weights = [one.treated / everybody for one in strata]
    gap = sum(weight * one.gap for weight, one in zip(weights, strata, strict=True))
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    if count > MOST_REDRAWN:
        below, above = _expected_quantiles(strata, weights, tails)
    else:
        source = np.random.default_rng(seed)
        drawn = sum(weight * one.redrawn_gaps(source, resamples) for weight, one in zip(weights, strata, strict=True))
        below, above = np.quantile(drawn, tails)
    return _mean_lift(everybody, gap, min(gap, gap - float(above)), max(gap, gap - float(below)))


class _Stratum(NamedTuple):
    """The sizes of both arms, the difference of their means, and the amounts of both together."""

    treated: int
    control: int
    gap: float
    amounts: "NDArray[np.float64]"

    @classmethod
    def of(cls, treated: Amounts, control: Amounts) -> "_Stratum":
        gap = moments_of(treated).mean - moments_of(control).mean
        # The order they came in must not matter.
        amounts = np.sort(np.concatenate([np.asarray(arm.amounts, dtype=float) for arm in (treated, control)]))
        return cls(treated.total, control.total, gap, amounts[amounts != 0])

    def redrawn_gaps(self, source: "np.random.Generator", resamples: int) -> Any:
        if not len(self.amounts):
            return 0.0
        share = len(self.amounts) / (self.treated + self.control)
        one, other = (
            _redrawn_means(source, self.amounts, share, total, resamples) for total in (self.treated, self.control)
        )
        return one - other

    def chance(self) -> tuple[float, float]:
        """The variance and the third cumulant of the gap that redrawing gives."""
        total = self.treated + self.control
        mean = self.amounts.sum() / total
        nothing = total - len(self.amounts)
        second = (((self.amounts - mean) ** 2).sum() + nothing * mean**2) / total
        third = (((self.amounts - mean) ** 3).sum() - nothing * mean**3) / total
        return (
            float(second * (1 / self.treated + 1 / self.control)),
            float(third * (1 / self.treated**2 - 1 / self.control**2)),
        )


def _expected_quantiles(
    strata: Sequence[_Stratum], weights: Sequence[float], tails: tuple[float, float]
) -> "NDArray[np.float64]":
    """What redrawing comes to where very many brought something: all but normal, but for its skewness.

    The cumulants of independent strata add up. Source: E. A. Cornish, R. A. Fisher (1938), Rev. Inst. Int. Stat.
    5:307-320, the first correction.
    """
    chances = [one.chance() for one in strata]
    spread = sum(weight**2 * second for weight, (second, _third) in zip(weights, chances, strict=True))
    third = sum(weight**3 * cumulant for weight, (_second, cumulant) in zip(weights, chances, strict=True))
    skewness = third / spread**1.5 if spread else 0.0
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
