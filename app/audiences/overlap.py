"""Segments and snapshots side by side: what they share, and what becomes of them together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from pyroaring import BitMap64

from app.audiences.fields import Catalogue, load_catalogue
from app.audiences.history import newest_day
from app.audiences.models import Segment, Snapshot
from app.audiences.queries import PAGE, ClientsPage, clients_with, find_segment, time_limit, understood
from app.audiences.rules import parse_rule, takes_by_number
from app.audiences.snapshots import client_ids, rule_ids
from app.clients.queries import merged_away, sees_whole_book, visible_clients
from app.core.clock import now, today
from app.core.errors import AppError, NotFound
from app.core.extensions import db
from app.users.models import User

MAX_SETS = 12
SEGMENT, SNAPSHOT = "segment", "snapshot"
Sight = Callable[[BitMap64], BitMap64]
WAYS = {
    "any": _l("In at least one of them"),
    "all": _l("In all of them"),
    "first": _l("In the first, but in none of the others"),
}


class TooMany(AppError):
    message = _l("At most %(count)s can be compared at a time.", count=MAX_SETS)
    status = 422


@dataclass(frozen=True, slots=True)
class ChosenSet:
    """A segment or a snapshot as a set of the clients that the reader may see, and when they were counted."""

    kind: str
    id: int
    name: str
    ids: BitMap64
    as_of: datetime

    @property
    def key(self) -> str:
        return f"{self.kind}-{self.id}"


def sight_of(user: User | None) -> Sight:
    """What takes out of a set the clients that a person may see; None sees everyone of the book.

    Who sees the whole book misses only the few records that were merged into others, so those are read and not
    everyone's ids. Ask once for all the sets of a page.
    """
    if sees_whole_book(user):
        gone = client_ids(merged_away())
        return lambda ids: ids - gone
    seen = client_ids(visible_clients(user))
    return lambda ids: ids & seen


def chosen_sets(keys: Sequence[str], *, user: User | None) -> list[ChosenSet]:
    """The sets of keys such as "segment-7" and "snapshot-3", in their order, none twice.

    Segments are taken from last night's count where their rule has not changed since, else counted now. Raises
    NotFound for a key that names nothing, TooMany, TooSlow, or RuleError where a rule is no longer understood.
    """
    unique = list(dict.fromkeys(keys))
    if len(unique) > MAX_SETS:
        raise TooMany
    if not unique:
        return []
    sight = sight_of(user)
    return [_chosen(key, user, sight) for key in unique]


def _chosen(key: str, user: User | None, sight: Sight) -> ChosenSet:
    kind, _dash, number = key.partition("-")
    if not (number.isascii() and number.isdecimal() and len(number) < 19):
        raise NotFound
    if kind == SNAPSHOT:
        snapshot = find_snapshot(int(number))
        return ChosenSet(SNAPSHOT, snapshot.id, snapshot.name, sight(snapshot.client_ids), snapshot.created_at)
    if kind != SEGMENT:
        raise NotFound
    segment = find_segment(int(number))
    ids, as_of = members_of(segment, user=user, sight=sight)
    return ChosenSet(SEGMENT, segment.id, segment.name, ids, as_of)


def members_of(segment: Segment, *, user: User | None, sight: Sight | None = None) -> tuple[BitMap64, datetime]:
    """Who of the clients that a person may see is in a segment, and as of when: today's count if there is one of this
    rule that serves them (see `chosen_by_sight`), else now. `sight` is `sight_of(user)`, where it is known."""
    catalogue = load_catalogue()
    counted = None if chosen_by_sight(segment, user=user, catalogue=catalogue) else newest_day(segment.id)
    if counted is not None and counted.on_date == today() and counted.version == segment.version:
        return (sight or sight_of(user))(counted.client_ids or BitMap64()), counted.counted_at
    rule = parse_rule(segment.rule, catalogue)
    with time_limit(None):
        return rule_ids(rule, catalogue=catalogue, today=today(), visible=visible_clients(user)), now()


def chosen_by_sight(segment: Segment, *, user: User | None, catalogue: Catalogue | None = None) -> bool:
    """The segment takes so many clients, and the person sees a part of the book only: then it is so many of that part,
    on every page as in a campaign of theirs, and what was counted over the whole book says nothing of it."""
    if sees_whole_book(user):
        return False
    rule = understood(segment, catalogue or load_catalogue())
    return rule is not None and takes_by_number(rule)


def find_snapshot(snapshot_id: int) -> Snapshot:
    """The snapshot; else NotFound. Who looks at it sees of its clients only those they may see."""
    found = db.session.get(Snapshot, snapshot_id)
    if found is None:
        raise NotFound
    return found


def combine(sets: Sequence[BitMap64], way: str) -> BitMap64:
    """One set of several, as a key of WAYS says; of none it is empty."""
    if not sets:
        return BitMap64()
    if way == "all":
        return BitMap64.intersection(*sets)
    if way == "first":
        rest = BitMap64.union(*sets[1:]) if len(sets) > 1 else BitMap64()
        return sets[0] - rest
    return BitMap64.union(*sets)


def combined_rule(segment_ids: Sequence[int], way: str) -> dict[str, Any]:
    """The same as a rule over segments, which follows them as they change."""

    def is_in(op: str, ids: Sequence[int]) -> dict[str, Any]:
        return {"field": "segment", "op": op, "value": list(ids)}

    if way == "all":
        return {"all": [is_in("in", [one]) for one in segment_ids]}
    if way == "first" and len(segment_ids) > 1:
        return {"all": [is_in("in", segment_ids[:1]), is_in("not_in", segment_ids[1:])]}
    return {"all": [is_in("in", segment_ids)]}


def combined_sentence(names: Sequence[str], way: str) -> str:
    """What a combination is, in words; `names` of the sets in their order."""
    listed = ", ".join(names)
    if way == "all":
        return str(_("in all of: %(names)s", names=listed))
    if way == "first":
        return str(_("in %(name)s, but in none of: %(names)s", name=names[0], names=", ".join(names[1:])))
    return str(_("in at least one of: %(names)s", names=listed))


def page_of(ids: BitMap64, *, user: User | None, before: int | None = None, after: int | None = None) -> ClientsPage:
    """Clients of a set that the person may see, 50 a page by client id; read from the set, not by a scan."""
    if before is not None:
        stop = ids.rank(max(0, before - 1)) if before > 0 else 0
        start = max(0, stop - PAGE)
    else:
        start = ids.rank(after) if after is not None and after >= 0 else 0
        stop = min(start + PAGE, len(ids))
    shown = list(ids[start:stop])
    return ClientsPage(
        clients=clients_with(shown, user=user),
        before=shown[0] if shown and start > 0 else None,
        after=shown[-1] if shown and stop < len(ids) else None,
    )
