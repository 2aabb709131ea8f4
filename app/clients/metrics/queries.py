"""What is known of the computing itself."""

from sqlalchemy import func, select

from app.clients.metrics.models import MetricsRun, StaleClient
from app.core.extensions import db
from app.core.jobs import Job

RECENT = 10


def last_run() -> MetricsRun | None:
    """The newest computation of the whole book."""
    return db.session.scalars(select(MetricsRun).order_by(MetricsRun.id.desc()).limit(1)).first()


def recent_runs() -> list[MetricsRun]:
    """The last computations of the whole book, newest first."""
    return list(db.session.scalars(select(MetricsRun).order_by(MetricsRun.id.desc()).limit(RECENT)))


def stale_clients() -> int:
    """How many clients wait to be computed anew."""
    return db.session.scalar(select(func.count()).select_from(StaleClient)) or 0


def open_job(name: str) -> Job | None:
    """The oldest job of a name that waits or runs."""
    waiting = select(Job).where(Job.name == name, Job.state.in_(("due", "running"))).order_by(Job.id).limit(1)
    return db.session.scalars(waiting).first()


def last_job(name: str) -> Job | None:
    """The newest job of a name, whatever became of it."""
    return db.session.scalars(select(Job).where(Job.name == name).order_by(Job.id.desc()).limit(1)).first()
