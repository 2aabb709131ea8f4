"""What workers do for feeds."""

from app.clients.feeds import service
from app.core.jobs import Lease, job
from app.core.queues import AUDIENCE, tick


@job(service.RUN_FEED)
def run_feed(lease: Lease, run_id: int) -> None:
    """Load the file of a run; see `running.run_feed`."""
    service.load(lease=lease, run_id=run_id)


@job(service.COLLECT_FEED)
def collect_feed(lease: Lease, feed_id: int) -> None:
    """Load what lies in the feed's folder; see `service.collect`."""
    service.collect(lease=lease, feed_id=feed_id)


@tick("clients.collect_feeds", every=30, queue=AUDIENCE)
def collect_due_feeds() -> None:
    """Look into the folders that are due."""
    service.enqueue_due_feeds()
