"""Corrections for many segments, shrunken estimates and the split check against published values."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from app.statistics.corrections import benjamini_hochberg, holm
from app.statistics.shrinkage import shrunken
from app.statistics.split import split_check, split_check_all

# Y. Benjamini, Y. Hochberg (1995), J. R. Stat. Soc. B 57:289-300, section 4.1.
THROMBOLYSIS = [
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0
]  # fmt: skip
p_lists = st.lists(st.floats(0, 1), max_size=12)

# Thirteen trials of the BCG vaccine, log risk ratios and variances: G. A. Colditz et al. (1994), JAMA 271:698-702.
BCG = [
    -0.8893,
    -1.5854,
    -1.3481,
    -1.4416,
    -0.2175,
    -0.7861,
    -1.6209,
    0.0120,
    -0.4694,
    -1.3713,
    -0.3394,
    0.4459,
    -0.0173,
]
BCG_VARIANCES = [0.3256, 0.1946, 0.4154, 0.0200, 0.0512, 0.0069, 0.2230, 0.0040, 0.0564, 0.0730, 0.0124, 0.5325, 0.0714]


def test_published_false_discovery_rates() -> None:
    """The paper takes the first four as real at 5 %, where Bonferroni takes three."""
    assert sum(p <= 0.05 for p in benjamini_hochberg(THROMBOLYSIS)) == 4
    assert sum(p <= 0.05 for p in holm(THROMBOLYSIS)) == 3


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_is_that_of_statsmodels() -> None:
    assert holm(THROMBOLYSIS) == pytest.approx(multipletests(THROMBOLYSIS, method="holm")[1].tolist())


@settings(deadline=None)
@given(p_lists)
def test_corrected_values_are_of_scipy_within_bounds_and_in_the_same_order(raw: list[float]) -> None:
    corrected = benjamini_hochberg(raw)
    assert all(p <= after + 1e-12 and after <= 1 for p, after in zip(raw, corrected, strict=True))
    if raw:
        assert corrected == pytest.approx(stats.false_discovery_control(raw).tolist())
    strict = holm(raw)
    assert all(after <= more + 1e-12 for after, more in zip(corrected, strict, strict=True))
    for one, after in zip(raw, corrected, strict=True):
        assert all(after <= other + 1e-12 for more, other in zip(raw, corrected, strict=True) if one < more)


@pytest.mark.parametrize("raw", [[-0.1], [1.1], [math.nan]])
def test_what_is_no_p_value_is_refused(raw: list[float]) -> None:
    with pytest.raises(ValueError, match="p-values"):
        benjamini_hochberg(raw)


def test_published_random_effects() -> None:
    """The Paule-Mandel spread is 0.3181 and the mean -0.7150 (W. Viechtbauer, metafor, `dat.bcg`, method "PM")."""
    expected = [
        -0.7150 + 0.3181 / (0.3181 + noise) * (estimate + 0.7150)
        for estimate, noise in zip(BCG, BCG_VARIANCES, strict=True)
    ]
    assert shrunken(BCG, BCG_VARIANCES) == pytest.approx(expected, abs=5e-4)


estimates = st.lists(st.tuples(st.floats(-1, 1), st.floats(1e-8, 1)), min_size=2, max_size=25)


@settings(deadline=None)
@given(estimates)
def test_shrunken_estimates_lie_between_their_own_and_the_common_one(rows: list[tuple[float, float]]) -> None:
    raw, noise = [row[0] for row in rows], [row[1] for row in rows]
    drawn = shrunken(raw, noise)
    assert all(map(math.isfinite, drawn))
    assert max(drawn) - min(drawn) <= max(raw) - min(raw) + 1e-9
    assert min(raw) - 1e-9 <= min(drawn)
    assert max(drawn) <= max(raw) + 1e-9


def test_the_unsure_are_drawn_further() -> None:
    sure, unsure, *_ = shrunken([0.05, 0.05, 0.01, 0.012], [1e-6, 1e-3, 1e-6, 1e-6])
    assert 0.04 < sure <= 0.05
    assert unsure < 0.04


def test_segments_that_differ_by_chance_alone_become_one() -> None:
    drawn = shrunken([0.020, 0.021, 0.019], [1e-3, 1e-3, 1e-3])
    assert drawn == pytest.approx([0.02, 0.02, 0.02])


def test_one_segment_alone_stays_as_it_is() -> None:
    assert shrunken([0.02], [0.1]) == [0.02]
    assert shrunken([], []) == []


@pytest.mark.parametrize(("raw", "noise"), [([0.1], []), ([0.1], [0.0]), ([math.nan], [1.0]), ([0.1], [math.inf])])
def test_impossible_estimates_are_refused(raw: list[float], noise: list[float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        shrunken(raw, noise)


def test_published_split() -> None:
    """R. Kohavi, D. Tang, Y. Xu (2020), Trustworthy Online Controlled Experiments, p. 45: p = 1.8e-6."""
    check = split_check(821_588, 815_482, 0.5)
    assert check.p == pytest.approx(1.8e-6, abs=5e-8)
    assert not check.ok


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0.001, 0.999))
def test_split_check_is_that_of_scipy(treated: int, control: int, share: float) -> None:
    check = split_check(treated, control, share)
    assert 0 <= check.p <= 1
    total = treated + control
    if total:
        reference = stats.chisquare([treated, control], [total * (1 - share), total * share])
        assert check.p == pytest.approx(float(reference.pvalue), abs=1e-12)
    else:
        assert check.ok


def test_groups_with_their_own_shares_are_checked_as_one() -> None:
    assert split_check_all([(900, 100, 0.1), (500, 500, 0.5), (0, 0, 0.3)]).ok
    assert not split_check_all([(900, 100, 0.1), (600, 400, 0.5)]).ok
    assert split_check_all([]) == (1.0, True)


@pytest.mark.parametrize("numbers", [(-1, 5, 0.5), (5, 5, 0.0), (5, 5, 1.0)])
def test_impossible_splits_are_refused(numbers: tuple[int, int, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        split_check(*numbers)
