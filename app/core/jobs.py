"""Jobs: work handed to a worker that must not be lost, as rows.

`enqueue` writes the row in the caller's transaction and sends its id to the broker after the commit. The
worker claims it by compare-and-set, keeps a lease while it works and records the end. A tick sends again
what is due or whose lease ran out (the worker died), so handlers must be idempotent.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import structlog
from sqlalchemy import CheckConstraint, Index, case, func, null, or_, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Mapped, mapped_column

from app.core.clock import now
from app.core.errors import AppError, Retryable
from app.core.extensions import Model, Timestamp, db
from app.core.queues import DEFAULT, send_task, task, tick
from app.core.unit_of_work import after_commit, unit_of_work

LEASE = timedelta(seconds=60)
MAX_ATTEMPTS = 8
GRACE = timedelta(seconds=5)
RESEND_AFTER = timedelta(seconds=30)
RESEND_LIMIT = 1_000
RUN_JOB = "core.run_job"

log = structlog.get_logger(__name__)


class Job(Model):
    """One piece of work: `due` until claimed, `running` under a lease, then `done` or `failed`.

    `lease_until` is the worker's while the job runs; while it is due, the broker has it until then.
    """

    __tablename__ = "job"
    __table_args__ = (
        CheckConstraint("state IN ('due', 'running', 'done', 'failed')", name="state"),
        Index("ix_job_open", "run_at", postgresql_where=text("state IN ('due', 'running')")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    queue: Mapped[str]
    args: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[str] = mapped_column(default="due")
    run_at: Mapped[Any] = mapped_column(Timestamp, server_default=func.now())
    lease_until: Mapped[Any | None] = mapped_column(Timestamp)
    token: Mapped[UUID | None] = mapped_column(PgUUID)
    attempts: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int | None]
    error: Mapped[str | None]
    created_at: Mapped[Any] = mapped_column(Timestamp, server_default=func.now())
    finished_at: Mapped[Any | None] = mapped_column(Timestamp)


class LeaseLost(Exception):
    """Another worker took the job over; this one must stop without recording anything."""


class Lease:
    """A claimed job in the hands of its handler."""

    def __init__(self, job_id: int, token: UUID) -> None:
        self.job_id = job_id
        self.token = token

    def renew(self, *, done: int | None = None, total: int | None = None) -> None:
        """Extend the lease and record progress, in the caller's transaction.

        Raises LeaseLost where the job is no longer ours; the caller's transaction then rolls back.
        """
        values: dict[str, Any] = {"lease_until": now() + LEASE}
        if done is not None:
            values["done"] = done
        if total is not None:
            values["total"] = total
        held = db.session.execute(
            update(Job).where(Job.id == self.job_id, Job.token == self.token, Job.state == "running").values(values)
        )
        if held.rowcount != 1:  # type: ignore[attr-defined]
            raise LeaseLost


@contextmanager
def noting_failure(
    note: Callable[[str], None], *, fault: object, passing: tuple[type[Exception], ...] = (OperationalError,)
) -> Iterator[None]:
    """For a handler whose own row says how it ended: `note(sentence)` is called, in a transaction of its own, where the
    work cannot go on. `fault` is the sentence for what is not the user's doing.

    The error goes on to the job. Those that pass by themselves (the database was away) become Retryable and nothing is
    noted, nor is it where another worker took the job over.
    """
    try:
        yield
    except (LeaseLost, Retryable):
        raise
    except passing as error:
        db.session.rollback()
        raise Retryable from error
    except Exception as error:
        db.session.rollback()
        with unit_of_work():
            note(str(error) if isinstance(error, AppError) else str(fault))
        raise


Handler = Callable[..., None]
_handlers: dict[str, Handler] = {}


def job(name: str) -> Callable[[Handler], Handler]:
    """Register a handler `(lease, **args)` under a name. It must be idempotent: it may run twice."""

    def register(handler: Handler) -> Handler:
        _handlers[name] = handler
        return handler

    return register


def enqueue(name: str, *, queue: str = DEFAULT, delay: timedelta | None = None, **args: int | str) -> Job:
    """Write a job in the current transaction and send it after the commit. Args are ids and short words."""
    row = Job(
        name=name,
        queue=queue,
        args=args,
        state="due",
        run_at=now() + (delay or timedelta()),
        attempts=0,
        done=0,
    )
    db.session.add(row)
    db.session.flush()
    if delay is None:
        after_commit(partial(send_task, RUN_JOB, queue, row.id))
    return row


def claim(job_id: int) -> tuple[Lease, str, dict[str, Any]] | None:
    """Take a due job, or one whose lease ran out. None where another worker has it or it is finished."""
    token = uuid4()
    with unit_of_work() as session:
        row = session.execute(
            update(Job)
            .where(
                Job.id == job_id,
                Job.attempts < MAX_ATTEMPTS,
                ((Job.state == "due") & (Job.run_at <= now())) | ((Job.state == "running") & (Job.lease_until < now())),
            )
            .values(state="running", token=token, lease_until=now() + LEASE, attempts=Job.attempts + 1)
            .returning(Job.name, Job.args)
        ).one_or_none()
    return (Lease(job_id, token), row.name, row.args) if row else None


def _finish(lease: Lease, **values: Any) -> None:
    with unit_of_work() as session:
        session.execute(
            update(Job)
            .where(Job.id == lease.job_id, Job.token == lease.token, Job.state == "running")
            .values(lease_until=None, token=None, **values)
        )


@task(RUN_JOB)
def run_job(job_id: int) -> None:
    """Claim and run one job. A Retryable error, or a database that was away, puts it back with a growing delay; others
    end it as failed."""
    claimed = claim(job_id)
    if claimed is None:
        return
    lease, name, args = claimed
    try:
        _handlers[name](lease, **args)
    except LeaseLost:
        log.warning("job_lease_lost", job=job_id, name=name)
    except (Retryable, OperationalError) as error:
        db.session.rollback()
        row = db.session.get_one(Job, job_id)
        if row.attempts >= MAX_ATTEMPTS:
            _finish(lease, state="failed", error=type(error).__name__, finished_at=now())
            log.error("job_failed", job=job_id, name=name, error=type(error).__name__)
        else:
            _finish(lease, state="due", run_at=now() + timedelta(seconds=2**row.attempts))
    except AppError as error:
        db.session.rollback()
        _finish(lease, state="failed", error=str(error), finished_at=now())
        log.warning("job_refused", job=job_id, name=name, error=type(error).__name__)
    except Exception as error:
        db.session.rollback()
        _finish(lease, state="failed", error=type(error).__name__, finished_at=now())
        log.exception("job_failed", job=job_id, name=name)
    else:
        _finish(lease, state="done", finished_at=now())


@tick("core.resend_jobs", every=5, queue=DEFAULT)
def resend_due_jobs() -> None:
    """Send again every job that waits past its time or whose worker's lease ran out.

    Each at most every half minute, so that a queue without a worker does not fill the broker.
    """
    _take_back_lost_jobs()
    waiting = (
        select(Job.id)
        .where(
            Job.state == "due",
            Job.run_at <= now() - GRACE,
            or_(Job.lease_until.is_(None), Job.lease_until < now()),
        )
        .order_by(Job.run_at)
        .limit(RESEND_LIMIT)
    )
    rows = db.session.execute(
        update(Job)
        .where(Job.id.in_(waiting))
        .values(lease_until=now() + RESEND_AFTER)
        .returning(Job.id, Job.queue)
        .execution_options(synchronize_session=False)
    ).all()
    for row in rows:
        after_commit(partial(send_task, RUN_JOB, row.queue, row.id))


def _take_back_lost_jobs() -> None:
    """Jobs whose worker died are due again; after many deaths they have failed, for they may be what kills it."""
    spent = Job.attempts >= MAX_ATTEMPTS
    rows = db.session.execute(
        update(Job)
        .where(Job.state == "running", Job.lease_until < now())
        .values(
            state=case((spent, "failed"), else_="due"),
            error=case((spent, "WorkerLost"), else_=null()),
            finished_at=case((spent, now()), else_=null()),
            run_at=now() - GRACE,
            lease_until=None,
            token=None,
        )
        .returning(Job.id, Job.name, Job.state)
        .execution_options(synchronize_session=False)
    ).all()
    for row in rows:
        log.warning("job_worker_lost", job=row.id, name=row.name, state=row.state)
