"""What stands against contacting clients on each channel, for many clients at once, in one pass over them.

A condition that channels share is looked at once a client, which is most of the work. The conditions are the bits of
one number, or each has the set of clients that it holds for.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from flask_babel import lazy_gettext as _l
from pyroaring import BitMap64
from sqlalchemy import ColumnElement, case, literal
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.functions import FunctionElement

from app.clients.contactability import REASON_LABELS as CONTACT_REASONS
from app.clients.contactability import reasons_against

EXCLUDED_SEGMENT = "excluded_segment"
REASON_LABELS: dict[str, object] = {EXCLUDED_SEGMENT: _l("In an excluded segment"), **CONTACT_REASONS}
CHANNELS = ("email", "sms", "call")
Exclusions = dict[str, dict[str, int]]  # channel to reason to clients, in the order of REASON_LABELS
Reasons = Sequence[tuple[ColumnElement[bool], str]]  # conditions over client that exclude, each with its reason


@dataclass(frozen=True, slots=True)
class Obstacles:
    """Conditions over client; for each channel the places of those that count there, with the reason, in the order
    they are told."""

    conditions: list[ColumnElement[bool]]
    channels: dict[str, list[tuple[int, str]]]

    def each(self, measure: FunctionElement[Any]) -> list[ColumnElement[Any]]:
        """An aggregate over the rows of `client` that each condition holds for.

        Unlike groups of reasons, whose number nobody can estimate, PostgreSQL works it out in parallel, as long as no
        condition looks into another table for one client after the other.
        """
        return [measure.filter(condition) for condition in self.conditions]

    def left_out(self, ids: BitMap64, channel: str, against: Sequence[BitMap64]) -> dict[str, BitMap64]:
        """Those of the clients whom the channel must not reach, by the first reason. `against`: the clients of each
        condition."""
        found: dict[str, BitMap64] = {}
        for place, reason in self.channels[channel]:
            if out := ids & against[place]:
                found[reason] = out
                ids = ids - out
        return found


def obstacles_to(channels: Sequence[str], *, purpose: str, before: Reasons = (), after: Reasons = ()) -> Obstacles:
    """The reasons of `clients.contactability` for each channel, and those that count on all of them."""
    conditions: list[ColumnElement[bool]] = []
    places: dict[str, int] = {}
    found = Obstacles(conditions, {channel: [] for channel in channels})

    def add(condition: ColumnElement[bool]) -> int:
        conditions.append(condition)
        return len(conditions) - 1

    first = [(add(condition), reason) for condition, reason in before]
    last = [(add(condition), reason) for condition, reason in after]
    for channel in channels:
        found.channels[channel] += first
        for condition, reason in reasons_against(channel=channel, purpose=purpose, of_many=True):
            sql = str(condition.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))  # type: ignore[no-untyped-call]
            if sql not in places:
                places[sql] = add(condition)
            found.channels[channel].append((places[sql], reason))
        found.channels[channel] += last
    return found


@cache
def to_marketing() -> Obstacles:
    """Those to marketing on any channel."""
    return obstacles_to(CHANNELS, purpose="marketing")


def obstacles() -> ColumnElement[int]:
    """Those to marketing as the bits of a row of `client`, for queries over many of them."""
    bits: ColumnElement[int] = literal(0)
    for place, against in enumerate(to_marketing().conditions):
        bits = bits + case((against, literal(1 << place)), else_=0)
    return bits.label("obstacles")


def first_reasons(sums: Iterable[tuple[int, int]], channel: str) -> Counter[str | None]:
    """Of pairs of bits and a number of clients: the clients by the first reason against the channel, None without."""
    rules = to_marketing().channels[channel]
    found: Counter[str | None] = Counter()
    for bits, clients in sums:
        found[next((reason for place, reason in rules if bits >> place & 1), None)] += clients
    return found


def exclusions(ids: BitMap64, against: Sequence[BitMap64]) -> Exclusions:
    """How many of the clients marketing could not reach on each channel, by the first reason."""
    marketing = to_marketing()
    return {
        channel: in_order({reason: len(out) for reason, out in marketing.left_out(ids, channel, against).items()})
        for channel in CHANNELS
    }


def by_channel(kept: Mapping[str, Any] | None) -> Exclusions | None:
    """The exclusions of a frozen audience, those of the first versions too, in the order that the database forgot."""
    if kept is None:
        return None
    told = kept and all(isinstance(counts, Mapping) for counts in kept.values())
    counts = kept if told else {"email": kept}
    return {channel: in_order(counts[channel]) for channel in CHANNELS if channel in counts}


def in_order(counts: Mapping[Any, int]) -> dict[str, int]:
    """The reasons that occur, in the order they are told."""
    return {reason: counts[reason] for reason in REASON_LABELS if reason in counts}
