"""An end to reading what somebody made so that it never ends."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TookTooLong(Exception):
    """Reading was given up."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Give up the block after so many seconds: TookTooLong.

    By the timer of the process, which interrupts regular expressions too; so only in a main thread, as a worker's is.
    Elsewhere the limits on sizes and counts have to do. The timer is not shared: the block must not be nested.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(_signal: int, _frame: FrameType | None) -> None:
        raise TookTooLong

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
