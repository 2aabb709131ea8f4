"""What beat has tracking do: interpret events, make the partitions ahead."""

from app.core.jobs import Lease, job
from app.core.queues import TRACK, tick
from app.tracking import interpretation
from app.tracking.machines import service as machines


@tick(interpretation.LOCK, every=1, queue=TRACK)
def interpret() -> None:
    """Write what pending events mean."""
    interpretation.interpret_pending()


@job(machines.JOB)
def judge_hits_again(lease: Lease, *, version: int) -> None:
    """Judge all recorded hits by the newest rules about machines."""
    machines.judge_all_again(lease, version=version)


@tick("tracking.make_partitions", every=3600, queue=TRACK)
def make_partitions() -> None:
    """Make the event table's next months."""
    interpretation.make_partitions()
