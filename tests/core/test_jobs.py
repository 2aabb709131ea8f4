"""Jobs: rows that a worker claims, and that outlive the broker and the worker."""

import json
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from flask import Flask
from redis import Redis
from sqlalchemy import text, update

from app.config import Config
from app.core import jobs
from app.core.clock import now
from app.core.embedded import free_port
from app.core.errors import AppError, Retryable
from app.core.extensions import db
from app.core.jobs import LEASE, MAX_ATTEMPTS, Job, Lease, LeaseLost, claim, enqueue, job, run_job
from app.core.queues import DEFAULT, REPORT, run_tick
from app.core.unit_of_work import unit_of_work

pytestmark = pytest.mark.usefixtures("app", "broker")
calls: list[dict[str, Any]] = []


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Handlers of the tests, which note that they were called."""

    @job("test.note")
    def note(lease: Lease, **args: Any) -> None:
        calls.append(args)

    @job("test.refuse")
    def refuse(lease: Lease) -> None:
        calls.append({})
        db.session.add(Job(name="half done", queue=DEFAULT, args={}))
        db.session.flush()
        raise AppError("This cannot be done today.")

    @job("test.busy")
    def busy(lease: Lease) -> None:
        calls.append({})
        raise Retryable

    @job("test.break")
    def break_down(lease: Lease) -> None:
        raise ZeroDivisionError("secret@example.com")

    @job("test.cut")
    def cut(lease: Lease) -> None:
        """The first time, its session of the database ends under it."""
        calls.append({})
        if len(calls) == 1:
            db.session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    calls.clear()
    yield
    for name in ("test.note", "test.refuse", "test.busy", "test.break", "test.cut"):
        jobs._handlers.pop(name)


def enqueued(name: str = "test.note", **options: Any) -> int:
    with unit_of_work():
        return enqueue(name, **options).id


def row(job_id: int) -> Job:
    db.session.rollback()
    return db.session.get_one(Job, job_id)


def change(job_id: int, **values: Any) -> None:
    with unit_of_work() as session:
        session.execute(update(Job).where(Job.id == job_id).values(**values))


def tick() -> None:
    assert run_tick("core.resend_jobs", jobs.resend_due_jobs)


def sent(broker: Redis, queue: str = DEFAULT) -> list[int]:
    """The job ids on the broker, taken off it."""
    found = []
    while message := broker.rpop(queue):
        envelope = json.loads(message)
        assert envelope["headers"]["task"] == "core.run_job"
        (job_id,), _, _ = json.loads(b64decode(envelope["body"]))
        found.append(job_id)
    return found


def test_a_job_is_a_row_and_its_id_goes_to_the_broker_after_the_commit(broker: Redis) -> None:
    with unit_of_work():
        made = enqueue("test.note", queue=REPORT, campaign_id=7)
        assert sent(broker, REPORT) == []
    assert sent(broker, REPORT) == [made.id]
    assert (made.state, made.args, made.attempts) == ("due", {"campaign_id": 7}, 0)


def test_a_job_that_is_rolled_back_never_was(broker: Redis) -> None:
    with pytest.raises(LookupError), unit_of_work():
        enqueue("test.note")
        raise LookupError
    assert sent(broker) == []
    assert db.session.query(Job).count() == 0


def test_running_it_calls_the_handler_with_the_ids_and_ends_it() -> None:
    job_id = enqueued(campaign_id=7)
    run_job(job_id)
    assert calls == [{"campaign_id": 7}]
    ended = row(job_id)
    assert (ended.state, ended.attempts, ended.token, ended.lease_until) == ("done", 1, None, None)
    assert ended.finished_at is not None
    run_job(job_id)
    assert len(calls) == 1


def test_of_two_claims_one_wins(app: Flask) -> None:
    job_id = enqueued()
    assert claim(job_id) is not None
    with app.app_context():
        assert claim(job_id) is None


def test_two_claims_at_the_same_moment_are_decided_by_the_row(app: Flask) -> None:
    """The second waits for the first one's row lock, looks again and loses."""
    job_id = enqueued()
    with db.engine.connect() as first:
        first.execute(update(Job).where(Job.id == job_id).values(state="running", lease_until=now() + LEASE))
        with db.engine.connect() as second:
            second.exec_driver_sql("SET lock_timeout = '100ms'")
            with pytest.raises(Exception, match="lock timeout"):
                second.execute(update(Job).where(Job.id == job_id, Job.state == "due").values(state="running"))
        first.commit()
    assert claim(job_id) is None


def test_a_job_of_the_future_is_not_claimed_before_its_time(broker: Redis) -> None:
    job_id = enqueued(delay=timedelta(hours=1))
    assert sent(broker) == []
    assert claim(job_id) is None
    tick()
    assert sent(broker) == []
    change(job_id, run_at=now() - timedelta(seconds=6))
    tick()
    assert sent(broker) == [job_id]


