"""Bounded waiting for what other processes do."""

from collections.abc import Callable
from threading import Event
from time import monotonic

_pause = Event()


def wait_until(condition: Callable[[], bool], what: str, *, seconds: float) -> None:
    """Ask again and again until it is so; fail with what was waited for when the time is over."""
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, f"Gave up waiting for {what} after {seconds:g} seconds."
        _pause.wait(0.1)
