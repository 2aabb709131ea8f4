"""Estimates of many segments, each drawn towards what all have in common, the more so the less it is sure of itself.

The largest lift among twenty segments is large partly by luck. Drawn towards the pooled lift by as much as its own
noise deserves, each estimate is nearer the truth on average. Sources: B. Efron, C. Morris (1975), J. Am. Stat. Assoc.
70:311-319; the spread between segments by R. C. Paule, J. Mandel (1982), J. Res. Natl. Bur. Stand. 87:377-385.
"""

import math
import warnings
from collections.abc import Sequence

from app.statistics.libraries import meta_analysis, np


def shrunken(estimates: Sequence[float], variances: Sequence[float]) -> list[float]:
    """The estimates in the same order, each between itself and the pooled one.

    `variances` are those of the estimates (`lift.variance`), above zero. One estimate alone stays as it is. Where
    the segments differ no more than chance explains, all become the pooled one. ValueError for other numbers.
    """
    if len(estimates) != len(variances):
        raise ValueError("there must be a variance for each estimate")
    if not all(map(math.isfinite, [*estimates, *variances])) or not all(value > 0 for value in variances):
        raise ValueError("estimates must be finite and variances above zero")
    if len(estimates) < 2:
        return list(estimates)
    # In units of the typical error: the search for the spread stops at a fixed small number.
    scale = math.sqrt(sum(variances) / len(variances))
    estimate, noise = np.asarray(estimates) / scale, np.asarray(variances) / scale**2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spread = max(0.0, float(meta_analysis.combine_effects(estimate, noise, method_re="iterated").tau2))
    weights = 1 / (noise + spread)
    pooled = float((weights * estimate).sum() / weights.sum())
    drawn = pooled + spread / (spread + noise) * (estimate - pooled)
    return [float(value) * scale for value in drawn]
