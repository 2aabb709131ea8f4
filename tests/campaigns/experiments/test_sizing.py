"""Whether a campaign is large enough: the numbers that people see before the launch."""

from datetime import timedelta
from functools import partial

import pytest

from app.campaigns.experiments.control import Split
from app.campaigns.experiments.sizing import comparison_size, control_size, is_too_small
from app.core.clock import today
from app.statistics.power import detectable, needed

pytestmark = pytest.mark.usefixtures("app")


def test_a_large_control_group_shows_a_small_rise() -> None:
    size = control_size(Split(90_000, 10_000, 0, True), base=0.02, rise=0.005, window_days=30)
    assert size is not None
    assert size.smallest == detectable(0.02, 90_000, 10_000)
    assert size.smallest_accounts == round((size.smallest or 0) * 90_000)
    wanted = needed(0.02, 0.005, 0.1)
    assert (size.treated, size.control) == (wanted.treated, wanted.control)
    assert size.enough
    assert not size.too_small
    assert (size.days, size.ends_on) == (30, today() + timedelta(days=30))


def test_a_handful_of_clients_shows_nothing_plausible() -> None:
    size = control_size(Split(190, 10, 0, True), base=0.02, rise=0.005, window_days=30)
    assert size is not None
    assert not size.enough
    assert size.too_small
    assert is_too_small(Split(190, 10, 0, True))


def test_without_a_control_group_there_is_nothing_to_show() -> None:
    assert control_size(Split(100, 0, 0, True), base=0.02, rise=0.005, window_days=30) is None
    assert not is_too_small(Split(100, 0, 0, True))
    assert not is_too_small(Split(0, 0, 0, True))


def test_clients_who_come_day_by_day_take_their_time() -> None:
    size = control_size(Split(90_000, 10_000, 0, True), base=0.02, rise=0.005, window_days=30, per_day=1_000)
    assert size is not None
    assert size.days == -(-(size.treated + size.control) // 1_000) + 30


def test_rates_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="rate"):
        control_size(Split(900, 100, 0, True), base=0.9, rise=0.2, window_days=30)


def test_variants_need_more_the_more_there_are() -> None:
    two = comparison_size(10_000, shares={"A": 50, "B": 50}, test_percent=None, hours=72, base=0.03, rise=0.01)
    three = comparison_size(10_000, shares={"A": 40, "B": 30, "C": 30}, test_percent=20, hours=72, base=0.03, rise=0.01)
    assert two.clients == {"A": 5_000, "B": 5_000}
    assert (three.clients, three.rest) == ({"A": 800, "B": 600, "C": 600}, 8_000)
    assert three.needed > two.needed
    assert not three.enough
    assert (three.smallest or 1) > (two.smallest or 0)


def test_variants_whose_clients_come_day_by_day_take_their_time() -> None:
    """The smallest variant, a fifth of the half that is tried on, has to reach its number first."""
    chosen = partial(
        comparison_size, 10_000, shares={"A": 80.0, "B": 20.0}, test_percent=50, hours=36, base=0.03, rise=0.01
    )
    at_once, daily = chosen(), chosen(per_day=1_000)
    assert (at_once.days, at_once.ends_on) == (2, today() + timedelta(days=2))
    assert daily.days == -(-(at_once.needed * 10) // 1_000) + 2
