"""Confidence intervals for shares."""

import math
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple


class Interval(NamedTuple):
    """Both ends of an interval of shares, each from 0 to 1."""

    low: float
    high: float


def wilson(successes: int, total: int, confidence: float = 0.95) -> Interval | None:
    """The Wilson score interval of the share `successes / total`; None where `total` is 0.

    Unlike the textbook interval it stays within 0 and 1 and holds its level for small totals and rare outcomes,
    which is where campaign responses live. Source: E. B. Wilson (1927), J. Am. Stat. Assoc. 22:209-212; compared
    and recommended by R. G. Newcombe (1998), Statist. Med. 17:857-872. Raises ValueError unless
    0 <= successes <= total and 0 < confidence < 1.
    """
    if not 0 <= successes <= total:
        raise ValueError("successes must be from 0 to total")
    require_confidence(confidence)
    if total == 0:
        return None
    share = successes / total
    z = _standard_score(confidence)
    middle = share + z**2 / (2 * total)
    reach = z * math.sqrt(share * (1 - share) / total + (z / (2 * total)) ** 2)
    scale = 1 + z**2 / total
    # At 0 and at 100 % the formula meets the share itself; rounding must not put it outside.
    return Interval(max(0.0, min((middle - reach) / scale, share)), min(1.0, max((middle + reach) / scale, share)))


@lru_cache(maxsize=16)
def _standard_score(confidence: float) -> float:
    """How many standard deviations lie on either side; kept, as most ask for 95 %."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def require_confidence(confidence: float) -> None:
    """Raise ValueError unless the confidence lies between 0 and 1."""
    if not 0 < confidence < 1:
        raise ValueError("confidence must be between 0 and 1")
