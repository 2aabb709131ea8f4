"""Outbox events: upstream says what happened, downstream features listen.

An event becomes one job per listener, written in the same transaction as the change itself, so neither is
lost without the other. Who listens to what is declared in `app/wiring.py`.
"""

from collections import defaultdict

from app.core.jobs import enqueue

_listeners: dict[str, list[tuple[str, str]]] = defaultdict(list)


def listen(event: str, *, job: str, queue: str) -> None:
    """When `event` is emitted, enqueue the job `job` on `queue` with the event's ids."""
    if (job, queue) not in _listeners[event]:
        _listeners[event].append((job, queue))


def emit(event: str, **ids: int) -> None:
    """Write the event to the outbox inside the current transaction."""
    for job, queue in _listeners[event]:
        enqueue(job, queue=queue, delay=None, **ids)
