"""A figure about a large client book, whether it is within its bound, and how it grows."""

import json
import math
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure. `bound` holds for `value / reference`, or for the value itself with `on="value"`; it is the most
    that is allowed, or with `at_least` the least. Without a bound nothing is judged.

    `size` is how many things were worked on. The growth from the small book to the full one is told for units of
    time (`s`, `ms`), of memory (`MB`) and for rates (`.../s`, as time a size). `fair` False: what it was measured
    against was not what it should have been, so nothing is reached.
    """

    name: str
    size: int
    value: float
    unit: str
    reference: float | None = None
    bound: float | None = None
    on: str = "ratio"
    at_least: bool = False
    fair: bool = True

    @property
    def ratio(self) -> float | None:
        return self.value / self.reference if self.reference else None

    @property
    def reached(self) -> bool | None:
        judged = self.ratio if self.on == "ratio" else self.value
        if self.bound is None or judged is None:
            return None
        return self.fair and (judged >= self.bound if self.at_least else judged <= self.bound)


def exponent(small: Measure, full: Measure) -> float | None:
    """How the cost grows with the size: 1 is linear. None where that says nothing."""
    if small.size == full.size or not (small.value > 0 and full.value > 0):
        return None
    if full.unit.endswith("/s"):
        costs = small.size / small.value, full.size / full.value
    elif full.unit in ("s", "ms", "MB"):
        costs = small.value, full.value
    else:
        return None
    return math.log(costs[1] / costs[0]) / math.log(full.size / small.size)


def report(measure: Measure, growth: float | None) -> None:
    """Print a figure and the exponent of its growth as a line of JSON."""
    line = {
        "measure": measure.name,
        "size": measure.size,
        "value": _short(measure.value),
        "unit": measure.unit,
        "reference": _short(measure.reference),
        "ratio": _short(measure.ratio),
        "bound": measure.bound,
        "reached": measure.reached,
        "exponent": None if growth is None else round(growth, 2),
    }
    sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _short(value: float | None) -> float | None:
    """Three or four digits that mean something."""
    if value is None:
        return None
    return round(value) if abs(value) >= 1_000 else float(f"{value:.3g}")
