"""Celery: the queues, the app, and how tasks and ticks are declared.

The broker holds names and ids only. Everything enqueued has a row in PostgreSQL (a `job` or a delivery
`batch`), and a tick sends again what is due, so the broker may be wiped at any time.
"""

from collections.abc import Callable
from typing import Any, Protocol

import structlog
from celery import Celery
from flask import Flask
from kombu.exceptions import OperationalError
from sqlalchemy import text

from app.config import Config
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work

SEND_EMAIL = "send-email"
SEND_SMS = "send-sms"
DEFAULT = "default"
TRACK = "track"
AUDIENCE = "audience"
REPORT = "report"

SENDING_QUEUES = (SEND_EMAIL, SEND_SMS, DEFAULT)
WORKING_QUEUES = (TRACK, AUDIENCE, REPORT)

log = structlog.get_logger(__name__)
celery_app = Celery("bellwether")


class TaskFunction(Protocol):
    __name__: str

    def __call__(self, *args: Any) -> None: ...


_schedule: dict[str, dict[str, Any]] = {}


def configure_celery(app: Flask, config: Config) -> Celery:
    """Bind the Celery app to the settings and run every task inside the Flask app's context."""
    celery_app.conf.update(
        broker_url=config.broker_url,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"visibility_timeout": 3600},
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        task_default_queue=DEFAULT,
        timezone="UTC",
        beat_schedule=_schedule,
    )
    celery_app.flask_app = app
    return celery_app


def task(name: str) -> Callable[[TaskFunction], TaskFunction]:
    """Register a Celery task that takes ids and runs in an app context with a fresh session."""

    def register(function: TaskFunction) -> TaskFunction:
        def run(*args: Any) -> None:
            with celery_app.flask_app.app_context():
                function(*args)

        run.__name__ = function.__name__
        celery_app.task(name=name)(run)
        return function

    return register


def tick(name: str, *, every: float, queue: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a function that beat calls every so many seconds.

    At most one runs at a time in the whole system: it holds a PostgreSQL advisory lock for its transaction,
    and a tick that waited in the queue past its next turn expires. The function runs inside that transaction.
    """

    def register(function: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            with celery_app.flask_app.app_context():
                run_tick(name, function)

        run.__name__ = function.__name__
        celery_app.task(name=name)(run)
        return function

    _schedule[name] = {"task": name, "schedule": every, "options": {"queue": queue, "expires": max(every, 5)}}
    return register


def run_tick(name: str, function: Callable[[], None]) -> bool:
    """Run a tick's function under its lock. Returns False where another process is at it."""
    with unit_of_work() as session:
        held = session.scalar(text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})
        if held:
            function()
    return bool(held)


def send_task(name: str, queue: str, *ids: int) -> None:
    """Put a task's name and ids on the broker. A broker that is away is logged: the tick sends it again."""
    try:
        celery_app.send_task(name, args=ids, queue=queue, retry=False)
    except (OperationalError, ConnectionError) as error:
        log.warning("broker_unreachable", task=name, error=type(error).__name__)


def dispose_inherited_connections() -> None:
    """In a forked worker process: forget the parent's connections without closing them under it."""
    db.engine.dispose(close=False)
