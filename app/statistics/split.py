"""Whether the control group is as large as it was meant to be.

A group that is not has usually been touched on the way - clients lost, added or drawn otherwise - and then every
comparison with it is in doubt. Source: A. Fabijan et al. (2019), Diagnosing Sample Ratio Mismatch in Online
Controlled Experiments, KDD '19, 2156-2164: Pearson's chi-square, alarm below 0.001 so that it rarely cries wolf.
"""

from collections.abc import Sequence
from typing import NamedTuple

from app.statistics.libraries import distributions

ALARM = 0.001


class SplitCheck(NamedTuple):
    """How likely a split this far off is by chance alone, and whether it passes."""

    p: float
    ok: bool


def split_check(treated: int, control: int, control_share: float) -> SplitCheck:
    """The split against the share (0 to 1) that was drawn for the control group; ValueError for impossible numbers."""
    return split_check_all([(treated, control, control_share)])


def split_check_all(splits: Sequence[tuple[int, int, float]]) -> SplitCheck:
    """One check over groups (treated, control, control share) with shares of their own; empty groups say nothing."""
    statistic, freedom = 0.0, 0
    for treated, control, share in splits:
        if treated < 0 or control < 0:
            raise ValueError("counts must not be negative")
        if not 0 < share < 1:
            raise ValueError("the control share must be between 0 and 1")
        total = treated + control
        if total:
            expected = [total * (1 - share), total * share]
            statistic += float(distributions.chisquare([treated, control], expected).statistic)
            freedom += 1
    if freedom == 0:
        return SplitCheck(1.0, True)
    p = float(distributions.chi2.sf(statistic, freedom))
    return SplitCheck(p, p >= ALARM)
