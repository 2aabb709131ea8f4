"""What stands against marketing to clients on each channel, for many clients at once, in one pass over them.

The conditions against contacting a client are the bits of one number. A condition that channels share has one bit:
each is looked at once a client, which is most of the work.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, case, literal
from sqlalchemy.dialects import postgresql

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


def exclusions(sums: Iterable[tuple[int, int]]) -> Exclusions:
    """The same for every channel, without those who can be reached."""
    counted = list(sums)
    return _in_order({channel: first_reasons(counted, channel) for channel in CHANNELS})


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
