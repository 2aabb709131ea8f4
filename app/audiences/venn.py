"""A Venn diagram of two or three sets as circles to draw.

Two circles are true to scale: their areas are as the sizes of the sets and their lens is as what they share. Three
circles cannot be in general, so they stand fixed and only their numbers speak.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import acos, pi, sqrt

from pyroaring import BitMap64

from app.audiences.snapshots import regions

WIDTH, HEIGHT = 420.0, 280.0
_LARGEST = 110.0  # radius of the larger of two circles
_SMALLEST = 14.0  # still to be seen and named


@dataclass(frozen=True, slots=True)
class Circle:
    x: float
    y: float
    radius: float


@dataclass(frozen=True, slots=True)
class Label:
    """How many are in one region, and where to write it."""

    x: float
    y: float
    count: int


@dataclass(frozen=True, slots=True)
class Venn:
    """Circles in the order of the sets, and the counts of the regions, in a box of WIDTH x HEIGHT."""

    circles: list[Circle]
    labels: list[Label]
    to_scale: bool


def venn(sets: Sequence[BitMap64]) -> Venn | None:
    """The diagram of two or three sets; None of fewer, more, or only empty ones."""
    if len(sets) not in (2, 3) or not any(sets):
        return None
    counts = regions(sets)
    return _two(sets, counts) if len(sets) == 2 else _three(counts)


def _two(sets: Sequence[BitMap64], counts: dict[tuple[int, ...], int]) -> Venn:
    shared, largest = counts.get((0, 1), 0), max(len(one) for one in sets)
    one, other = (max(_SMALLEST, _LARGEST * sqrt(len(ids) / largest)) for ids in sets)
    apart = _distance(one, other, shared / largest * pi * _LARGEST**2)
    left = (WIDTH - (one + apart + other)) / 2 + one
    if apart < abs(one - other):  # one inside the other
        left = WIDTH / 2 - (apart if one < other else 0) / 2
    right, middle = left + apart, HEIGHT / 2
    lens = ((right - other) + (left + one)) / 2
    only_left, only_right = ((left - one) + (right - other)) / 2, ((left + one) + (right + other)) / 2
    labels = [
        Label(only_left, middle, counts.get((0,), 0)),
        Label(lens, middle, shared),
        Label(only_right, middle, counts.get((1,), 0)),
    ]
    return Venn([Circle(left, middle, one), Circle(right, middle, other)], [x for x in labels if x.count], True)


def _distance(one: float, other: float, area: float) -> float:
    """How far apart the middles of two circles are whose lens has this area; found by halving."""
    near, far = abs(one - other), one + other
    for _step in range(40):
        middle = (near + far) / 2
        if _lens(one, other, middle) > area:
            near = middle
        else:
            far = middle
    return (near + far) / 2


def _lens(one: float, other: float, apart: float) -> float:
    """The area that two circles share (https://mathworld.wolfram.com/Circle-CircleIntersection.html, eq. 14)."""
    if apart >= one + other:
        return 0.0
    if apart <= abs(one - other):
        return pi * min(one, other) ** 2
    first = one**2 * acos(_within((apart**2 + one**2 - other**2) / (2 * apart * one)))
    second = other**2 * acos(_within((apart**2 + other**2 - one**2) / (2 * apart * other)))
    kite = (-apart + one + other) * (apart + one - other) * (apart - one + other) * (apart + one + other)
    return first + second - sqrt(max(0.0, kite)) / 2


def _within(cosine: float) -> float:
    return min(1.0, max(-1.0, cosine))


_THREE = (Circle(165, 105, 90), Circle(255, 105, 90), Circle(210, 178, 90))
_PLACES = {
    (0,): (128, 82),
    (1,): (292, 82),
    (2,): (210, 228),
    (0, 1): (210, 68),
    (0, 2): (156, 158),
    (1, 2): (264, 158),
    (0, 1, 2): (210, 128),
}


def _three(counts: dict[tuple[int, ...], int]) -> Venn:
    return Venn(list(_THREE), [Label(*_PLACES[place], count) for place, count in counts.items()], False)
