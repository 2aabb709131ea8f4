"""How often the intervals of reports are right: `make bench-statistics`, one JSON line a measure.

100,000 campaigns (BENCH_RUNS) are drawn for each pair of groups and each rate, once without any effect and once with
a fifth more, from a fixed seed. Counted are how many 95 % intervals hold the truth, and how many campaigns without
effect would be called a success: the lower end above zero. docs/statistics.md tells what is reached.
"""

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from app.statistics.lift import compare, wilson_limits
from app.statistics.means import Amounts, Moments, bootstrap, welch_ends

SEED = 20_260_101
RUNS = 100_000
BOOTSTRAPPED = 1_000
GROUPS = ((9_000, 1_000), (1_000, 1_000))
RATES = (0.02, 0.03, 0.05, 0.08, 0.10)
MONEY_RATES = (0.02, 0.05, 0.10)
EFFECT = 1.2
COVERS = (0.94, 0.97)
FALSE_SUCCESSES = 0.03
LEVEL = 0.95
AT_ONCE = 5_000
# Assets brought in: half of those who come bring less than 22,000, one in a hundred more than 360,000.
LOG_MEAN, LOG_SPREAD = 10.0, 1.2
MEAN_AMOUNT = float(np.exp(LOG_MEAN + LOG_SPREAD**2 / 2))

Line = dict[str, Any]


def main() -> None:
    runs = max(1_000, int(os.environ.get("BENCH_RUNS", RUNS)))
    for measure in (accounts, money_by_welch, money_by_bootstrap):
        for line in measure(runs):
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()


def accounts(runs: int) -> Iterator[Line]:
    """Absolute lift by Newcombe's interval, and relative lift by MOVER-R."""
    for treated, control, rate, effect in _campaigns(RATES):
        source = np.random.default_rng([SEED, treated, control, int(rate * 1_000), int(effect * 10)])
        one = source.binomial(treated, rate * effect, runs).astype(float)
        other = source.binomial(control, rate, runs).astype(float)
        sizes = np.full(runs, float(treated)), np.full(runs, float(control))
        ends = compare(wilson_limits(one, sizes[0], 1 - LEVEL), wilson_limits(other, sizes[1], 1 - LEVEL))
        lift = rate * (effect - 1)
        yield _line("absolute lift", runs, treated, control, rate, effect, ends.low, ends.high, lift)
        known = np.isfinite(ends.ratio)
        low, high = ends.ratio_low[known], ends.ratio_high[known]
        yield _line("relative lift", runs, treated, control, rate, effect, low - 1, high - 1, effect - 1)


def money_by_welch(runs: int) -> Iterator[Line]:
    """Mean assets by Welch's interval."""
    for treated, control, rate, effect in _campaigns(MONEY_RATES):
        source = np.random.default_rng([SEED, treated, control, int(rate * 1_000), int(effect * 10), 1])
        one, other = _moments(source, treated, rate * effect, runs), _moments(source, control, rate, runs)
        low, high = welch_ends(one, other, LEVEL)
        truth = rate * (effect - 1) * MEAN_AMOUNT
        yield _line("assets, Welch", runs, treated, control, rate, effect, low, high, truth, bound=False)


def money_by_bootstrap(runs: int) -> Iterator[Line]:
    """Mean assets by the bootstrap interval: a thousand resamples for each campaign, so fewer campaigns."""
    runs = min(runs, BOOTSTRAPPED)
    for treated, control, rate, effect in _campaigns(MONEY_RATES):
        source = np.random.default_rng([SEED, treated, control, int(rate * 1_000), int(effect * 10), 2])
        found = []
        for _ in range(runs):
            one, other = (
                Amounts(size, source.lognormal(LOG_MEAN, LOG_SPREAD, source.binomial(size, share)).tolist())
                for size, share in ((treated, rate * effect), (control, rate))
            )
            if (lift := bootstrap(one, other, LEVEL, resamples=1_000, seed=int(source.integers(2**31)))) is not None:
                found.append((lift.low, lift.high))
        low, high = np.array(found).T
        truth = rate * (effect - 1) * MEAN_AMOUNT
        yield _line("assets, bootstrap", len(found), treated, control, rate, effect, low, high, truth, bound=False)


def _campaigns(rates: tuple[float, ...]) -> Iterator[tuple[int, int, float, float]]:
    return ((*groups, rate, effect) for groups in GROUPS for rate in rates for effect in (1.0, EFFECT))


def _moments(source: np.random.Generator, size: int, rate: float, runs: int) -> Moments:
    """The moments of `runs` arms of `size` clients, of whom a share brings a log-normal amount."""
    sums, squares = [], []
    for start in range(0, runs, AT_ONCE):
        counts = source.binomial(size, rate, min(AT_ONCE, runs - start))
        amounts = source.lognormal(LOG_MEAN, LOG_SPREAD, counts.sum())
        run = np.repeat(np.arange(len(counts)), counts)
        sums.append(np.bincount(run, amounts, len(counts)))
        squares.append(np.bincount(run, amounts**2, len(counts)))
    total, total_squares = np.concatenate(sums), np.concatenate(squares)
    mean: Any = total / size
    return Moments(size, mean, (total_squares - total * mean) / (size - 1))


def _line(
    measure: str,
    runs: int,
    treated: int,
    control: int,
    rate: float,
    effect: float,
    low: Any,
    high: Any,
    truth: float,
    *,
    bound: bool = True,
) -> Line:
    """What came of one setting. `above` and `below`: intervals that lie wholly above or below the truth."""
    above, below = float(np.mean(low > truth)), float(np.mean(high < truth))
    covers = 1 - above - below
    line: Line = {
        "measure": measure,
        "runs": runs,
        "treated": treated,
        "control": control,
        "rate": rate,
        "effect": round(effect - 1, 2),
        "covers": round(covers, 4),
        "above": round(above, 4),
        "below": round(below, 4),
    }
    if effect == 1:
        line["called_success"] = round(float(np.mean(low > 0)), 4)
    if bound:
        line["reached"] = COVERS[0] <= covers <= COVERS[1] and line.get("called_success", 0.0) <= FALSE_SUCCESSES
    return line


if __name__ == "__main__":
    main()
