"""What happened with a client, newest first, told by every feature that knows something.

Clients do not know delivery or tracking (data flows the other way): those features register a source here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest
from itertools import chain


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One line. `kind` names an icon of the page (see `ICONS` in the template); `href` may be None."""

    at: datetime
    kind: str
    text: str
    href: str | None = None


TimelineSource = Callable[[int, int], list[TimelineEntry]]
_sources: list[TimelineSource] = []


def register_timeline(source: TimelineSource) -> None:
    """Register `source(client_id, limit)`, which returns the newest `limit` entries it knows. Called in wiring."""
    if source not in _sources:
        _sources.append(source)


def timeline(client_id: int, *, limit: int = 100) -> list[TimelineEntry]:
    """The newest entries of all sources together, newest first."""
    entries = chain.from_iterable(source(client_id, limit) for source in _sources)
    return nlargest(limit, entries, key=lambda entry: entry.at)
