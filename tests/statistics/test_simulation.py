"""A small run of the simulation that `make bench-statistics` does with 100,000 campaigns a setting."""

from bench import statistics

RUNS = 20_000
NOISE = 0.005  # three standard errors of 95 % in so many runs


def test_intervals_of_lift_hold_the_truth_as_often_as_they_say() -> None:
    lines = list(statistics.accounts(RUNS))
    assert len(lines) == 2 * 2 * 2 * len(statistics.RATES)
    for line in lines:
        assert 0.94 - NOISE <= line["covers"] <= 0.97 + NOISE
        assert line.get("called_success", 0.0) <= 0.03


def test_the_same_seed_gives_the_same_campaigns() -> None:
    assert list(statistics.accounts(1_000)) == list(statistics.accounts(1_000))
