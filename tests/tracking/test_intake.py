"""Group commit: an answer means that the event is on disk."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select, text

from app.config import Config
from app.core.clock import now
from app.core.extensions import db
from app.tracking.intake import Intake, RawEvent, Unrecorded
from app.tracking.models import Event

ROOT = Path(__file__).resolve().parents[2]


def _event(message_id: int = 1, **fields: object) -> RawEvent:
    values: dict[str, object] = {"kind": "open", "message_id": message_id, "at": now(), "source": "pixel"}
    return RawEvent(**(values | fields))  # type: ignore[arg-type]


def _count() -> int:
    return db.session.scalar(select(func.count(Event.id))) or 0


def test_every_event_of_many_threads_is_committed_when_its_call_returns(app: Flask, config: Config) -> None:
    intake = Intake(config.database_url)
    seen: list[int] = []

    def hit(number: int) -> None:
        for step in range(20):
            intake.record(_event(number * 100 + step))
        seen.append(number)

    threads = [threading.Thread(target=hit, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 16
    assert _count() == 320


def test_the_same_report_twice_is_one_event(app: Flask, config: Config) -> None:
    intake = Intake(config.database_url)
    report = _event(source="sendgrid", external_id="x")
    intake.record(report, report)
    intake.record(report)
    assert _count() == 1


def test_text_that_postgresql_refuses_is_cleaned(app: Flask, config: Config) -> None:
    Intake(config.database_url).record(_event(user_agent="a\0b\ud800c", link="x" * 5000))
    event = db.session.scalars(select(Event)).one()
    assert event.user_agent == "ab?c"
    assert len(event.link or "") == 2000


def test_a_refused_event_does_not_take_others_with_it(app: Flask, config: Config) -> None:
    intake = Intake(config.database_url)
    outcomes: dict[int, bool] = {}
    ready = threading.Barrier(8)

    def hit(number: int) -> None:
        ready.wait()
        try:
            intake.record(_event(number, payload="{not json" if number == 3 else None))
            outcomes[number] = True
        except Unrecorded:
            outcomes[number] = False

    threads = [threading.Thread(target=hit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {number: number != 3 for number in range(8)}
    assert _count() == 7


def test_a_dead_database_is_told_to_the_caller_and_counted(app: Flask) -> None:
    intake = Intake("postgresql://nobody@127.0.0.1:1/nothing")
    for _attempt in range(3):
        with pytest.raises(Unrecorded):
            intake.record(_event(), _event())
    assert intake.unrecorded == 6


def test_a_lost_connection_is_renewed(app: Flask, config: Config) -> None:
    intake = Intake(config.database_url)
    intake.record(_event(1))
    db.session.execute(select(func.pg_terminate_backend(func.coalesce(_intake_backend().scalar_subquery(), 0))))
    db.session.commit()
    intake.record(_event(2))
    assert _count() == 2


def _intake_backend():  # type: ignore[no-untyped-def]
    from sqlalchemy import column, table  # noqa: PLC0415

    activity = table("pg_stat_activity", column("pid"), column("application_name"), column("backend_start"))
    return (
        select(activity.c.pid)
        .where(activity.c.application_name == "bellwether intake")
        .order_by(activity.c.backend_start.desc())
        .limit(1)
    )


def test_a_forked_child_starts_a_writer_of_its_own(app: Flask, config: Config) -> None:
    intake = Intake(config.database_url)
    intake.record(_event(1))
    child = os.fork()
    if child == 0:
        try:
            intake.record(_event(2))
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    intake.record(_event(3))
    assert _count() == 3


def _intake_backends() -> set[int]:
    """The processes of the server that write events for somebody."""
    backends = text("SELECT pid FROM pg_stat_activity WHERE application_name = 'bellwether intake'")
    found = set(db.session.scalars(backends))
    db.session.rollback()
    return found


HITTER = """
import sys, threading
from app.core.clock import now
from app.tracking.intake import Intake, RawEvent
intake = Intake(sys.argv[1])
lock = threading.Lock()
def hit(first):
    for number in range(first, 10**9, 8):
        intake.record(RawEvent(kind="open", message_id=number, at=now(), source="pixel"))
        with lock:
            print(number, flush=True)
for first in range(8):
    threading.Thread(target=hit, args=(first,)).start()
"""


def test_killing_the_process_loses_nothing_that_was_answered(app: Flask, config: Config) -> None:
    before = _intake_backends()
    process = subprocess.Popen(
        [sys.executable, "-c", HITTER, config.database_url], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert process.stdout is not None
    answered = [int(process.stdout.readline()) for _line in range(400)]
    process.send_signal(signal.SIGKILL)
    answered += [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    process.wait()
    # The server may still be at the last statement of the dead: its rows would fall into the next test.
    while _intake_backends() - before:
        time.sleep(0.05)
    kept = set(db.session.scalars(select(Event.message_id)))
    assert set(answered) <= kept
