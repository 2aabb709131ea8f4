"""The comparison of versions: one look at a fixed horizon, and inconclusive as a normal answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.statistics.lift import Arm
from app.statistics.variants import Conclusion, verdict


def test_a_version_clearly_better_than_every_other_wins() -> None:
    found = verdict([Arm(60, 1000), Arm(40, 1000), Arm(100, 1000)], horizon_reached=True)
    assert found.conclusion is Conclusion.WINNER
    assert found.winner == 2
    assert [(pair.first, pair.second) for pair in found.pairs] == [(0, 1), (0, 2), (1, 2)]


def test_a_version_better_than_only_some_does_not_win() -> None:
    found = verdict([Arm(95, 1000), Arm(40, 1000), Arm(100, 1000)], horizon_reached=True)
    assert found.conclusion is Conclusion.INCONCLUSIVE
    assert found.winner is None


def test_nothing_is_said_before_the_horizon() -> None:
    found = verdict([Arm(10, 1000), Arm(500, 1000)], horizon_reached=False)
    assert found == (Conclusion.TOO_EARLY, None, [])


def test_one_look_at_many_versions_is_corrected() -> None:
    """60 against 40 is clear alone (p = 0.041) and not among three versions."""
    assert verdict([Arm(60, 1000), Arm(40, 1000)], True).winner == 0
    assert verdict([Arm(60, 1000), Arm(40, 1000), Arm(40, 1000)], True).winner is None


@pytest.mark.parametrize("arms", [[], [Arm(5, 10)], [Arm(0, 0), Arm(0, 0)], [Arm(900, 1000), Arm(0, 0), Arm(1, 1000)]])
def test_versions_without_clients_leave_it_inconclusive(arms: list[Arm]) -> None:
    assert verdict(arms, True).conclusion is Conclusion.INCONCLUSIVE


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="successes"):
        verdict([Arm(5, 4), Arm(1, 4)], False)


@settings(deadline=None)
@given(st.lists(st.integers(1, 3_000).flatmap(lambda n: st.builds(Arm, st.integers(0, n), st.just(n))), max_size=5))
def test_a_winner_has_the_highest_share(arms: list[Arm]) -> None:
    found = verdict(arms, True)
    if found.winner is not None:
        best = arms[found.winner]
        assert all(best.successes / best.total >= arm.successes / arm.total for arm in arms)


def test_equal_versions_seldom_find_a_winner() -> None:
    source = np.random.default_rng(20_260_101)
    counts = source.binomial(2_000, 0.05, (300, 4)).tolist()
    winners = sum(verdict([Arm(count, 2_000) for count in row], True).winner is not None for row in counts)
    assert winners <= 12
