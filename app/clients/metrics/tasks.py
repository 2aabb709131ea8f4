"""What workers do for the metrics."""

from datetime import time
from zoneinfo import ZoneInfo

from app.clients.classes.computing import classify
from app.clients.metrics.queries import last_run, open_job
from app.clients.metrics.service import COMPUTE, default_as_of, refresh_metrics, refresh_stale, start_computing
from app.core.clock import now
from app.core.extensions import settings
from app.core.jobs import Lease, job
from app.core.keeping import kept
from app.core.queues import AUDIENCE, tick
from app.core.unit_of_work import unit_of_work

NIGHT = time(1)  # in the firm's time zone: the core system's files of the day are there


@job(COMPUTE)
def compute_metrics(lease: Lease) -> None:
    """Compute the whole book; see `refresh_metrics`. Running twice changes nothing."""
    with kept(lease), unit_of_work():
        refresh_metrics()
        lease.renew()


@tick("clients.compute_metrics_nightly", every=600, queue=AUDIENCE)
def compute_nightly() -> None:
    """Once a night, and at the next opportunity where that night was missed."""
    done = last_run()
    local = now().astimezone(ZoneInfo(settings().time_zone)).time()
    if local >= NIGHT and (done is None or done.as_of < default_as_of()) and open_job(COMPUTE) is None:
        start_computing(actor=None)


@tick("clients.refresh_stale_metrics", every=60, queue=AUDIENCE)
def refresh_stale_metrics() -> None:
    """Compute those whose holdings changed, and their classes; a whole run that is on its way takes them along."""
    if open_job(COMPUTE) is None:
        classify(client_ids=refresh_stale())
