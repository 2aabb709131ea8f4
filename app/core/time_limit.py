"""Counting that a page waits for, given up before the reader is."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask_babel import lazy_gettext as _l
from psycopg.errors import QueryCanceled
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.core.errors import AppError
from app.core.extensions import db


class TooSlow(AppError):
    """The count was given up so that it does not hold up others."""

    message = _l("Counting this takes too long now: the book is large, or the database is busy. Try again in a minute.")
    status = 422


@contextmanager
def time_limit(milliseconds: int, error: type[TooSlow] = TooSlow) -> Iterator[None]:
    """Give up any statement in the block that takes longer: `error`, and the transaction is over."""
    db.session.execute(text(f"SET LOCAL statement_timeout = {int(milliseconds)}"))
    try:
        yield
    except OperationalError as problem:
        if not isinstance(problem.orig, QueryCanceled):
            raise
        db.session.rollback()
        raise error from None
    db.session.execute(text("SET LOCAL statement_timeout TO DEFAULT"))
