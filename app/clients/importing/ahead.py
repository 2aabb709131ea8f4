"""Work done ahead: the next items are made in a thread while the caller waits for the database."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from flask import current_app
from flask_babel import force_locale, get_locale

T = TypeVar("T")


def made_ahead(items: Iterator[T], *, count: int) -> Generator[T]:
    """The items in their order, up to `count` of them made before they are asked for; 0 makes each when it is.

    Each is made inside an application context of its own, so in a database session of its own, and in the caller's
    language. What making one raises is raised where it would have been yielded.
    """
    if not count:
        yield from items
        return
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    language = str(get_locale() or "en")

    def following() -> list[T]:
        with app.app_context(), force_locale(language):
            return list(islice(items, 1))

    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead")
    try:
        waiting: deque[Future[list[T]]] = deque(pool.submit(following) for _item in range(count))
        while made := waiting.popleft().result():
            waiting.append(pool.submit(following))
            yield from made
    finally:
        pool.shutdown(cancel_futures=True)
