"""Celery entry points of the digest."""

from app.core import queues
from app.core.clock import now
from app.core.jobs import Lease, job
from app.reports.digest.sending import send_issue
from app.reports.digest.service import SEND, write_due


@queues.tick("reports.write_digests", every=60, queue=queues.REPORT)
def write_digests() -> None:
    write_due(now())


@job(SEND)
def send_digest(lease: Lease, issue_id: int) -> None:
    send_issue(issue_id)
