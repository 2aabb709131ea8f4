"""Connections that lay idle are asked whether they live before they are used.

Those that are in use all the time are not: it would be a round trip more for each of their transactions.
"""

from time import monotonic
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError

IDLE = 1.0
"""Seconds. A server takes longer to restart; what meets the restart itself fails in either case and is tried again."""


def ask_idle_connections(engine: Engine) -> None:
    """One that the server has closed meanwhile is replaced, and so are all others of the engine's pool."""

    @event.listens_for(engine, "checkin")
    def note(_connection: Any, record: Any) -> None:
        record.info["idle_since"] = monotonic()

    @event.listens_for(engine, "checkout")
    def ask(connection: Any, record: Any, _proxy: Any) -> None:
        idle_since = record.info.get("idle_since")
        if idle_since is None or monotonic() - idle_since < IDLE:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error
