"""Audiences as sets of client ids: found by a rule, frozen as Roaring bitmaps, split by why somebody is left out."""

import sys
from array import array as Array
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from pyroaring import BitMap64
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Integer,
    LargeBinary,
    Select,
    any_,
    cast,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.sql.functions import Function

from app.audiences.compiler import condition, tune_statements
from app.audiences.fields import Catalogue, load_catalogue
from app.audiences.models import Segment, Snapshot
from app.audiences.obstacles import (
    EXCLUDED_SEGMENT,
    Exclusions,
    Reasons,
    exclusions,
    in_order,
    obstacles_to,
    to_marketing,
)
from app.audiences.rules import Rule, RuleJson
from app.clients.models import Client
from app.clients.queries import visible_clients
from app.core.extensions import db
from app.core.permissions import Actor


def packed(ids: ColumnElement[int]) -> Function[bytes]:
    """An aggregate: a million ids as one value of 4 MB; an array would be a million numbers, and 40 MB, in Python.

    For ids below two thousand million, as those of clients and openings are; PostgreSQL refuses larger ones.
    """
    return func.string_agg(func.int4send(cast(ids, Integer)), literal(b"", LargeBinary), type_=LargeBinary)


_PIECE = 1 << 17  # bytes of a value that come at once
_PACKED_IDS = packed(Client.id.expression)
_LOOKED_UP = 5_000  # clients at most that are looked up one by one

AnyRule = RuleJson | Rule


@dataclass(frozen=True, slots=True)
class Audience:
    """Who a campaign reaches: matched = eligible + everyone left out, each for the first reason that applies."""

    matched: BitMap64
    eligible: BitMap64
    left_out: dict[str, BitMap64] = field(default_factory=dict)

    @property
    def exclusions(self) -> dict[str, int]:
        """How many are left out by each reason that occurs, in the order checked."""
        return in_order({reason: len(ids) for reason, ids in self.left_out.items()})

    def counts(self) -> "AudienceCounts":
        return AudienceCounts(len(self.matched), len(self.eligible), self.exclusions)


@dataclass(frozen=True, slots=True)
class Reach(Audience):
    """An Audience over several channels: eligible are those whom at least one channel may reach.

    Somebody whom none may reach counts for the reason of the first channel. `channels` has the same for each alone.
    """

    channels: dict[str, Audience] = field(default_factory=dict)

    def counts(self) -> "AudienceCounts":
        alone = {channel: audience.counts() for channel, audience in self.channels.items()}
        return replace(Audience.counts(self), channels=alone)


@dataclass(frozen=True, slots=True)
class AudienceCounts:
    """The numbers of an Audience, with those of each channel where it is a Reach."""

    matched: int
    eligible: int
    exclusions: dict[str, int]
    channels: "dict[str, AudienceCounts]" = field(default_factory=dict)


def client_ids(where: ColumnElement[bool]) -> BitMap64:
    """The ids of the clients for whom `where` is true; one pass, some 0.4 s a million."""
    return read_set(select(_PACKED_IDS).where(where))


def rule_ids(rule: Rule, *, catalogue: Catalogue, today: date, visible: ColumnElement[bool] | None = None) -> BitMap64:
    """The ids of the clients of a rule among those for whom `visible` holds (None: who are in the book), with relative
    dates as of a day."""
    visible = visible_clients(None) if visible is None else visible
    return client_ids(condition(rule, catalogue=catalogue, today=today, scope=visible) & visible)


def found_with_exclusions(rule: Rule, *, visible: ColumnElement[bool]) -> tuple[BitMap64, Exclusions]:
    """The clients of a rule for whom `visible` holds, and how many of them marketing could not reach by channel."""
    where = condition(rule, scope=visible) & visible
    ids, *against = _sets([_PACKED_IDS, *to_marketing().each(_PACKED_IDS)], where)
    return ids, exclusions(ids, against)


def exclusions_of(ids: BitMap64) -> Exclusions:
    """How many of these clients marketing could not reach by channel."""
    if len(ids) > _LOOKED_UP:  # reading all the rows between is faster than looking up so many
        where: ColumnElement[bool] = Client.id.between(ids.min(), ids.max())
    else:
        where = Client.id == any_(literal(list(ids), ARRAY(BigInteger)))
    return exclusions(ids, _sets(to_marketing().each(_PACKED_IDS), where))


