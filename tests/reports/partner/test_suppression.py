"""Nobody recovers a withheld count from what is published, however cleverly they calculate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from app.reports.partner.suppression import THRESHOLD, published, with_totals

Table = list[list[int]]
small = st.one_of(st.integers(0, 12), st.integers(0, 200))


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Tables of up to 6 x 5 with many small counts, the last row filled up so that every category has ten."""
    width = draw(st.integers(1, 5))
    rows = draw(st.lists(st.lists(small, min_size=width, max_size=width), min_size=1, max_size=6))
    rows[-1] = [
        count + max(0, THRESHOLD - total)
        for count, total in zip(rows[-1], map(sum, zip(*rows, strict=True)), strict=True)
    ]
    return rows


def range_of(shown: list[list[int | None]], place: tuple[int, int]) -> tuple[float, float]:
    """The least and the most that a withheld count can be, for whoever knows that tables add up: linear programming."""
    height, width = len(shown), len(shown[0])
    names = [(row, column) for row in range(height) for column in range(width)]
    equations, values = [], []
    for row in range(height):
        equations.append(
            [
                1 if (r, c) in [(row, x) for x in range(width - 1)] else -1 if (r, c) == (row, width - 1) else 0
                for r, c in names
            ]
        )
    for column in range(width):
        equations.append(
            [
                1 if (r, c) in [(x, column) for x in range(height - 1)] else -1 if (r, c) == (height - 1, column) else 0
                for r, c in names
            ]
        )
    values = [0] * len(equations)
    bounds = [(shown[r][c], shown[r][c]) if shown[r][c] is not None else (0, None) for r, c in names]
    goal = np.array([1.0 if name == place else 0.0 for name in names])
    least = linprog(goal, A_eq=equations, b_eq=values, bounds=bounds)
    most = linprog(-goal, A_eq=equations, b_eq=values, bounds=bounds)
    assert least.status == 0
    return least.fun, float("inf") if most.status == 3 else -most.fun


@settings(deadline=None, max_examples=25)
@given(tables())
def test_a_withheld_count_could_be_any_of_ten_at_least(table: Table) -> None:
    shown = published(table)
    for row, line in enumerate(shown):
        for column, count in enumerate(line):
            if count is None:
                least, most = range_of(shown, (row, column))
                assert most - least >= THRESHOLD - 1e-6
                assert least - 1e-6 <= with_totals(table)[row][column] <= most + 1e-6


@settings(deadline=None)
@given(tables())
def test_what_is_published_is_true_and_never_small(table: Table) -> None:
    for line, truth in zip(published(table), with_totals(table), strict=True):
        for count, true in zip(line, truth, strict=True):
            assert count is None or (count == true and count >= THRESHOLD)


@settings(deadline=None)
@given(tables())
def test_the_totals_of_categories_are_always_published(table: Table) -> None:
    assert published(table)[-1] == with_totals(table)[-1]


def test_a_table_without_small_counts_stays_whole() -> None:
    assert published([[10, 20], [30, 40]]) == [[10, 20, 30], [30, 40, 70], [40, 60, 100]]


def test_one_small_count_takes_three_others_with_it() -> None:
    """The other of its row, one more of its column, and the one where these cross: the cheapest ones."""
    shown = published([[3, 50, 60], [40, 12, 70], [80, 90, 100]])
    assert shown[0] == [None, None, 60, 113]
    assert shown[1] == [None, None, 70, 122]
    assert shown[2:] == [[80, 90, 100, 270], [123, 152, 230, 505]]


def test_one_group_alone_is_its_own_total() -> None:
    assert published([[10, 500]]) == [[10, 500, 510], [10, 500, 510]]


def test_thirty_branches_are_done_in_a_moment() -> None:
    source = np.random.default_rng(3)
    table = source.poisson(12, (30, 3)).tolist()
    shown = published(table)
    assert sum(count is None for line in shown for count in line) < 31 * 4


@pytest.mark.parametrize("table", [[[9]], [[20, 5], [1, 2]], [[-1, 20]], [[20], [10, 30]]])
def test_tables_that_cannot_be_published_are_refused(table: Table) -> None:
    with pytest.raises(ValueError, match="must"):
        published(table)
