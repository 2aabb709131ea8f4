"""Audiences as sets of client ids: found by a rule, frozen as Roaring bitmaps, split by why somebody is left out."""

import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from flask_babel import lazy_gettext as _l
from pyroaring import BitMap64
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Integer,
    LargeBinary,
    Text,
    any_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.sql.functions import Function

from app.audiences.compiler import condition, tune_statements
from app.audiences.fields import Catalogue, load_catalogue
from app.audiences.models import Segment, Snapshot
from app.audiences.obstacles import Exclusions, exclusions, for_each_obstacle
from app.audiences.rules import Rule, RuleJson
from app.clients.contactability import REASON_LABELS as CONTACT_REASONS
from app.clients.contactability import exclusion_reason
from app.clients.models import Client
from app.clients.queries import visible_clients
from app.core.extensions import db
from app.core.permissions import Actor

EXCLUDED_SEGMENT = "excluded_segment"
REASON_LABELS: dict[str, object] = {EXCLUDED_SEGMENT: _l("In an excluded segment"), **CONTACT_REASONS}


def packed(ids: ColumnElement[int]) -> Function[bytes]:
    """An aggregate: a million ids as one value of 4 MB; an array would be a million numbers, and 40 MB, in Python.

    For ids below two thousand million, as those of clients and openings are; PostgreSQL refuses larger ones.
    """
    return func.string_agg(func.int4send(cast(ids, Integer)), literal(b"", LargeBinary), type_=LargeBinary)


_AT_ONCE = 1 << 18  # bytes that are unpacked together
_PACKED_IDS = packed(Client.id.expression)
_LOOKED_UP = 5_000  # clients at most that are looked up one by one

AnyRule = RuleJson | Rule
Gates = Sequence[tuple[ColumnElement[bool], str]]  # further conditions over client that exclude, each with its reason


@dataclass(frozen=True, slots=True)
class Audience:
    """Who a campaign reaches: matched = eligible + everyone excluded, each for the first reason that applies.

    `exclusions` has their number by reason, `left_out` who they are.
    """

    matched: BitMap64
    eligible: BitMap64
    exclusions: dict[str, int]
    left_out: dict[str, BitMap64] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AudienceCounts:
    """The numbers of an Audience, without the ids. `exclusions` has the reasons that occur, in the order checked."""

    matched: int
    eligible: int
    exclusions: dict[str, int]


@dataclass(frozen=True, slots=True)
class Reach(Audience):
    """An Audience over several channels: eligible are those whom at least one channel may reach.

    Somebody whom none may reach counts for the reason of the first channel. `channels` has the same for each alone.
    """

    channels: dict[str, Audience] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReachCounts(AudienceCounts):
    """The numbers of a Reach."""

    channels: dict[str, AudienceCounts] = field(default_factory=dict)


def client_ids(where: ColumnElement[bool]) -> BitMap64:
    """The ids of the clients for whom `where` is true; one pass, some 0.4 s a million."""
    return unpacked(db.session.scalar(select(_PACKED_IDS).where(where)))


def rule_ids(rule: Rule, *, catalogue: Catalogue, today: date, visible: ColumnElement[bool] | None = None) -> BitMap64:
    """The ids of the clients of a rule among those for whom `visible` holds (None: who are in the book), with relative
    dates as of a day."""
    visible = visible_clients(None) if visible is None else visible
    return client_ids(condition(rule, catalogue=catalogue, today=today, scope=visible) & visible)


def found_with_exclusions(rule: Rule, *, visible: ColumnElement[bool]) -> tuple[BitMap64, Exclusions]:
    """The clients of a rule for whom `visible` holds, and how many of them marketing could not reach by channel."""
    where = condition(rule, scope=visible) & visible
    ids, *against = _sets([_PACKED_IDS, *for_each_obstacle(_PACKED_IDS)], where)
    return ids, exclusions(ids, against)


def exclusions_of(ids: BitMap64) -> Exclusions:
    """How many of these clients marketing could not reach by channel."""
    if len(ids) > _LOOKED_UP:  # reading all the rows between is faster than looking up so many
        where: ColumnElement[bool] = Client.id.between(ids.min(), ids.max())
    else:
        where = Client.id == any_(literal(list(ids), ARRAY(BigInteger)))
    return exclusions(ids, _sets(for_each_obstacle(_PACKED_IDS), where))


def _sets(columns: Sequence[ColumnElement[bytes]], where: ColumnElement[bool]) -> list[BitMap64]:
    tune_statements()
    return [unpacked(value) for value in db.session.execute(select(*columns).where(where)).one()]


