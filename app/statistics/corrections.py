"""Corrections for looking at many segments at once: among twenty without effect, one will look as if it had one."""

import math
from collections.abc import Sequence

from app.statistics.libraries import multitest


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the same order: taking those below 5 % as real is wrong in at most 5 % of what is taken.

    Source: Y. Benjamini, Y. Hochberg (1995), J. R. Stat. Soc. B 57:289-300. ValueError unless all are from 0 to 1.
    """
    return _adjusted(p_values, "fdr_bh")


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the same order: being wrong about any of them at all is held below the level.

    For picking one winner. Source: S. Holm (1979), Scand. J. Stat. 6:65-70. ValueError unless all are from 0 to 1.
    """
    return _adjusted(p_values, "holm")


def _adjusted(p_values: Sequence[float], method: str) -> list[float]:
    if not all(math.isfinite(p) and 0 <= p <= 1 for p in p_values):
        raise ValueError("p-values must be from 0 to 1")
    if not p_values:
        return []
    return [float(p) for p in multitest.multipletests(list(p_values), method=method)[1]]
