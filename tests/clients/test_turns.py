"""Work side by side that keeps its order where it says so."""

from collections.abc import Iterator
from threading import Barrier, Event

import pytest
from flask import Flask

from app.clients.importing.turns import Wait, work_in_turn


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_what_is_done_after_waiting_is_done_in_order(app: Flask, workers: int) -> None:
    begun, ended = [], []

    def work(item: int, wait: Wait) -> None:
        begun.append(item)
        wait()
        ended.append(item)

    work_in_turn(iter(range(40)), work, workers=workers)
    assert sorted(begun) == ended == list(range(40))


def test_two_pieces_of_work_are_begun_side_by_side(app: Flask) -> None:
    both = Barrier(2, timeout=30)

    def work(_item: int, wait: Wait) -> None:
        both.wait()
        wait()

    work_in_turn(iter(range(2)), work, workers=2)


def test_the_first_failure_is_raised_and_nothing_after_it_is_ended(app: Flask) -> None:
    ended = []

    def work(item: int, wait: Wait) -> None:
        wait()
        if item == 3:
            raise LookupError("the third")
        ended.append(item)

    with pytest.raises(LookupError, match="third"):
        work_in_turn(iter(range(100)), work, workers=3)
    assert ended == [0, 1, 2]


def test_an_item_that_cannot_be_made_ends_the_work(app: Flask) -> None:
    made, ended = Event(), []

    def items() -> Iterator[int]:
        yield 1
        made.set()
        raise LookupError("no second")

    def work(item: int, wait: Wait) -> None:
        made.wait(timeout=30)
        wait()
        ended.append(item)

    with pytest.raises(LookupError, match="no second"):
        work_in_turn(items(), work, workers=2)
    assert ended == [1]
