"""The pool of connections when the server closes one."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from app.core import pool
from app.core.extensions import db

PID = text("SELECT pg_backend_pid()")


@pytest.fixture
def engine(app: object) -> Iterator[Engine]:
    made = create_engine(db.engine.url, pool_size=1)
    pool.ask_idle_connections(made)
    yield made
    made.dispose()


def ended_backend(engine: Engine) -> int:
    """The server process behind the engine's one connection, which is no more."""
    with engine.connect() as connection:
        pid = connection.scalars(PID).one()
    with db.engine.connect() as other:
        other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        while other.scalar(text("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = :pid)"), {"pid": pid}):
            other.rollback()
    return pid


def test_an_idle_connection_that_the_server_closed_is_replaced(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "IDLE", 0)
    ended = ended_backend(engine)
    with engine.connect() as connection:
        assert connection.scalars(PID).one() != ended


def test_one_that_was_used_just_now_is_not_asked(engine: Engine) -> None:
    ended_backend(engine)
    with engine.connect() as connection, pytest.raises(OperationalError):
        connection.execute(PID)
    with engine.connect() as connection:
        assert connection.scalars(PID).one()
