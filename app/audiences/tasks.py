"""What workers do for audiences."""

from zoneinfo import ZoneInfo

from app.audiences.exporting import register_sources
from app.audiences.history import forget_old_sets, record_day, uncounted_segments
from app.core.clock import now, today
from app.core.extensions import settings
from app.core.queues import AUDIENCE, tick

# Here rather than in the wiring: only this queue writes exports, and they bring readers of files along.
register_sources()

FIRST_HOUR = 4  # in the firm's time zone: after the night's metrics and classes
SEGMENTS_A_TICK = 5


@tick("audiences.count_segments", every=60, queue=AUDIENCE)
def count_segments() -> None:
    """Once a day, a few at a time: who is in each segment. New ones follow within minutes."""
    if now().astimezone(ZoneInfo(settings().time_zone)).hour < FIRST_HOUR:
        return
    day = today()
    waiting = uncounted_segments(day, limit=SEGMENTS_A_TICK)
    for segment in waiting:
        record_day(segment=segment, on_date=day)
    if waiting:
        forget_old_sets(day)
