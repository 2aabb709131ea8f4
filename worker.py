"""The Celery app: `celery -A worker worker -Q send-email,send-sms,default` or `... -Q track,audience,report`.

A worker loads only the task modules of its queues (WORKER_QUEUES, a comma-separated list), so that the sending
worker stays small. Beat loads all of them for their schedule.
"""

import gc
import os

from celery.signals import setup_logging, worker_before_create_process, worker_process_init
from sqlalchemy.orm import configure_mappers

from app import start
from app.core.queues import celery_app, dispose_inherited_connections
from app.wiring import load_tasks

flask_app = start(web=False)
load_tasks(os.environ.get("WORKER_QUEUES"))
celery = celery_app


@setup_logging.connect
def keep_our_logging(**_: object) -> None:
    """Celery leaves logging alone: `start` has configured it."""


@worker_before_create_process.connect
def share_what_is_loaded(**_: object) -> None:
    """What there is before a fork is never collected: looking at it would copy its pages into every process, and its
    number would put off the collection of what they make themselves.
    """
    configure_mappers()
    gc.freeze()


@worker_process_init.connect
def start_with_fresh_connections(**_: object) -> None:
    """A forked process must not share the parent's database connections."""
    with flask_app.app_context():
        dispose_inherited_connections()
