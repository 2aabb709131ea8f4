"""numpy, scipy and statsmodels, each loaded when it is first used.

Together they take 100 MB and a second or two. Pages and reports need them; a worker that only sends imports modules
that know of statistics and must not carry them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from scipy import optimize, special
    from scipy import stats as distributions
    from statsmodels.stats import meta_analysis, multitest, proportion
else:

    class _Library:
        """Stands for a library until something of it is asked for."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, attribute: str) -> Any:
            found = getattr(import_module(self._name), attribute)
            setattr(self, attribute, found)  # so that the next one does not come here
            return found

    np = _Library("numpy")
    optimize = _Library("scipy.optimize")
    special = _Library("scipy.special")
    distributions = _Library("scipy.stats")
    meta_analysis = _Library("statsmodels.stats.meta_analysis")
    multitest = _Library("statsmodels.stats.multitest")
    proportion = _Library("statsmodels.stats.proportion")

__all__ = ["distributions", "meta_analysis", "multitest", "np", "optimize", "proportion", "special"]
