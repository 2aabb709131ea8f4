"""What workers do about unreachable clients."""

from app.clients.reachability.service import refresh_problems, refresh_tasks
from app.core.queues import AUDIENCE, tick


@tick("clients.refresh_repairs", every=900, queue=AUDIENCE)
def refresh_repairs() -> None:
    """Every quarter of an hour: which addresses do not work, who is asked to repair them, what is repaired."""
    refresh_problems()
    refresh_tasks()