def freeze(
    *,
    name: str,
    ids: BitMap64,
    segment: Segment | None = None,
    rule: RuleJson | None = None,
    sentence: str | None = None,
    exclusions: Exclusions | None = None,
    actor: Actor | None = None,
) -> Snapshot:
    """Keep a set of client ids for good, in the current transaction, with the rule it came from as evidence."""
    snapshot = Snapshot(
        name=name,
        segment_id=segment.id if segment else None,
        rule=dict(rule) if rule is not None else None,
        sentence=sentence,
        bitmap=ids.serialize(),
        size=len(ids),
        exclusions=exclusions,
        created_by_id=actor.id if actor else None,
    )
    db.session.add(snapshot)
    db.session.flush()
    return snapshot


def union_rule(segments: Sequence[Segment]) -> dict[str, Any]:
    """The rule of everyone in at least one of the segments, as evidence for a snapshot.

    To find the clients of several segments pass their rules to `exclusion_counts`: joined they may nest deeper
    than one rule is allowed to. No segment is nobody, whereas an empty group would be everyone.
    """
    if not segments:
        return {"not": {"all": []}}
    return {"any": [segment.rule for segment in segments]} if len(segments) > 1 else dict(segments[0].rule)


def exclusion_counts(
    *,
    included: Sequence[AnyRule],
    excluded: Sequence[AnyRule],
    channel: str,
    purpose: str,
    visible: ColumnElement[bool] | None = None,
    today: date | None = None,
    gates: Gates = (),
) -> Audience:
    """Who is in at least one of `included`, and why some of them are left out; one pass over clients.

    Being in one of `excluded` is checked first, then the reasons of `clients.contactability`, then `gates`. Only
    clients for whom `visible` holds (None: who are in the book) count at all. No included rule is nobody. Raises
    RuleError for a rule that is not one.
    """
    reason, where = _reason_and_scope(included, excluded, channel, purpose, visible, today, gates)
    tune_statements()
    rows = db.session.execute(select(reason, _PACKED_IDS).where(where).group_by(reason))
    return _audience({row[0]: unpacked(row[1]) for row in rows})


def _audience(by_reason: dict[str | None, BitMap64]) -> Audience:
    """The eligible are those without a reason."""
    left_out = {reason: ids for reason, ids in by_reason.items() if reason is not None}
    return Audience(
        matched=BitMap64().union(*by_reason.values()),
        eligible=by_reason.get(None, BitMap64()),
        exclusions=_in_order({reason: len(ids) for reason, ids in left_out.items()}),
        left_out=left_out,
    )


def audience_counts(
    *,
    included: Sequence[AnyRule],
    excluded: Sequence[AnyRule],
    channel: str,
    purpose: str,
    visible: ColumnElement[bool] | None = None,
    today: date | None = None,
    gates: Gates = (),
) -> AudienceCounts:
    """Only the numbers of `exclusion_counts`, for previews."""
    reason, where = _reason_and_scope(included, excluded, channel, purpose, visible, today, gates)
    tune_statements()
    rows = db.session.execute(select(reason, func.count()).select_from(Client).where(where).group_by(reason))
    counts: dict[str | None, int] = {row[0]: row[1] for row in rows}
    return AudienceCounts(matched=sum(counts.values()), eligible=counts.get(None, 0), exclusions=_in_order(counts))


def reach(
    *,
    included: Sequence[AnyRule],
    excluded: Sequence[AnyRule],
    channels: Sequence[str],
    purpose: str,
    visible: ColumnElement[bool] | None = None,
    gates: Gates = (),
) -> Reach:
    """`exclusion_counts` over several channels, still in one pass over clients."""
    if len(channels) == 1:
        (channel,) = channels
        audience = exclusion_counts(
            included=included, excluded=excluded, channel=channel, purpose=purpose, visible=visible, gates=gates
        )
        return _reach(audience, {channel: audience})
    ids_of = _PACKED_IDS
    groups = [
        (reasons, unpacked(ids))
        for reasons, ids in _by_reasons(included, excluded, channels, purpose, visible, ids_of, gates)
    ]

    def audience_of(pick: list[tuple[str | None, BitMap64]]) -> Audience:
        by_reason: dict[str | None, BitMap64] = {}
        for reason, ids in pick:
            by_reason[reason] = by_reason.get(reason, BitMap64()) | ids
        return _audience(by_reason)

    return _reach(
        audience_of([(_first_reason(reasons), ids) for reasons, ids in groups]),
        {
            channel: audience_of([(reasons[place], ids) for reasons, ids in groups])
            for place, channel in enumerate(channels)
        },
    )


def _reach(audience: Audience, channels: dict[str, Audience]) -> Reach:
    return Reach(audience.matched, audience.eligible, audience.exclusions, audience.left_out, channels)


