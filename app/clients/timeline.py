"""What happened with a client, newest first, told by every feature that knows something.

Clients do not know delivery or tracking (data flows the other way): those features register a source here.
"""

from collections.abc import Callable, Sequence
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


TimelineSource = Callable[[Sequence[int], int], list[TimelineEntry]]
_sources: list[TimelineSource] = []


def register_timeline(source: TimelineSource) -> None:
    """Register `source(client_ids, limit)`, which returns the newest `limit` entries it knows; see `app/pages.py`.

    The ids are those of one client: the record itself and those merged into it, whose history is theirs too.
    """
    if source not in _sources:
        _sources.append(source)


def timeline(client_ids: Sequence[int], *, limit: int = 100) -> list[TimelineEntry]:
    """The newest entries of all sources together, newest first; `client_ids` as `queries.record_ids` gives them."""
    entries = chain.from_iterable(source(client_ids, limit) for source in _sources)
    return nlargest(limit, entries, key=lambda entry: entry.at)
