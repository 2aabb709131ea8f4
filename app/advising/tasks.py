"""What workers do with contact tasks."""

from app.advising.channel import settle_after_crash
from app.advising.overdue import escalate_and_close, withdraw_barred
from app.advising.placing import one_at_a_time, place_tasks
from app.core.queues import AUDIENCE, tick


@tick("advising.place", every=20, queue=AUDIENCE)
def place() -> None:
    """New tasks find an adviser and a day; each morning the lists are made anew."""
    settle_after_crash()
    one_at_a_time()
    place_tasks()


@tick("advising.tidy", every=300, queue=AUDIENCE)
def tidy() -> None:
    """What is overdue goes to the manager; what may not be done any more is withdrawn."""
    one_at_a_time()
    withdraw_barred()
    escalate_and_close()
