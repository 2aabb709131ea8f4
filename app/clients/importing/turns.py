"""Work on things that follow each other, side by side where that is safe and one after the other where it is not."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

from flask import current_app
from flask_babel import force_locale, get_locale

T = TypeVar("T")
Wait = Callable[[], object]


def work_in_turn(items: Iterator[T], work: Callable[[T, Wait], None], *, workers: int) -> None:
    """Call `work(item, wait)` for each item, in up to `workers` threads.

    Items are made one at a time, in order. `wait()` returns when the work on the item before has ended well; what is
    done after it is therefore done in the order of the items. Each piece of work has an application context of its
    own, so a database session of its own, and the caller's language. The first failure ends all work that waits for
    it or has not begun, and is raised here.
    """
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    language = str(get_locale() or "en")
    taking = Lock()
    first: Future[None] = Future()
    first.set_result(None)
    last, failed = first, False

    def take() -> tuple[T, Future[None], Future[None]] | None:
        """The next item, what its turn waits for, and what tells that it has ended."""
        nonlocal last
        with taking:
            for item in () if failed else items:
                before, last = last, Future()
                return item, before, last
        return None

    def worker() -> None:
        nonlocal failed
        while True:
            with app.app_context(), force_locale(language):
                taken = take()
                if taken is None:
                    return
                item, before, ended = taken
                try:
                    work(item, before.result)
                except BaseException as error:
                    failed = True
                    ended.set_exception(error)
                    return
                ended.set_result(None)

    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="turn") as pool:
        running = [pool.submit(worker) for _worker in range(workers)]
        try:
            for one in running:
                one.result()  # raises what making an item raised
        finally:
            failed = True
    last.result()