def _sets(columns: Sequence[ColumnElement[bytes]], where: ColumnElement[bool]) -> list[BitMap64]:
    tune_statements()
    return read_sets(select(*columns).where(where))[()]


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

    To find the clients of several segments pass their rules to `reach`: joined they may nest deeper
    than one rule is allowed to. No segment is nobody, whereas an empty group would be everyone.
    """
    if not segments:
        return {"not": {"all": []}}
    return {"any": [segment.rule for segment in segments]} if len(segments) > 1 else dict(segments[0].rule)


def reach(
    *,
    included: Sequence[AnyRule],
    excluded: Sequence[AnyRule],
    channels: Sequence[str],
    purpose: str,
    visible: ColumnElement[bool] | None = None,
    gates: Reasons = (),
) -> Reach:
    """Who is in at least one of `included`, and why some of them are left out; one pass over clients.

    Being in one of `excluded` is checked first, then the reasons of `clients.contactability`, then `gates`. Only
    clients for whom `visible` holds (None: who are in the book) count at all. No included rule is nobody. Raises
    RuleError for a rule that is not one.
    """
    visible = visible_clients(None) if visible is None else visible
    in_excluded = [(in_any(excluded, scope=visible), EXCLUDED_SEGMENT)] if excluded else []
    against = obstacles_to(channels, purpose=purpose, before=in_excluded, after=gates)
    matched, *sets = _sets([_PACKED_IDS, *against.each(_PACKED_IDS)], in_any(included, scope=visible) & visible)
    alone = {channel: _audience(matched, against.left_out(matched, channel, sets)) for channel in channels}
    eligible = BitMap64().union(*(one.eligible for one in alone.values()))
    nowhere = {reason: ids - eligible for reason, ids in alone[channels[0]].left_out.items()}
    return Reach(matched, eligible, {reason: ids for reason, ids in nowhere.items() if ids}, alone)


def _audience(matched: BitMap64, left_out: dict[str, BitMap64]) -> Audience:
    return Audience(matched, matched - BitMap64().union(*left_out.values()), left_out)


def in_any(rules: Sequence[AnyRule], *, scope: ColumnElement[bool] | None = None) -> ColumnElement[bool]:
    """True for clients of at least one of the rules, and for none where there is no rule; see `condition`."""
    catalogue = load_catalogue()
    return or_(literal(False), *(condition(rule, catalogue=catalogue, scope=scope) for rule in rules))


def read_sets(query: Select[*tuple[Any, ...]], *, keys: int = 0) -> dict[tuple[Any, ...], list[BitMap64]]:
    """The sets that a query finds: its first columns are the keys of a row, the others values of `packed`.

    The values come in pieces: the driver keeps the room of the largest row it was ever sent, which would be 16 MB for
    the whole book, for as long as its connection lives.
    """
    packed_sets = query.subquery()
    key, columns = list(packed_sets.c)[:keys], list(packed_sets.c)[keys:]
    value = func.unnest(array(columns)).table_valued("ids", with_ordinality="place").render_derived()
    start = func.generate_series(1, func.length(value.c.ids), _PIECE).table_valued("start").render_derived()
    piece = func.substr(value.c.ids, start.c.start, _PIECE, type_=LargeBinary)
    pieces = select(*key, value.c.place, piece).select_from(packed_sets.join(value, true()).join(start, true()))
    found: dict[tuple[Any, ...], list[BitMap64]] = {} if keys else {(): [BitMap64() for _column in columns]}
    for *of, place, some in db.session.execute(pieces):
        found.setdefault(tuple(of), [BitMap64() for _column in columns])[place - 1].update(_ids(some))
    return found


def read_set(query: Select[bytes]) -> BitMap64:
    """The set that a query of one value of `packed` finds."""
    return read_sets(query)[()][0]


def unpacked(value: bytes | None) -> BitMap64:
    """The set of ids in a value of `packed` that is a small part of the book, as an adviser's clients are."""
    return BitMap64(_ids(value or b""))


def _ids(value: bytes) -> "Array[int]":
    ids = Array("I", value)
    if sys.byteorder == "little":
        ids.byteswap()
    return Array("Q", ids)


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
