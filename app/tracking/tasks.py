"""What beat has tracking do: interpret events, credit openings, make the partitions ahead."""

from app.core.queues import TRACK, tick
from app.tracking import account_openings, interpretation


@tick(interpretation.LOCK, every=1, queue=TRACK)
def interpret() -> None:
    """Write what pending events mean."""
    interpretation.interpret_pending()


@tick("tracking.credit_openings", every=1, queue=TRACK)
def credit_openings() -> None:
    """Credit new openings to messages."""
    account_openings.credit_pending()


@tick("tracking.match_openings", every=60, queue=TRACK)
def match_openings() -> None:
    """Match openings whose client was not in the client book when they came."""
    account_openings.match_late()


@tick("tracking.make_partitions", every=3600, queue=TRACK)
def make_partitions() -> None:
    """Make the event table's next months."""
    interpretation.make_partitions()
