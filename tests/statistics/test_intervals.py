"""Wilson intervals against published values and against what every interval of a share must satisfy."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from app.statistics.intervals import wilson


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_values(successes: int, total: int, low: float, high: float) -> None:
    """R. G. Newcombe (1998), Statist. Med. 17:857-872, table I, method 3 (score), to four places."""
    interval = wilson(successes, total)
    assert interval is not None
    assert interval.low == pytest.approx(low, abs=5e-5)
    assert interval.high == pytest.approx(high, abs=5e-5)


@settings(deadline=None)  # the first interval loads the libraries
@given(st.integers(0, 3_000_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_interval_holds_the_share_and_stays_within_0_and_1(counts: tuple[int, int]) -> None:
    successes, total = counts
    interval = wilson(successes, total)
    if total == 0:
        assert interval is None
    else:
        assert interval is not None
        assert 0 <= interval.low <= successes / total <= interval.high <= 1


@settings(deadline=None)  # the first interval loads the libraries
@given(st.integers(1, 5_000), st.data())
def test_interval_is_symmetric_in_success_and_failure(total: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, total))
    one, other = wilson(successes, total), wilson(total - successes, total)
    assert one is not None
    assert other is not None
    assert one.low == pytest.approx(1 - other.high, abs=1e-12)


@settings(deadline=None)  # the first interval loads the libraries
@given(st.integers(1, 2_000), st.data())
def test_more_confidence_gives_a_wider_interval(total: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, total))
    ninety, ninety_nine = wilson(successes, total, 0.90), wilson(successes, total, 0.99)
    assert ninety is not None
    assert ninety_nine is not None
    assert ninety_nine.low <= ninety.low
    assert ninety.high <= ninety_nine.high


@pytest.mark.parametrize(("successes", "total", "confidence"), [(-1, 5, 0.95), (6, 5, 0.95), (1, 5, 1.0), (1, 5, 0.0)])
def test_impossible_counts_are_refused(successes: int, total: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        wilson(successes, total, confidence)


def test_knowing_the_module_does_not_load_statsmodels() -> None:
    """A sending worker imports the wiring and with it every page; 100 MB of statistics must not follow."""
    code = "import sys, app.statistics.intervals; sys.exit('statsmodels' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@settings(deadline=None)  # the first interval loads the libraries
@given(st.integers(1, 3_000_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_statsmodels_gives_the_same(counts: tuple[int, int]) -> None:
    interval = wilson(*counts, confidence=0.9)
    assert interval is not None
    low, high = proportion_confint(*counts, alpha=0.1, method="wilson")
    assert interval.low == pytest.approx(float(low), abs=1e-12)
    assert interval.high == pytest.approx(float(high), abs=1e-12)
