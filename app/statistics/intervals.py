"""Confidence intervals for shares."""

from typing import NamedTuple

from app.statistics.libraries import proportion


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
    low, high = proportion.proportion_confint(successes, total, alpha=1 - confidence, method="wilson")
    share = successes / total
    # At 0 and at 100 % the formula meets the share itself; rounding must not put it outside.
    return Interval(max(0.0, min(float(low), share)), min(1.0, max(float(high), share)))


def require_confidence(confidence: float) -> None:
    """Raise ValueError unless the confidence lies between 0 and 1."""
    if not 0 < confidence < 1:
        raise ValueError("confidence must be between 0 and 1")
