"""What happened with a client, newest first, told by every feature that knows something.

Clients do not know delivery or tracking (data flows the other way): those features register a source here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

ON_A_PAGE = 50
END = datetime(9999, 12, 31, tzinfo=UTC)
MOST_AT_ONE_MOMENT = 10_000


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One line. `kind` names an icon of the page (see `icons` in the template); `href` may be None."""

    at: datetime
    kind: str
    text: str
    href: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins: at entries up to `until`, without the first `skip` of that very moment, told before."""

    until: datetime = END
    skip: int = 0


@dataclass(frozen=True, slots=True)
class TimelinePage:
    """Entries, newest first, and where the older ones begin (None: there are none)."""

    entries: list[TimelineEntry]
    older: Place | None


TimelineSource = Callable[[Sequence[int], int, datetime], list[TimelineEntry]]
_sources: list[TimelineSource] = []


def register_timeline(source: TimelineSource) -> None:
    """Register `source(client_ids, limit, until)`, which returns the newest `limit` entries it knows up to a moment,
    newest first, those of one moment always in the same order; see `app/pages.py`.

    The ids are those of one client: the record itself and those merged into it, whose history is theirs too.
    """
    if source not in _sources:
        _sources.append(source)


def timeline(client_ids: Sequence[int], *, place: Place | None = None, size: int = ON_A_PAGE) -> TimelinePage:
    """A page of the entries of all sources together; `client_ids` as `queries.record_ids` gives them.

    As quick on the last page as on the first: each source is asked for what a page can hold.
    """
    place = place or Place()
    wanted = place.skip + size + 1
    told = chain.from_iterable(source(client_ids, wanted, place.until) for source in _sources)
    entries = sorted(told, key=lambda entry: entry.at, reverse=True)[place.skip :]
    shown = entries[:size]
    if len(entries) <= size:
        return TimelinePage(shown, None)
    last = shown[-1].at
    again = sum(entry.at == last for entry in shown) + (place.skip if last == place.until else 0)
    return TimelinePage(shown, Place(last, again))


def place_of(until: str, skip: int | None) -> Place:
    """The place that an address of a page names; the beginning where it names none that can be."""
    try:
        moment = datetime.fromisoformat(until)
    except ValueError:
        return Place()
    if moment.tzinfo is None:
        return Place()
    return Place(moment, min(max(skip or 0, 0), MOST_AT_ONE_MOMENT))
