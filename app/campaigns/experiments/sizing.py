"""Whether a campaign is large enough to show what it tries out: for people who choose shares, before the launch."""

import math
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import combinations

from app.campaigns.experiments.control import Split
from app.core.clock import today
from app.statistics.power import days, detectable, needed

# What is assumed where nobody says otherwise, in percent.
BASE_PERCENT = {"accounts": 2.0, "clicked": 3.0, "opened": 20.0}
USUAL_RISE = 0.25  # of the rate itself


@dataclass(frozen=True, slots=True)
class ControlSize:
    """What a control group can show, at a rate of `base` without the campaign. Rates and rises are from 0 to 1.

    A campaign must raise the rate by at least `smallest` to be seen four times in five (None: no rise would do), which
    is `smallest_accounts` more of the treated. To see a rise by `rise` it takes `treated` and `control` clients.
    """

    base: float
    rise: float
    smallest: float | None
    smallest_accounts: int | None
    treated: int
    control: int
    enough: bool
    too_small: bool
    days: int
    ends_on: date


def control_size(
    split: Split, *, base: float, rise: float, window_days: int, per_day: float | None = None
) -> ControlSize | None:
    """None without a control group. `per_day`: so many clients a day become part of it; None: all at once.

    ValueError for rates that are none.
    """
    if not split.control or not split.treated:
        return None
    smallest = detectable(base, split.treated, split.control)
    wanted = needed(base, rise, split.share)
    duration = days(wanted.total, per_day, window_days=window_days) if per_day else window_days
    return ControlSize(
        base=base,
        rise=rise,
        smallest=smallest,
        smallest_accounts=None if smallest is None else round(smallest * split.treated),
        treated=wanted.treated,
        control=wanted.control,
        enough=split.treated >= wanted.treated and split.control >= wanted.control,
        too_small=is_too_small(split, base),
        days=duration,
        ends_on=today() + timedelta(days=duration),
    )


def is_too_small(split: Split, base: float = BASE_PERCENT["accounts"] / 100) -> bool:
    """Whether the campaign would have to more than double the rate for anything to be seen."""
    if not split.control or not split.treated:
        return False
    smallest = detectable(base, split.treated, split.control)
    return smallest is None or smallest > base


@dataclass(frozen=True, slots=True)
class ComparisonSize:
    """What a comparison of variants can show: clients of each by letter, and how many each needs to tell the rise.

    `smallest` is the difference (0 to 1) between the two smallest that is seen four times in five. `days` pass until
    the smallest variant has as many clients as it needs and the last of them has had the time of the test.
    """

    clients: dict[str, int]
    rest: int
    base: float
    rise: float
    needed: int
    smallest: float | None
    days: int
    ends_on: date

    @property
    def enough(self) -> bool:
        return min(self.clients.values()) >= self.needed


def comparison_size(
    treated: int,
    *,
    shares: dict[str, float],
    test_percent: float | None,
    hours: int,
    base: float,
    rise: float,
    per_day: float | None = None,
) -> ComparisonSize:
    """Each pair is compared, and all of them together may err once in twenty. `hours`: from the message to the verdict;
    `per_day`: so many treated clients come each day; None: all at once. ValueError for rates that are none."""
    part = (test_percent or 100) / 100
    tested = treated * part
    clients = {letter: round(tested * share / 100) for letter, share in shares.items()}
    pairs = len(list(combinations(shares, 2))) or 1
    confidence = 1 - 0.05 / pairs
    wanted = needed(base, rise, 0.5, confidence=confidence).treated
    length = math.ceil(hours / 24)
    everybody = math.ceil(wanted / (part * min(shares.values()) / 100))
    duration = days(everybody, per_day, window_days=length) if per_day else length
    smaller, larger = sorted(clients.values())[:2] if len(clients) > 1 else (0, 0)
    return ComparisonSize(
        clients=clients,
        rest=round(treated - tested),
        base=base,
        rise=rise,
        needed=wanted,
        smallest=detectable(base, larger, smaller, confidence=confidence) if smaller else None,
        days=duration,
        ends_on=today() + timedelta(days=duration),
    )
