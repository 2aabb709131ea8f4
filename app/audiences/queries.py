"""Reads about segments. Counts and samples hold only the clients a person may see, and end after some seconds."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, Select, cast, func, or_, select, true, tuple_
from sqlalchemy.dialects.postgresql import JSONPATH
from sqlalchemy.orm import joinedload

from app.audiences.compiler import condition, tune_statements
from app.audiences.fields import Catalogue, load_catalogue
from app.audiences.models import Segment
from app.audiences.rules import Rule, RuleError, parse_rule
from app.clients.masking import mask_email
from app.clients.models import Client
from app.clients.queries import sees_whole_book, visible_clients
from app.core import time_limit as core_limit
from app.core.errors import NotFound
from app.core.extensions import db
from app.users.models import Branch, User

PAGE = 50
SAMPLE = 10
TIME_LIMIT_MS = 5_000


class TooSlow(core_limit.TooSlow):
    message = _l("Counting this takes too long. Narrow it down: add a condition that fewer clients meet.")


class SegmentMissing(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(_l("There is no segment “%(name)s”.", name=name))


@contextmanager
def time_limit(milliseconds: int | None) -> Iterator[None]:
    """Give up any statement in the block that takes longer (TIME_LIMIT_MS): TooSlow, and the transaction is over."""
    with core_limit.time_limit(milliseconds or TIME_LIMIT_MS, TooSlow):
        tune_statements()
        yield


# ---- Segments ----


def find_segment(segment_id: int) -> Segment:
    """The segment, archived or not; else NotFound."""
    segment = db.session.get(Segment, segment_id, options=[joinedload(Segment.owner)])
    if segment is None:
        raise NotFound
    return segment


def segments_with(segment_ids: Sequence[int]) -> Sequence[Segment]:
    """The segments with these ids, as far as they exist."""
    return db.session.scalars(select(Segment).where(Segment.id.in_(segment_ids))).all()


# A condition on segments, anywhere in a rule, that names this one.
_TAKES_IN = '$.** ? (@.field == "segment" && @.value[*] == $id)'


def segments_around(segment_id: int) -> list[int]:
    """The segments in use whose rule takes this one in, directly or through others."""
    found: dict[int, None] = {}
    to_ask = [segment_id]
    while to_ask:
        takes_in = func.jsonb_path_exists(
            Segment.rule, cast(_TAKES_IN, JSONPATH), func.jsonb_build_object("id", to_ask.pop())
        )
        rows = db.session.scalars(
            select(Segment.id).where(Segment.archived_at.is_(None), takes_in).order_by(Segment.id)
        )
        new = [number for number in rows if number not in found and number != segment_id]
        found |= dict.fromkeys(new)
        to_ask += new
    return list(found)


def segment_named(name: str) -> Segment:
    """The segment in use with this name, whatever its case. Raises SegmentMissing."""
    segment = db.session.scalar(
        select(Segment).where(func.lower(Segment.name) == name.strip().lower(), Segment.archived_at.is_(None))
    )
    if segment is None:
        raise SegmentMissing(name)
    return segment


def all_segments() -> Sequence[Segment]:
    """Every segment in use, by name."""
    return db.session.scalars(
        select(Segment).where(Segment.archived_at.is_(None)).order_by(func.lower(Segment.name), Segment.id)
    ).all()


@dataclass(frozen=True, slots=True)
class SegmentPage:
    """One page of segments by name, with the ids to go on from in either direction (None at an end)."""

    segments: Sequence[Segment]
    total: int
    before: int | None
    after: int | None


def segment_page(
    *,
    search: str = "",
    archived: bool = False,
    owner_id: int | None = None,
    before: int | None = None,
    after: int | None = None,
) -> SegmentPage:
    """Segments whose name or description has all words of `search`; 50 a page.

    `before` and `after` are ids of the segment at the page's edge; at most one of them is given.
    """
    wanted: ColumnElement[bool] = Segment.archived_at.is_not(None) if archived else Segment.archived_at.is_(None)
    for word in search.split():
        wanted &= or_(
            Segment.name.icontains(word, autoescape=True), Segment.description.icontains(word, autoescape=True)
        )
    if owner_id is not None:
        wanted &= Segment.owner_id == owner_id
    backwards, edge = before is not None, before if before is not None else after
    key = tuple_(func.lower(Segment.name), Segment.id)
    position: ColumnElement[bool] = true()
    if edge is not None:
        at = select(func.lower(Segment.name), Segment.id).where(Segment.id == edge).scalar_subquery()
        position = key < at if backwards else key > at
    order = [part.desc() if backwards else part for part in (func.lower(Segment.name), Segment.id)]
    query = select(Segment).options(joinedload(Segment.owner)).where(wanted, position).order_by(*order)
    found = db.session.scalars(query.limit(PAGE + 1)).all()
    segments, more = list(found[:PAGE]), len(found) > PAGE
    if backwards:
        segments.reverse()
    earlier, later = (more, True) if backwards else (edge is not None, more)
    return SegmentPage(
        segments=segments,
        total=db.session.scalar(select(func.count(Segment.id)).where(wanted)) or 0,
        before=segments[0].id if segments and earlier else None,
        after=segments[-1].id if segments and later else None,
    )


def segment_owners() -> list[tuple[int, str]]:
    """Id and name of everybody who owns a segment, by name."""
    rows = db.session.execute(
        select(User.id, User.name).where(User.id.in_(select(Segment.owner_id))).order_by(User.name, User.id)
    )
    return [(row.id, row.name) for row in rows]


def understood(segment: Segment, catalogue: Catalogue) -> Rule | None:
    """The segment's rule, or None where a field it asks about is gone."""
    try:
        return parse_rule(segment.rule, catalogue)
    except RuleError:
        return None


