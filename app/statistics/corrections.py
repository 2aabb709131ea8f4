"""Corrections for looking at many segments at once: among twenty without effect, one will look as if it had one."""

import math
from collections.abc import Sequence

from app.statistics.libraries import multitest


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the same order: taking those below 5 % as real is wrong in at most 5 % of what is taken.

    Source: Y. Benjamini, Y. Hochberg (1995), J. R. Stat. Soc. B 57:289-300. ValueError unless all are from 0 to 1.
    """
    _require(p_values)
    if not p_values:
        return []
    return [float(p) for p in multitest.multipletests(list(p_values), method="fdr_bh")[1]]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the same order: being wrong about any of them at all is held below the level.

    For picking one winner. Source: S. Holm (1979), Scand. J. Stat. 6:65-70. Written out because statsmodels collects
    all garbage of the process each time it is asked. ValueError unless all are from 0 to 1.
    """
    _require(p_values)
    adjusted, so_far = list(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(adjusted)), key=adjusted.__getitem__)):
        so_far = max(so_far, min(1.0, adjusted[place] * (len(adjusted) - rank)))
        adjusted[place] = so_far
    return adjusted


def _require(p_values: Sequence[float]) -> None:
    if not all(math.isfinite(p) and 0 <= p <= 1 for p in p_values):
        raise ValueError("p-values must be from 0 to 1")
