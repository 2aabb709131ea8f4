"""Calls and visits as a channel: what a step hands over is not sent but written down as tasks of advisers.

Writing is idempotent by message: a task that is there stays as it is. So a window whose end nobody saw is settled by
looking, see `settle_after_crash`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from flask_babel import lazy_gettext as _l
from pyroaring import BitMap64
from sqlalchemy import ARRAY, BigInteger, ColumnElement, Row, bindparam, select, text

from app.advising.models import AdviserTask
from app.advising.trading_days import after, rules_in_force
from app.campaigns.models import Campaign
from app.campaigns.step_kinds import Worded
from app.channels.base import Channel, Outcome, Result, Vendor
from app.clients.models import Client
from app.config import Config
from app.core.clock import today
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Batch, Message, MessageState, RunSegment
from app.delivery.service import settle_unconfirmed

CALL = "call"
VENDOR = "adviser_task"
SETTLED_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class OutgoingTask:
    """One message of the ledger that becomes a task, and the segment whose script is the client's."""

    message_id: int
    segment_id: int | None


class CallMaterial:
    """What a call step says: its script. Raises LookupError where it has none."""

    contact = CALL
    address: ColumnElement[Any] = Client.mobile.expression

    def __init__(self, words: Worded, campaign: Campaign) -> None:
        if words.call_script_id is None:
            raise LookupError("a launched step has no script")
        self.script_id = words.call_script_id
        self.columns: Sequence[ColumnElement[Any]] = (
            Message.run_id.expression.label("task_run_id"),
            Message.client_id.expression.label("task_client_id"),
        )

    def send(self, channel: Channel, rows: Sequence[Row[Any]]) -> list[Result]:
        tasks = [OutgoingTask(row.id, first_segment(row.task_run_id, row.task_client_id)) for row in rows]
        db.session.rollback()  # what was read is enough
        return channel.send(self.script_id, tasks)


class TaskChannel:
    """Writes a window's tasks in one statement and one transaction."""

    window = 500

    def send(self, batch: int, messages: Sequence[OutgoingTask]) -> list[Result]:
        """`batch` is the id of the script."""
        with unit_of_work():
            write_tasks(batch, messages)
        return [Result(message.message_id, Outcome.SENT, reference="task") for message in messages]


def _build(settings: Mapping[str, Any], secret: str | None, config: Config) -> TaskChannel:
    return TaskChannel()


ADVISERS = Vendor(VENDOR, CALL, _l("Tasks of advisers"), _build)


def first_segment(run_id: int, client_id: int) -> int | None:
    """The first of the run's segments in which the client was frozen."""
    return next((segment_id for segment_id, frozen in _frozen_segments(run_id) if client_id in frozen), None)


@lru_cache(maxsize=4)
def _frozen_segments(run_id: int) -> list[tuple[int, BitMap64]]:
    """Frozen once and for all, so they may be kept."""
    rows = db.session.scalars(select(RunSegment).where(RunSegment.run_id == run_id).order_by(RunSegment.position))
    return [(row.segment_id, row.snapshot.client_ids) for row in rows]


# Who clicked or wrote lately is called before others of the same campaign priority.
_WRITE = text(
    """
    INSERT INTO adviser_task (message_id, client_id, campaign_id, step_id, script_id, segment_id, kind, priority,
                              branch_id, due_on)
    SELECT message.id, survivor.id, message.campaign_id, message.step_id, call_script.id, given.segment_id,
           call_script.kind,
           2 * campaign.priority + CASE WHEN EXISTS (
               SELECT FROM engagement
               WHERE engagement.client_id = survivor.id AND engagement.kind IN ('clicked', 'replied')
                   AND engagement.last_at > now() - interval '30 days') THEN 1 ELSE 0 END,
           survivor.branch_id, :due_on
    FROM unnest(:message_ids, :segment_ids) AS given (message_id, segment_id)
    JOIN message ON message.id = given.message_id
    JOIN campaign ON campaign.id = message.campaign_id
    JOIN client ON client.id = message.client_id
    JOIN client AS survivor ON survivor.id = coalesce(client.merged_into_id, client.id)
    JOIN call_script ON call_script.id = :script_id
    ORDER BY message.id
    ON CONFLICT (message_id) DO NOTHING
    """
).bindparams(
    bindparam("message_ids", type_=ARRAY(BigInteger)),
    bindparam("segment_ids", type_=ARRAY(BigInteger)),
)


def write_tasks(script_id: int, tasks: Sequence[OutgoingTask]) -> None:
    """Write the tasks of these messages, in the caller's transaction; those that are there stay as they are.

    Nobody has them yet: `placing.place_tasks` gives them to advisers and days.
    """
    rules = rules_in_force()
    db.session.execute(
        _WRITE,
        {
            "script_id": script_id,
            "message_ids": [task.message_id for task in tasks],
            "segment_ids": [task.segment_id for task in tasks],
            "due_on": after(today(), rules.grace_days, rules.holidays),
        },
    )


def settle_after_crash() -> int:
    """Messages whose writing nobody saw end: write what is missing, and they are sent. Returns how many."""
    waiting = db.session.execute(
        select(Message.id, Message.run_id, Message.client_id, Batch.content_id.label("script_id"))
        .join(Batch, Batch.id == Message.batch_id)
        .where(Message.channel == CALL, Message.state == MessageState.UNCONFIRMED)
        .order_by(Message.id)
        .limit(SETTLED_AT_ONCE)
    ).all()
    by_script: dict[int, list[OutgoingTask]] = {}
    for row in waiting:
        if row.script_id is not None:
            task = OutgoingTask(row.id, first_segment(row.run_id, row.client_id))
            by_script.setdefault(row.script_id, []).append(task)
    for script_id, tasks in by_script.items():
        write_tasks(script_id, tasks)
    written = select(AdviserTask.message_id).where(AdviserTask.message_id.in_([row.id for row in waiting]))
    return settle_unconfirmed(list(db.session.scalars(written)))
