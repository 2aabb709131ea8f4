"""Celery entry points of the reports."""

from app.core import queues
from app.reports.outcomes.service import count_outcomes


@queues.tick("reports.count_outcomes", every=5, queue=queues.REPORT)
def keep_outcomes_counted() -> None:
    count_outcomes()