def test_a_job_whose_lease_ran_out_is_taken_over_and_the_first_worker_must_stop() -> None:
    job_id = enqueued()
    first, _, _ = claim(job_id) or pytest.fail("not claimed")
    with unit_of_work():
        first.renew(done=3, total=10)
    assert (row(job_id).done, row(job_id).total) == (3, 10)
    change(job_id, lease_until=now() - timedelta(seconds=1))
    second, _, _ = claim(job_id) or pytest.fail("not taken over")
    with pytest.raises(LeaseLost), unit_of_work():
        first.renew(done=9)
    with unit_of_work():
        second.renew(done=4)
    assert (row(job_id).done, row(job_id).attempts) == (4, 2)


def test_a_worker_that_lost_its_lease_records_no_end() -> None:
    @job("test.slow")
    def slow(lease: Lease) -> None:
        change(lease.job_id, lease_until=now() - timedelta(seconds=1))
        assert claim(lease.job_id) is not None
        with unit_of_work():
            lease.renew()

    job_id = enqueued("test.slow")
    run_job(job_id)
    assert (row(job_id).state, row(job_id).attempts) == ("running", 2)


def test_a_refusal_ends_it_with_its_sentence_and_undoes_what_was_half_done() -> None:
    job_id = enqueued("test.refuse")
    run_job(job_id)
    assert (row(job_id).state, row(job_id).error) == ("failed", "This cannot be done today.")
    assert db.session.query(Job).count() == 1


def test_an_unexpected_error_keeps_its_kind_and_no_data() -> None:
    job_id = enqueued("test.break")
    run_job(job_id)
    assert (row(job_id).state, row(job_id).error) == ("failed", "ZeroDivisionError")


def test_an_unknown_job_fails() -> None:
    job_id = enqueued("test.nobody_knows")
    run_job(job_id)
    assert row(job_id).state == "failed"


def test_a_retryable_error_puts_it_back_with_a_growing_delay_until_it_has_failed() -> None:
    job_id = enqueued("test.busy")
    delays = []
    for _ in range(MAX_ATTEMPTS - 1):
        run_job(job_id)
        put_back = row(job_id)
        assert (put_back.state, put_back.token, put_back.error) == ("due", None, None)
        delays.append((put_back.run_at - now()).total_seconds())
        run_job(job_id)  # too early: nothing happens
        change(job_id, run_at=now())
    assert all(later > 1.5 * earlier for earlier, later in pairwise(delays))
    run_job(job_id)
    assert (row(job_id).state, row(job_id).error) == ("failed", "Retryable")
    assert len(calls) == MAX_ATTEMPTS


def test_a_job_that_met_the_end_of_the_database_goes_on_when_it_is_back() -> None:
    job_id = enqueued("test.cut")
    run_job(job_id)
    assert (row(job_id).state, row(job_id).error) == ("due", None)
    change(job_id, run_at=now())
    run_job(job_id)
    assert (row(job_id).state, len(calls)) == ("done", 2)


def test_the_tick_sends_what_waits_once_in_half_a_minute(broker: Redis) -> None:
    job_id = enqueued(queue=REPORT)
    broker.flushdb()  # the broker is wiped
    tick()
    assert sent(broker, REPORT) == []  # it may still be on its way
    change(job_id, run_at=now() - timedelta(seconds=6))
    tick()
    tick()
    assert sent(broker, REPORT) == [job_id]
    change(job_id, lease_until=now() - timedelta(seconds=1))
    tick()
    assert sent(broker, REPORT) == [job_id]
    run_job(job_id)
    assert row(job_id).state == "done"


def test_the_tick_sends_a_dead_workers_job_again_and_leaves_the_living_alone(broker: Redis) -> None:
    dead, alive = enqueued(), enqueued()
    broker.flushdb()
    assert claim(dead)
    assert claim(alive)
    change(dead, lease_until=now() - timedelta(seconds=1))
    tick()
    assert sent(broker) == [dead]
    run_job(dead)
    assert (row(dead).state, row(alive).state) == ("done", "running")


def test_a_job_that_kills_its_workers_has_failed_in_the_end(broker: Redis) -> None:
    job_id = enqueued()
    for _ in range(MAX_ATTEMPTS):
        assert claim(job_id)
        change(job_id, lease_until=now() - timedelta(seconds=1))
        tick()
        change(job_id, run_at=now())
    assert (row(job_id).state, row(job_id).error) == ("failed", "WorkerLost")
    assert claim(job_id) is None


def test_a_job_enqueued_while_the_broker_is_away_is_found_by_the_tick(
    config: Config, servers: dict[str, str], broker: Redis
) -> None:
    """Another process, whose broker does not answer, enqueues; it neither fails nor waits."""
    program = (
        "from app import create_app\n"
        "from app.core.jobs import enqueue\n"
        "from app.core.unit_of_work import unit_of_work\n"
        "with create_app(web=False).app_context(), unit_of_work():\n"
        "    enqueue('test.note', campaign_id=7)\n"
    )
    environment = servers | {"BROKER_URL": f"redis://127.0.0.1:{free_port()}/0", "PATH": "", "LOG_LEVEL": "WARNING"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "broker_unreachable" in done.stderr
    (found,) = db.session.query(Job)
    change(found.id, run_at=now() - timedelta(seconds=6))
    tick()
    (job_id,) = sent(broker)
    run_job(job_id)
    assert calls == [{"campaign_id": 7}]
