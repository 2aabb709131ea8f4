"""One transaction per verb, and nothing leaves the process before it is committed.

    with unit_of_work():
        approve(campaign=campaign, actor=user)

Commits at the end, rolls back on any error. What was registered with `after_commit` (sending a job's name
and id to the broker) runs only once the commit has succeeded, so a worker never looks for a row that is
not there yet.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy.orm import Session

from app.core.extensions import db

log = structlog.get_logger(__name__)
_KEY = "after_commit"


@contextmanager
def unit_of_work() -> Iterator[Session]:
    """Yield the session; commit on success and run the after-commit actions, else roll back and raise.

    Does not nest: the inner one would commit half of the outer one's work.
    """
    session = db.session()
    if _KEY in session.info:
        raise RuntimeError("a unit_of_work does not go inside another one")
    session.info[_KEY] = []
    try:
        yield session
        session.commit()
    except BaseException:
        session.rollback()
        session.info.pop(_KEY, None)
        raise
    for action in session.info.pop(_KEY, []):
        action()


def after_commit(action: Callable[[], None]) -> None:
    """Run `action` once the current unit of work has committed. RuntimeError outside of one."""
    pending: list[Callable[[], None]] | None = db.session().info.get(_KEY)
    if pending is None:
        raise RuntimeError("after_commit needs a unit_of_work around it")
    pending.append(action)
