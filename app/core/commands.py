"""What commands share: a refusal as a sentence, and a job run where one can watch it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

import click
from flask import current_app

from app.core.errors import AppError
from app.core.extensions import db
from app.core.jobs import Job, run_job


@contextmanager
def sentences() -> Iterator[None]:
    """A refusal ends the command with its sentence and exit code 1."""
    try:
        yield
    except AppError as error:
        raise click.ClickException(str(error)) from error


def run_here(job_id: int, told: Callable[[Job], str]) -> None:
    """Run the job in a thread until it ends; what is `told` of it goes to standard error whenever it has come on."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]

    def work() -> None:
        with app.app_context():
            run_job(job_id)

    worker = Thread(target=work, daemon=True)
    worker.start()
    before = 0
    while worker.is_alive():
        worker.join(timeout=0.2)
        db.session.rollback()
        row = db.session.get_one(Job, job_id, populate_existing=True)
        if row.done and row.done != before:
            before = row.done
            click.echo(told(row), err=True)
    db.session.rollback()
