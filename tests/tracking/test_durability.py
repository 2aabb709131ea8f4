"""What was answered is never lost, whoever is killed; and any order of arrival ends in the same rows."""

import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from http.client import HTTPConnection
from http.client import HTTPException as HttpError
from itertools import count
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text
from werkzeug.serving import WSGIRequestHandler, make_server

from app.core.extensions import db, links
from app.core.queues import dispose_inherited_connections
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Message
from app.tracking import interpretation
from app.tracking.hits import TRAP
from app.tracking.models import Event
from tests.factories.tracking import PHONE, interpret, make_events, make_sent_messages

KILLS = 20
TIMES = (
    "opened_at", "clicked_at", "machine_opened_at", "machine_clicked_at", "delivered_at", "bounced_at", "complained_at",
    "unsubscribed_at", "replied_at", "deferred_at",
)  # fmt: skip
FORGET = "UPDATE message SET " + ", ".join(f"{name} = NULL" for name in TIMES)  # noqa: S608


def state_of_all() -> dict[int, tuple[Any, ...]]:
    db.session.expire_all()
    rows = db.session.scalars(select(Message).order_by(Message.id))
    state = {row.id: (row.state, *(getattr(row, name) for name in TIMES)) for row in rows}
    db.session.rollback()
    return state


class Quiet(WSGIRequestHandler):
    """Keeps connections open and says nothing."""

    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        return


def forked(work: Callable[[], None]) -> int:
    """Run `work` in a process of its own; it ends with it."""
    child = os.fork()
    if child == 0:
        try:
            dispose_inherited_connections()
            work()
        finally:
            os._exit(0)
    return child


@contextmanager
def web_process(app: Flask) -> Iterator[tuple[int, int]]:
    """A web process; yields its id and port. It is killed at the end, where nobody did before."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    port = listener.getsockname()[1]
    child = forked(
        lambda: make_server(
            "127.0.0.1", port, app, threaded=True, request_handler=Quiet, fd=listener.fileno()
        ).serve_forever()
    )
    listener.close()
    try:
        yield child, port
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def ask_until_it_dies(port: int, path_of: Callable[[int], str], numbers: Iterator[int], answered: list[int]) -> None:
    """Ask for one path after the other; the number of each that was answered is added to `answered`."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    for number in numbers:
        try:
            connection.request("GET", path_of(number))
            if connection.getresponse().read():
                answered.append(number)
        except (OSError, HttpError):
            return


def test_killing_the_web_process_twenty_times_loses_no_answered_hit(app: Flask) -> None:
    made, answered, numbers = links(), list[int](), count(1)

    def path_of(number: int) -> str:
        return made.open_pixel(number).removeprefix("http://localhost")

    for kill in range(KILLS):
        before = len(answered)
        with web_process(app) as (child, port):
            threads = [
                threading.Thread(target=ask_until_it_dies, args=(port, path_of, numbers, answered))
                for _number in range(4)
            ]
            for thread in threads:
                thread.start()
            deadline = time.monotonic() + 30
            while len(answered) < before + 20 + 3 * kill and time.monotonic() < deadline:
                os.sched_yield()
            os.kill(child, signal.SIGKILL)
            for thread in threads:
                thread.join()
        assert len(answered) > before
    kept = set(db.session.scalars(select(Event.message_id)))
    assert len(answered) >= KILLS * 20
    assert set(answered) - kept == set()


def test_killing_a_worker_while_it_interprets_loses_nothing(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """The round it was at is done again by the next worker; rounds before it are kept."""
    monkeypatch.setattr(interpretation, "ROUND", 50)
    messages = make_sent_messages(100)
    random.seed(5)
    make_events(
        {
            "kind": random.choice(["open", "click", "delivered", "deferred", "reply"]),
            "message_id": random.choice(messages).id,
            "at": messages[0].sent_at + timedelta(seconds=random.randrange(3000)),  # type: ignore[operator]
            "method": random.choice(["GET", "GET", "HEAD"]),
        }
        for _number in range(1_000)
    )
    interpret()
    expected = state_of_all()
    with unit_of_work() as session:
        session.execute(text("UPDATE event SET interpreted_at = NULL, machine = NULL, machine_reasons = NULL"))
        session.execute(text(FORGET))
    db.session.remove()

    def work() -> None:
        with app.app_context():
            for _round in range(30):
                with unit_of_work():
                    interpretation.hold_lock()
                    interpretation.interpret_round()

    for kill in range(6):
        db.engine.dispose()  # a child must not share a connection
        child = forked(work)
        deadline = time.monotonic() + 0.04 * kill
        while time.monotonic() < deadline:
            os.sched_yield()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    interpret()
    assert db.session.scalar(select(func.count(Event.id)).where(Event.interpreted_at.is_(None))) == 0
    assert state_of_all() == expected


KINDS = [
    "open",
    "open",
    "click",
    "click",
    "delivered",
    "bounce",
    "deferred",
    "complaint",
    "unsubscribe",
    "reply",
    "other",
]
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(KINDS),
            "message": st.integers(0, 2),
            "second": st.integers(0, 40) | st.integers(0, 4_000),
            "method": st.sampled_from(["GET", "GET", "GET", "HEAD"]),
            "ip": st.sampled_from(["203.0.113.9", "198.51.100.7"]),
            "trap": st.integers(0, 9).map(lambda number: number == 0),
        }
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS, random=st.randoms(use_true_random=False))
def test_any_batch_shuffled_doubled_and_in_portions_gives_the_same_rows(
    app: Flask, events: list[dict[str, Any]], random: random.Random
) -> None:
    messages = list(db.session.scalars(select(Message).order_by(Message.id))) or make_sent_messages(3)
    rows = [
        {
            "kind": "click" if event["trap"] else event["kind"],
            "message_id": messages[event["message"]].id,
            "at": messages[0].sent_at + timedelta(seconds=event["second"]),  # type: ignore[operator]
            "source": TRAP if event["trap"] else "test",
            "method": event["method"],
            "ip": event["ip"],
            "user_agent": PHONE,
        }
        for event in events
    ]
    _start_again()
    make_events(rows)
    interpret()
    expected = state_of_all()
    _start_again()
    shuffled = rows + random.sample(rows, k=len(rows) // 2)
    random.shuffle(shuffled)
    while shuffled:
        size = random.randint(1, len(shuffled))
        make_events(shuffled[:size])
        del shuffled[:size]
        interpret()
    assert state_of_all() == expected


def _start_again() -> None:
    with unit_of_work() as session:
        session.execute(text("DELETE FROM event"))
        session.execute(text(FORGET))
