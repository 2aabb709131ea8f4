"""Reads of the outcome sets, right to the last message where what is not counted yet is little."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pyroaring import BitMap64
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    bindparam,
    case,
    cast,
    column,
    func,
    literal,
    null,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.audiences.snapshots import packed, unpacked
from app.core.extensions import db
from app.delivery.models import Message, MessageState
from app.delivery.outcomes.queries import reason_group
from app.reports.outcomes.models import Fact, OutcomeSet, UncountedClients

LITTLE = 20_000
"""So many clients are read from their messages for a page, which takes some 50 ms; more wait for the next count."""

STATES: dict[MessageState, Fact] = {
    MessageState.PLANNED: Fact.WAITING,
    MessageState.HANDING: Fact.WAITING,
    MessageState.SENT: Fact.SENT,
    MessageState.SKIPPED: Fact.SKIPPED,
    MessageState.FAILED: Fact.FAILED,
    MessageState.UNCONFIRMED: Fact.UNCONFIRMED,
    MessageState.CANCELLED: Fact.CANCELLED,
}
TIMES: dict[Fact, ColumnElement[Any]] = {
    Fact.RECEIPT: Message.delivered_at.expression,
    Fact.OPENED: Message.opened_at.expression,
    Fact.CLICKED: Message.clicked_at.expression,
    Fact.REPLIED: Message.replied_at.expression,
    Fact.UNSUBSCRIBED: Message.unsubscribed_at.expression,
    Fact.BOUNCED: Message.bounced_at.expression,
    Fact.COMPLAINED: Message.complained_at.expression,
    Fact.MACHINE_OPENED: Message.machine_opened_at.expression,
    Fact.MACHINE_CLICKED: Message.machine_clicked_at.expression,
}
WITH_REASONS = (Fact.SKIPPED, Fact.FAILED)

Sets = dict[tuple[Fact, str], BitMap64]
"""The clients of one run and step by fact and reason."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The sets of some runs by (run, step). `pending` clients changed after `as_of` and stand where they were then;
    where there are none, the sets are those of this moment."""

    sets: dict[tuple[int, int], Sets] = field(default_factory=dict)
    pending: int = 0
    as_of: datetime | None = None


def outcome_sets(run_ids: Collection[int]) -> Counted:
    """The sets of these runs as of now; where more than `LITTLE` is uncounted, as of the last count.

    Reads what is uncounted first, then the sets, then the messages: whatever is counted in between is then only looked
    at twice.
    """
    uncounted: dict[tuple[int, int], BitMap64] = {}
    since: datetime | None = None
    for row in db.session.execute(_UNCOUNTED, {"run_ids": list(run_ids)}):
        key = (row.run_id, row.step_id)
        uncounted[key] = uncounted.get(key, BitMap64()) | BitMap64(row.client_ids)
        since = row.at if since is None else min(since, row.at)
    found: dict[tuple[int, int], Sets] = {}
    for run_id, step_id, fact, reason, bitmap in db.session.execute(_STORED, {"run_ids": list(run_ids)}):
        found.setdefault((run_id, step_id), {})[Fact(fact), reason] = BitMap64.deserialize(bitmap)
    pending = sum(map(len, uncounted.values()))
    if pending > LITTLE:
        return Counted(found, pending, since)
    for (run_id, step_id), ids in uncounted.items():
        replace(found.setdefault((run_id, step_id), {}), ids, sets_of(run_id, step_id, ids))
    return Counted(found)


_UNCOUNTED = select(
    UncountedClients.run_id, UncountedClients.step_id, UncountedClients.client_ids, UncountedClients.at
).where(UncountedClients.run_id == func.any(bindparam("run_ids", type_=ARRAY(BigInteger))))
_STORED = select(OutcomeSet.run_id, OutcomeSet.step_id, OutcomeSet.fact, OutcomeSet.reason, OutcomeSet.bitmap).where(
    OutcomeSet.run_id == func.any(bindparam("run_ids", type_=ARRAY(BigInteger)))
)


def sets_of(run_id: int, step_id: int, ids: BitMap64) -> Sets:
    """The sets of some clients of a run and step, read from their messages as they are now."""
    marks: ColumnElement[int] = literal(0, Integer)
    for position, time in enumerate(TIMES.values()):
        marks = marks + cast(time.is_not(None), Integer) * (1 << position)
    chosen = (
        func.unnest(bindparam("ids", list(ids), type_=ARRAY(BigInteger)))
        .table_valued(column("id", BigInteger))
        .render_derived()
    )
    why = case(
        (Message.state.in_([state for state, fact in STATES.items() if fact in WITH_REASONS]), reason_group()),
        else_=null(),
    )
    groups = db.session.execute(
        select(
            Message.state,
            why.label("why"),
            marks.label("marks"),
            Message.account_id,
            packed(Message.client_id.expression).label("ids"),
        )
        .join(chosen, chosen.c.id == Message.client_id)
        .where(Message.run_id == run_id, Message.step_id == step_id)
        .group_by(Message.state, "why", "marks", Message.account_id)
    )
    found: Sets = {}
    for group in groups:
        for key in keys_of(group.state, group.why, group.marks, group.account_id):
            found[key] = found.get(key, BitMap64()) | unpacked(group.ids)
    return found


def keys_of(
    state: MessageState, reason: str | None, marks: int, account_id: int | None = None
) -> Iterable[tuple[Fact, str]]:
    """The sets that a message belongs to. `marks` has a bit for each of `TIMES` that the row has.

    What came back proves that it left, whatever the state says. What left is told apart by the account it went through.
    """
    fact = Fact.SENT if marks else STATES[state]
    if fact is Fact.SENT:
        yield fact, "" if account_id is None else str(account_id)
    else:
        yield fact, reason or "" if fact in WITH_REASONS else ""
    for position, came in enumerate(TIMES):
        if marks >> position & 1:
            yield came, ""


def replace(sets: Sets, ids: BitMap64, now: Sets) -> set[tuple[Fact, str]]:
    """Put these clients where they are now and nowhere else. Returns the keys of the sets that changed."""
    changed = set()
    for key in sets.keys() | now.keys():
        before = sets.get(key, BitMap64())
        after = (before - ids) | now.get(key, BitMap64())
        if after != before:
            sets[key] = after
            changed.add(key)
    return changed
