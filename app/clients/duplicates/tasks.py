"""What workers do about duplicates."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import select

from app.clients.duplicates.finding import find_duplicates
from app.clients.duplicates.queries import FIND
from app.core.clock import now
from app.core.extensions import db, settings
from app.core.jobs import Job, Lease, enqueue, job
from app.core.queues import AUDIENCE, tick
from app.core.unit_of_work import unit_of_work

NIGHTLY = time(3, 30)  # in the firm's time zone

log = structlog.get_logger(__name__)


@job(FIND)
def find(lease: Lease) -> None:
    """Look for clients who are in the book twice."""
    with unit_of_work():
        found = find_duplicates()
        lease.renew(done=found.pairs, total=found.pairs)
    log.info("duplicates_found", pairs=found.pairs, fresh=found.fresh, gone=found.gone)


@tick("clients.search_duplicates_nightly", every=600, queue=AUDIENCE)
def search_nightly() -> None:
    """Order one search a night, unless there has been one since."""
    zone = ZoneInfo(settings().time_zone)
    local = now().astimezone(zone)
    due = datetime.combine(local.date(), NIGHTLY, tzinfo=zone)
    if local < due:
        due -= timedelta(days=1)
    if db.session.scalar(select(Job.id).where(Job.name == FIND, Job.created_at >= due).limit(1)) is None:
        enqueue(FIND, queue=AUDIENCE)