# ---- Counts and samples ----


@dataclass(frozen=True, slots=True)
class SampleClient:
    """A client as shown in a sample; the address is masked."""

    number: str
    name: str | None
    email: str | None
    city: str | None
    branch: str
    adviser: str | None
    total_assets: Any


def count_whole_book(rule: Rule, *, time_limit_ms: int | None = None) -> int:
    """How many of all clients match. Raises TooSlow."""
    with time_limit(time_limit_ms):
        return db.session.scalar(count_statement(rule)) or 0


def count_statement(rule: Rule) -> Select[int]:
    """The question how many of all clients match, as SQL."""
    return select(func.count()).select_from(Client).where(condition(rule), visible_clients(None))


@dataclass(frozen=True, slots=True)
class SegmentCounts:
    """Segment id to a number of clients, None where it is not known; `live` is False for remembered numbers."""

    by_segment: dict[int, int | None]
    live: bool


def segment_counts(
    segments: Sequence[Segment], *, user: User | None, time_limit_ms: int | None = None
) -> SegmentCounts:
    """Count several segments among the clients the person may see, in one pass over them.

    Where that takes too long, who sees the whole book gets the numbers of the last count of each, others none.
    """
    catalogue = load_catalogue()
    rules = {segment.id: understood(segment, catalogue) for segment in segments}
    remembered = {segment.id: segment.last_count for segment in segments}
    known = {segment_id: rule for segment_id, rule in rules.items() if rule is not None}
    unknown: dict[int, int | None] = dict.fromkeys(rules)
    if not known:
        return SegmentCounts(unknown, live=True)
    visible = visible_clients(user)
    try:
        with time_limit(time_limit_ms):
            row = db.session.execute(
                select(*(func.count().filter(condition(rule, scope=visible)) for rule in known.values()))
                .select_from(Client)
                .where(visible)
            ).one()
    except TooSlow:
        return SegmentCounts(remembered if sees_whole_book(user) else unknown, live=False)
    return SegmentCounts(unknown | dict(zip(known, row, strict=True)), live=True)


@dataclass(frozen=True, slots=True)
class ClientsPage:
    """One page of a segment's clients by client id, with the ids to go on from (None at an end)."""

    clients: Sequence[SampleClient]
    before: int | None
    after: int | None


def clients_page(
    rule: Rule,
    *,
    user: User | None,
    before: int | None = None,
    after: int | None = None,
    time_limit_ms: int | None = None,
) -> ClientsPage:
    """The clients of a rule that the person may see, 50 a page, oldest record first. Raises TooSlow."""
    visible = visible_clients(user)
    where = condition(rule, scope=visible) & visible
    backwards, edge = before is not None, before if before is not None else after
    if edge is not None:
        where &= Client.id < edge if backwards else Client.id > edge
    with time_limit(time_limit_ms):
        order = Client.id.desc() if backwards else Client.id
        ids = list(db.session.scalars(select(Client.id).where(where).order_by(order).limit(PAGE + 1)))
        shown, more = sorted(ids[:PAGE]), len(ids) > PAGE
        clients = _sample(Client.id.in_(shown), Client.id, PAGE) if shown else []
    earlier, later = (more, True) if backwards else (edge is not None, more)
    return ClientsPage(
        clients=clients,
        before=shown[0] if shown and earlier else None,
        after=shown[-1] if shown and later else None,
    )


def sample_clients(ids: Sequence[int]) -> list[SampleClient]:
    """The clients with these ids, newest record first. Whoever has the ids has asked for visible clients."""
    return _sample(Client.id.in_(ids), Client.id.desc(), len(ids)) if ids else []


def _sample(where: ColumnElement[bool], order: Any, limit: int) -> list[SampleClient]:
    rows = db.session.execute(
        select(
            Client.number,
            Client.name,
            Client.email,
            Client.city,
            Branch.name.label("branch"),
            User.name.label("adviser"),
            Client.total_assets,
        )
        .join(Branch, Branch.id == Client.branch_id)
        .outerjoin(User, User.id == Client.adviser_id)
        .where(where)
        .order_by(order)
        .limit(limit)
    )
    return [SampleClient(**(row._asdict() | {"email": mask_email(row.email)})) for row in rows]


def clients_with(ids: Sequence[int], *, user: User | None) -> list[SampleClient]:
    """These clients, as far as the person may see them, in the order of their ids."""
    return _sample(Client.id.in_(ids) & visible_clients(user), Client.id, len(ids)) if ids else []
