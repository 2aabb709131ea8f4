"""Ticks: at most one at a time in the whole system."""

import pytest
from flask import Flask
from sqlalchemy import text

from app.core.extensions import db
from app.core.queues import celery_app, run_tick
from app.core.unit_of_work import after_commit
from app.wiring import TASK_MODULES, load_tasks

pytestmark = pytest.mark.usefixtures("app")
LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")


def test_a_tick_runs_and_commits() -> None:
    seen: list[str] = []

    def turn() -> None:
        after_commit(lambda: seen.append("after"))
        seen.append("in")

    assert run_tick("test.tick", turn)
    assert seen == ["in", "after"]


def test_a_second_runner_does_nothing_while_the_first_is_at_it() -> None:
    seen: list[str] = []
    with db.engine.begin() as other:
        assert other.scalar(LOCK, {"name": "test.tick"})
        assert not run_tick("test.tick", lambda: seen.append("tick"))
        assert run_tick("test.another", lambda: seen.append("another"))
    assert run_tick("test.tick", lambda: seen.append("tick"))
    assert seen == ["another", "tick"]


def test_a_tick_holds_the_lock_until_its_commit_and_gives_it_up_on_an_error(app: Flask) -> None:
    def look() -> None:
        with db.engine.begin() as other:
            assert not other.scalar(LOCK, {"name": "test.tick"})
        raise LookupError

    for _ in range(2):
        with pytest.raises(LookupError):
            run_tick("test.tick", look)


def test_every_tick_goes_to_a_known_queue_and_expires() -> None:
    load_tasks()
    schedule = celery_app.conf.beat_schedule
    assert "core.resend_jobs" in schedule
    for name, entry in schedule.items():
        assert entry["task"] == name
        assert name in celery_app.tasks
        assert entry["options"]["queue"] in TASK_MODULES
        assert entry["options"]["expires"] >= entry["schedule"]


def test_a_task_is_acknowledged_late_and_carries_json_only() -> None:
    conf = celery_app.conf
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1
    assert conf.accept_content == ["json"]
    assert conf.task_ignore_result
