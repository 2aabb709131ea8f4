"""What stands against marketing to clients on each channel, for many clients at once, in one pass over them.

A condition against contacting a client that channels share is looked at once a client, which is most of the work. The
conditions are the bits of one number, or each has the set of clients that it holds for.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from pyroaring import BitMap64
from sqlalchemy import ColumnElement, case, literal
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.functions import FunctionElement

from app.clients.contactability import REASON_LABELS, reasons_against

CHANNELS = ("email", "sms", "call")
Exclusions = dict[str, dict[str, int]]  # channel to reason to clients, in the order of REASON_LABELS


def obstacles() -> ColumnElement[int]:
    """The bits of a row of `client`, for queries over many of them."""
    conditions, _channels = _bits()
    bits: ColumnElement[int] = literal(0)
    for number, against in enumerate(conditions):
        bits = bits + case((against, literal(1 << number)), else_=0)
    return bits.label("obstacles")


def first_reasons(sums: Iterable[tuple[int, int]], channel: str) -> Counter[str | None]:
    """Of pairs of bits and a number of clients: the clients by the first reason against the channel, None without."""
    _conditions, channels = _bits()
    found: Counter[str | None] = Counter()
    for bits, clients in sums:
        found[next((reason for bit, reason in channels[channel] if bits & bit), None)] += clients
    return found


def for_each_obstacle(measure: FunctionElement[Any]) -> list[ColumnElement[Any]]:
    """An aggregate over the rows of `client` that each condition holds for, in the order of the bits.

    Unlike groups of bits, whose number nobody can estimate, PostgreSQL works it out in parallel.
    """
    conditions, _channels = _bits()
    return [measure.filter(against) for against in conditions]


def exclusions(ids: BitMap64, against: Sequence[BitMap64]) -> Exclusions:
    """How many of the clients each channel could not reach, by the first reason. `against` are those of an obstacle."""
    _conditions, channels = _bits()
    found: dict[str, Counter[str]] = {channel: Counter() for channel in CHANNELS}
    for channel, rules in channels.items():
        left = ids
        for bit, reason in rules:
            out = left & against[bit.bit_length() - 1]
            found[channel][reason] += len(out)
            left = left - out
    return _in_order({channel: +counts for channel, counts in found.items()})


def by_channel(kept: Mapping[str, Any] | None) -> Exclusions | None:
    """The exclusions of a frozen audience, those of the first versions too, in the order that the database forgot."""
    if kept is None:
        return None
    told = kept and all(isinstance(counts, Mapping) for counts in kept.values())
    return _in_order(kept if told else {"email": kept})


def _in_order(counts: Mapping[str, Mapping[Any, int]]) -> Exclusions:
    return {
        channel: {reason: counts[channel][reason] for reason in REASON_LABELS if reason in counts[channel]}
        for channel in CHANNELS
        if channel in counts
    }


@cache
def _bits() -> tuple[list[ColumnElement[bool]], dict[str, list[tuple[int, str]]]]:
    """The conditions, and per channel bit and reason in the order they are told."""
    numbers: dict[str, int] = {}
    conditions: list[ColumnElement[bool]] = []
    channels: dict[str, list[tuple[int, str]]] = {}
    for channel in CHANNELS:
        channels[channel] = []
        for against, reason in reasons_against(channel=channel, purpose="marketing", of_many=True):
            sql = str(against.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))  # type: ignore[no-untyped-call]
            if sql not in numbers:
                numbers[sql] = len(conditions)
                conditions.append(against)
            channels[channel].append((1 << numbers[sql], reason))
    return conditions, channels
