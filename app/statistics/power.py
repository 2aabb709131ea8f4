"""How many clients and days a campaign needs before it can show what it caused.

Normal approximation with the pooled variance when nothing happens and the arms' own otherwise: J. L. Fleiss,
A. Tytun, H. K. Ury (1980), Biometrics 36:343-346, without continuity correction; two-sided, by statsmodels
`samplesize_proportions_2indep_onetail` and `power_proportions_2indep`.
"""

import math
from typing import NamedTuple

from app.statistics.intervals import require_confidence
from app.statistics.libraries import optimize, proportion

POWER = 0.8


class Needed(NamedTuple):
    """Clients needed in each group and together."""

    treated: int
    control: int
    total: int


def needed(
    base_rate: float, lift: float, control_share: float, *, power: float = POWER, confidence: float = 0.95
) -> Needed:
    """The clients that show an absolute `lift` over `base_rate` with the given power.

    All are shares from 0 to 1; a lift below zero asks for a loss. ValueError where a rate leaves 0 to 1.
    """
    _require(base_rate, control_share, power, confidence)
    if lift == 0 or not 0 < base_rate + lift < 1:
        raise ValueError("the lift must not be zero and must lead to a rate between 0 and 1")
    ratio = control_share / (1 - control_share)
    treated = proportion.samplesize_proportions_2indep_onetail(
        lift, base_rate, power, ratio=ratio, alpha=1 - confidence, alternative="two-sided"
    )
    # A hair less than a whole number is that number, not one more.
    sizes = [max(2, math.ceil(float(size) - 1e-9)) for size in (treated, treated * ratio)]
    return Needed(sizes[0], sizes[1], sum(sizes))


def chance(base_rate: float, lift: float, treated: int, control: int, *, confidence: float = 0.95) -> float:
    """The power: how likely it is that groups of these sizes show the lift (or loss) in its own direction."""
    _require(base_rate, 0.5, POWER, confidence)
    if min(treated, control) < 1:
        raise ValueError("both groups must have clients")
    if lift == 0 or not 0 < base_rate + lift < 1:
        raise ValueError("the lift must not be zero and must lead to a rate between 0 and 1")
    return float(
        proportion.power_proportions_2indep(
            lift,
            base_rate,
            treated,
            ratio=control / treated,
            alpha=(1 - confidence) / 2,
            alternative="larger" if lift > 0 else "smaller",
            return_results=False,
        )
    )


def detectable(
    base_rate: float, treated: int, control: int, *, power: float = POWER, confidence: float = 0.95
) -> float | None:
    """The smallest absolute lift that groups of these sizes show with the given power; None where none would do."""
    _require(base_rate, 0.5, power, confidence)
    if min(treated, control) < 1:
        raise ValueError("both groups must have clients")

    def missing(lift: float) -> float:
        return chance(base_rate, lift, treated, control, confidence=confidence) - power

    most, least = (1 - base_rate) * (1 - 1e-9), 1e-9 * (1 - base_rate)
    if missing(most) < 0 or missing(least) > 0:
        return None
    return float(optimize.brentq(missing, least, most, xtol=1e-9))


def days(clients: int, clients_per_day: float, *, window_days: int = 0) -> int:
    """Days until `clients` have been contacted, and the last of them has had `window_days` to respond."""
    if clients < 0 or window_days < 0:
        raise ValueError("counts must not be negative")
    if not (math.isfinite(clients_per_day) and clients_per_day > 0):
        raise ValueError("clients per day must be above zero")
    return math.ceil(clients / clients_per_day) + window_days


def _require(base_rate: float, control_share: float, power: float, confidence: float) -> None:
    require_confidence(confidence)
    if not 0 < base_rate < 1:
        raise ValueError("the base rate must be between 0 and 1")
    if not 0 < control_share < 1:
        raise ValueError("the control share must be between 0 and 1")
    if not 1 - confidence < power < 1:
        raise ValueError("the power must be between the error that is allowed and 1")
