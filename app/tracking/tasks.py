"""What beat has tracking do: interpret events, make the partitions ahead."""

from app.core.queues import TRACK, tick
from app.tracking import interpretation


@tick(interpretation.LOCK, every=1, queue=TRACK)
def interpret() -> None:
    """Write what pending events mean."""
    interpretation.interpret_pending()


@tick("tracking.make_partitions", every=3600, queue=TRACK)
def make_partitions() -> None:
    """Make the event table's next months."""
    interpretation.make_partitions()
