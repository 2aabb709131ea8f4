"""How a measure is taken and printed.

The value and its reference are taken by turns, several times, and the best of each counts: what disturbs a busy
machine only ever makes things slower. `ratio` is how the value compares with the reference in speed, so more is
better whatever the unit; `reached` says whether it is at least `bound`.
"""

import json
import sys
import time
from collections.abc import Callable

ROUNDS = 3


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def best(*works: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """The best time of each piece of work, taken by turns."""
    times = [[seconds(work) for work in works] for _ in range(rounds)]
    return [min(column) for column in zip(*times, strict=True)]


def report_rate(measure: str, *, size: int, unit: str, taken: float, reference_taken: float, bound: float) -> None:
    """Print a measure as a rate: `size` things in so many seconds."""
    _report(measure, size, size / taken, unit, size / reference_taken, reference_taken / taken, bound)


def report_seconds(measure: str, *, size: int, taken: float, reference_taken: float, bound: float) -> None:
    """Print a measure as a duration."""
    _report(measure, size, taken, "s", reference_taken, reference_taken / taken, bound)


def _report(measure: str, size: int, value: float, unit: str, reference: float, ratio: float, bound: float) -> None:
    line = {
        "measure": measure,
        "size": size,
        "value": _short(value),
        "unit": unit,
        "reference": _short(reference),
        "ratio": _short(ratio),
        "bound": bound,
        "reached": ratio >= bound,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _short(value: float) -> float:
    """Three or four digits that mean something."""
    return round(value) if value >= 1_000 else float(f"{value:.3g}")
