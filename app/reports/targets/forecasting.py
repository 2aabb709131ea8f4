"""Where a count or an amount will stand at the end of its period, from the pace of the last days."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev

from app.statistics.libraries import special

PACE_DAYS = 14
FEWEST_DAYS = 5
_RULE_OF_THREE = 3.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected at the end, and between what it lies with 95 % probability, if the pace stays as it was."""

    expected: float
    low: float
    high: float


def forecast(so_far: float, daily: Sequence[float], days_left: int, *, counts: bool) -> Forecast | None:
    """`so_far` is what has been reached, `daily` what each of the last days brought (whole days, none left out, zeros
    too), `days_left` how many more there are. None with fewer than five days to judge by. ValueError for negative days.

    The sum of `days_left` more days like these is the mean of the `n` observed ones times `days_left`, with the
    prediction interval t(n - 1) * s * days_left * sqrt(1 / days_left + 1 / n): G. J. Hahn, W. Q. Meeker (1991),
    Statistical Intervals, section 4.8. It takes days as independent and their sum as normal, which for few and uneven
    days is an approximation. What is there cannot be lost, so the interval never begins below `so_far`.

    `counts`: where none came on any of the days, up to 3 / n a day are within the interval (J. A. Hanley,
    A. Lippman-Hand (1983), JAMA 249:1743-1745).
    """
    if days_left < 0:
        raise ValueError("days_left is negative")
    if days_left == 0:
        return Forecast(so_far, so_far, so_far)
    n = len(daily)
    if n < FEWEST_DAYS:
        return None
    mean = fmean(daily)
    if counts and not any(daily):
        return Forecast(so_far, so_far, so_far + days_left * _RULE_OF_THREE / n)
    half = float(special.stdtrit(n - 1, 0.975)) * stdev(daily) * days_left * sqrt(1 / days_left + 1 / n)
    expected = days_left * mean
    return Forecast(so_far + expected, so_far + max(0.0, expected - half), so_far + expected + half)
