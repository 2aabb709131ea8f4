"""Raw events, written by group commit: an event is acknowledged only after PostgreSQL has committed it.

Request threads hand their events to one writer thread per process, which writes whatever has gathered in one
INSERT, commits, and only then wakes the requests. A commit costs one flush of the disk, so under load many hits
share it. The broker is not on this path, and nothing is kept in memory after the answer.
"""

import os
import queue
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import psycopg
import structlog

from app.core.arrays import array_text

CAPACITY = 10_000
GROUP = 1_000
WAIT_SECONDS = 5.0
PAUSE_AFTER_FAILURE_SECONDS = 1.0
MAX_TEXT = 300
MAX_LINK = 2_000

log = structlog.get_logger(__name__)

_COLUMNS = ("kind", "message_id", "at", "source", "external_id", "link", "user_agent", "ip", "method", "payload")
_TYPES = ("text", "bigint", "timestamptz", "text", "text", "text", "text", "text", "text", "text")
_INSERT = f"""
    INSERT INTO event ({", ".join(_COLUMNS)})
    SELECT {", ".join(_COLUMNS[:-1])}, payload::jsonb
    FROM unnest({", ".join(f"%s::{type_}[]" for type_ in _TYPES)}) AS hit ({", ".join(_COLUMNS)})
    ON CONFLICT DO NOTHING
"""  # noqa: S608 - constants only


class Unrecorded(Exception):
    """The event could not be made durable in time. The caller answers without it, or asks for a retry."""


class RawEvent(NamedTuple):
    """One hit or report, as it came. `payload` is JSON text; texts hold no NUL."""

    kind: str
    message_id: int | None
    at: datetime
    source: str
    external_id: str | None = None
    link: str | None = None
    user_agent: str | None = None
    ip: str | None = None
    method: str | None = None
    payload: str | None = None

    def row(self) -> tuple[object, ...]:
        return (
            self.kind,
            self.message_id,
            self.at,
            self.source,
            self.external_id,
            _clip(self.link, MAX_LINK),
            _clip(self.user_agent, MAX_TEXT),
            _clip(self.ip, MAX_TEXT),
            self.method,
            self.payload,
        )


def _clip(value: str | None, length: int) -> str | None:
    """Text that PostgreSQL takes: no NUL, no lone surrogate, not too long."""
    if value is None or (len(value) <= length and value.isascii() and "\0" not in value):
        return value
    return value[:length].replace("\0", "").encode("utf-8", "replace").decode()


class _Ticket:
    """The events of one request, and the latch that it waits at."""

    __slots__ = ("latch", "recorded", "rows")

    def __init__(self, rows: list[tuple[object, ...]]) -> None:
        self.rows = rows
        self.recorded = False
        self.latch = threading.Lock()
        self.latch.acquire()


class Intake:
    """The writer of one process. Started by the first event, and anew in a forked child."""

    def __init__(self, database_url: str, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._address = database_url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._wait_seconds = wait_seconds
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """A thread does not survive a fork; the parent's connection must not be touched (psycopg sees to that)."""
        self._starting = threading.Lock()
        self._writer: threading.Thread | None = None
        self._waiting: queue.Queue[_Ticket] = queue.Queue(CAPACITY)
        self._connection: psycopg.Connection | None = None
        self._paused_until = 0.0
        self.unrecorded = 0

    def record(self, *events: RawEvent) -> None:
        """Return once the events are committed. Raises Unrecorded where that fails or takes too long."""
        if not events:
            return
        if time.monotonic() < self._paused_until:
            self._give_up(len(events))
        if self._writer is None:
            self._start()
        ticket = _Ticket([event.row() for event in events])
        try:
            self._waiting.put_nowait(ticket)
        except queue.Full:
            self._give_up(len(events))
        if not ticket.latch.acquire(timeout=self._wait_seconds) or not ticket.recorded:
            self._give_up(len(events))

    def _give_up(self, count: int) -> None:
        self.unrecorded += count
        log.warning("events_unrecorded", count=count, total=self.unrecorded)
        raise Unrecorded

    def _start(self) -> None:
        with self._starting:
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_for_ever, name="event-intake", daemon=True)
                self._writer.start()

    def _write_for_ever(self) -> None:
        while True:
            group = [self._waiting.get()]
            size = len(group[0].rows)
            while size < GROUP:
                try:
                    ticket = self._waiting.get_nowait()
                except queue.Empty:
                    break
                group.append(ticket)
                size += len(ticket.rows)
            try:
                self._write_group(group)
            finally:
                for ticket in group:
                    ticket.latch.release()

    def _write_group(self, group: Sequence[_Ticket]) -> None:
        """Write and commit the group; where a value is refused, one by one, so that it harms only itself."""
        try:
            self._insert([row for ticket in group for row in ticket.rows])
        except (psycopg.DataError, psycopg.IntegrityError):
            if len(group) == 1:
                log.exception("events_refused", count=len(group[0].rows))
            else:
                for ticket in group:
                    self._write_group([ticket])
            return
        except Exception as error:  # whatever it is, the writer lives on and the requests learn of it
            log.error("event_intake_failed", error=type(error).__name__)
            self._paused_until = time.monotonic() + PAUSE_AFTER_FAILURE_SECONDS
            self._disconnect()
            return
        for ticket in group:
            ticket.recorded = True

    def _insert(self, rows: list[tuple[object, ...]]) -> None:
        arrays = [array_text(column) for column in zip(*rows, strict=True)]
        try:
            self._connected().execute(_INSERT, arrays)
        except psycopg.OperationalError:
            # a connection that went stale while idle is renewed once; inserting again loses nothing
            self._disconnect()
            self._connected().execute(_INSERT, arrays)

    def _connected(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._address,
                autocommit=True,  # one statement, one transaction: its return is its commit
                connect_timeout=2,
                options="-c statement_timeout=4000",
                application_name="bellwether intake",
            )
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