def reach_counts(
    *,
    included: Sequence[AnyRule],
    excluded: Sequence[AnyRule],
    channels: Sequence[str],
    purpose: str,
    visible: ColumnElement[bool] | None = None,
    gates: Gates = (),
) -> ReachCounts:
    """Only the numbers of `reach`."""
    groups = [
        (reasons, int(count))
        for reasons, count in _by_reasons(included, excluded, channels, purpose, visible, func.count(), gates)
    ]

    def counts_of(pick: list[tuple[str | None, int]]) -> tuple[int, int, dict[str, int]]:
        counts: dict[str | None, int] = {}
        for reason, count in pick:
            counts[reason] = counts.get(reason, 0) + count
        return sum(counts.values()), counts.get(None, 0), _in_order(counts)

    return ReachCounts(
        *counts_of([(_first_reason(reasons), count) for reasons, count in groups]),
        {
            channel: AudienceCounts(*counts_of([(reasons[place], count) for reasons, count in groups]))
            for place, channel in enumerate(channels)
        },
    )


def _by_reasons(
    included: Sequence[AnyRule],
    excluded: Sequence[AnyRule],
    channels: Sequence[str],
    purpose: str,
    visible: ColumnElement[bool] | None,
    measure: ColumnElement[Any],
    gates: Gates,
) -> list[tuple[list[str | None], Any]]:
    """The reasons against each channel, and the measure, for every combination of them that occurs."""
    found = [_reason_and_scope(included, excluded, channel, purpose, visible, None, gates) for channel in channels]
    reasons = [reason.label(f"reason_{place}") for place, (reason, _where) in enumerate(found)]
    tune_statements()
    query = select(*reasons, measure).select_from(Client).where(found[0][1]).group_by(*reasons)
    return [(list(row[:-1]), row[-1]) for row in db.session.execute(query)]


def _first_reason(reasons: Sequence[str | None]) -> str | None:
    """Why nobody may be reached on any channel, as the first tells it; None where one may."""
    return None if None in reasons else reasons[0]


def in_any(
    rules: Sequence[AnyRule], *, today: date | None = None, scope: ColumnElement[bool] | None = None
) -> ColumnElement[bool]:
    """True for clients of at least one of the rules, and for none where there is no rule; see `condition`."""
    catalogue = load_catalogue()
    return or_(literal(False), *(condition(rule, today=today, catalogue=catalogue, scope=scope) for rule in rules))


def _reason_and_scope(
    included: Sequence[AnyRule],
    excluded: Sequence[AnyRule],
    channel: str,
    purpose: str,
    visible: ColumnElement[bool] | None,
    today: date | None,
    gates: Gates,
) -> tuple[ColumnElement[str | None], ColumnElement[bool]]:
    contact = exclusion_reason(channel=channel, purpose=purpose)
    if gates:
        contact = func.coalesce(contact, case(*((condition, literal(reason, Text)) for condition, reason in gates)))
    visible = visible_clients(None) if visible is None else visible
    in_excluded = in_any(excluded, today=today, scope=visible)
    reason = case((in_excluded, literal(EXCLUDED_SEGMENT, Text)), else_=contact).label("reason")
    return reason, in_any(included, today=today, scope=visible) & visible


def unpacked(value: bytes | None) -> BitMap64:
    """The set of ids in a value of `packed`."""
    found = BitMap64()
    packed_ids = memoryview(value or b"")
    for start in range(0, len(packed_ids), _AT_ONCE):
        ids = array("I", bytes(packed_ids[start : start + _AT_ONCE]))
        if sys.byteorder == "little":
            ids.byteswap()
        found.update(array("Q", ids))
    return found


def _in_order(counts: dict[Any, int]) -> dict[str, int]:
    return {reason: counts[reason] for reason in REASON_LABELS if reason in counts}


# ---- Set algebra ----------------------------------------------------------------------------------------------------


def overlap_matrix(sets: Sequence[BitMap64]) -> list[list[int]]:
    """How many clients each pair of sets shares; the diagonal is the size of each."""
    matrix = [[0] * len(sets) for _row in sets]
    for row, one in enumerate(sets):
        matrix[row][row] = len(one)
        for column in range(row):
            matrix[row][column] = matrix[column][row] = one.intersection_cardinality(sets[column])
    return matrix


def regions(sets: Sequence[BitMap64]) -> dict[tuple[int, ...], int]:
    """How many clients are in exactly these sets (by position) and in no other: the fields of a Venn diagram.

    Regions without clients are left out. For some few sets: there are 2**n - 1 of them.
    """
    found: dict[tuple[int, ...], int] = {}
    for pattern in range(1, 1 << len(sets)):
        inside = tuple(place for place in range(len(sets)) if pattern >> place & 1)
        shared = BitMap64.intersection(*(sets[place] for place in inside))
        for place, other in enumerate(sets):
            if place not in inside:
                shared -= other
        if shared:
            found[inside] = len(shared)
    return found
