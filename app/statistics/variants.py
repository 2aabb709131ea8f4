"""Which version of a message did best, or that it cannot be said.

There is one look, at a horizon fixed before the launch: whoever looks every day and stops at the first clear
difference finds one in a third of tests without any (P. Armitage et al. (1969), J. R. Stat. Soc. A 132:235-244).
"""

from collections.abc import Sequence
from enum import StrEnum
from itertools import combinations
from typing import NamedTuple

from app.statistics.corrections import holm
from app.statistics.lift import Arm, Lift, differences, p_values

LEVEL = 0.05


class Conclusion(StrEnum):
    """What can be said about the versions."""

    TOO_EARLY = "too_early"
    INCONCLUSIVE = "inconclusive"
    WINNER = "winner"


class Pair(NamedTuple):
    """Two versions by their places, the first's lift over the second, and its p-value corrected by Holm."""

    first: int
    second: int
    lift: Lift
    p: float


class Verdict(NamedTuple):
    """The conclusion, the winner's place (None without one) and every comparison behind it, once it is time."""

    conclusion: Conclusion
    winner: int | None
    pairs: list[Pair]


def verdict(arms: Sequence[Arm], horizon_reached: bool) -> Verdict:
    """A winner is clearly better than every other version; anything else is inconclusive, a normal answer.

    Before the horizon nothing is compared at all. Versions nobody got yet are no rivals but leave nothing proved:
    with one of them the answer is inconclusive. ValueError for impossible counts.
    """
    if not all(0 <= arm.successes <= arm.total for arm in arms):
        raise ValueError("successes must be from 0 to total")
    if not horizon_reached:
        return Verdict(Conclusion.TOO_EARLY, None, [])
    places = list(combinations(range(len(arms)), 2))
    compared = [(arms[first], arms[second]) for first, second in places]
    raw = p_values(compared)
    known = [position for position, p in enumerate(raw) if p is not None]
    corrected = holm([p for p in raw if p is not None])
    lifts = differences(compared)
    pairs = [
        Pair(*places[position], lift, p)
        for position, p in zip(known, corrected, strict=True)
        if (lift := lifts[position]) is not None
    ]
    for place in range(len(arms)):
        rivals = [pair for pair in pairs if place in (pair.first, pair.second)]
        if rivals and len(rivals) == len(arms) - 1 and all(_beats(pair, place) for pair in rivals):
            return Verdict(Conclusion.WINNER, place, pairs)
    return Verdict(Conclusion.INCONCLUSIVE, None, pairs)


def _beats(pair: Pair, place: int) -> bool:
    better = pair.lift.absolute > 0 if pair.first == place else pair.lift.absolute < 0
    return better and pair.p < LEVEL
