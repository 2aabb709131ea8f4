"""The ledger's health in figures: what is under way, what waits, what is stuck and what does not add up."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select, text

from app.audiences.snapshots import packed, read_set
from app.channels.models import ChannelAccount
from app.core.clock import now
from app.core.extensions import db
from app.core.jobs import Job
from app.delivery.models import Batch, Message, Run
from app.delivery.rules import marketing_is_stopped, may_send
from app.delivery.stuck import stuck_counts

LATE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Figure:
    """`ill`: it should be 0 and is not."""

    name: str
    value: int
    ill: bool = False


def ledger_figures() -> list[Figure]:
    """Everything at once. Rows are read for runs that go on or ended lately; the sums are those of the batches."""
    troubled = ChannelAccount.state != "active", ChannelAccount.archived_at.is_(None)
    lately = now() - timedelta(days=1)
    failed_jobs = Job.name.startswith("delivery."), Job.state == "failed", Job.finished_at > lately
    open_batch, held = Batch.state == "open", Batch.token.is_not(None)
    sums = db.session.execute(select(*(func.coalesce(func.sum(getattr(Batch, name)), 0) for name in _STATES))).one()
    figures = [Figure(f"messages {name}", int(value)) for name, value in zip(_STATES.values(), sums, strict=True)]
    figures += [
        Figure("runs being planned", _count(Run, Run.state == "planning")),
        Figure("runs being sent", _count(Run, Run.state == "sending")),
        Figure("batches open", _count(Batch, open_batch)),
        Figure("batches with a worker", _count(Batch, open_batch, held)),
        _ill("batches whose worker is gone, not freed", Batch, open_batch, held, Batch.lease_until < now() - LATE),
        _ill(
            "batches that may be sent, are due, and that nobody sends",
            Batch, open_batch, ~held, Batch.due_at < now() - LATE, may_send(),
        ),
        Figure("accounts paused or resting", _count(ChannelAccount, *troubled)),
        Figure("all marketing stopped", int(marketing_is_stopped())),
        _ill("jobs of delivery that failed in the last day", Job, *failed_jobs),
    ]  # fmt: skip
    wrong = db.session.scalar(_WRONG_TALLIES) or 0
    figures.append(Figure("batches whose counts differ from their rows", wrong, ill=wrong > 0))
    spared = messages_to_control_groups()
    figures.append(Figure("messages to somebody of the control group", spared, ill=spared > 0))
    return figures + [Figure(f"stuck: {name}", rows, ill=rows > 0) for name, rows in stuck_counts().items()]


_STATES = {
    "size": "planned", "sent": "sent", "failed": "failed", "skipped": "skipped", "unconfirmed": "awaiting receipt",
}  # fmt: skip
_WRONG_TALLIES = text(
    """
    SELECT count(*) FROM batch JOIN LATERAL (
        SELECT count(*) AS size, count(*) FILTER (WHERE state = 'sent') AS sent,
               count(*) FILTER (WHERE state = 'failed') AS failed,
               count(*) FILTER (WHERE state = 'skipped') AS skipped,
               count(*) FILTER (WHERE state = 'unconfirmed') AS unconfirmed
        FROM message WHERE message.batch_id = batch.id
    ) AS counted ON true
    WHERE batch.token IS NULL
      AND batch.run_id IN (
          SELECT id FROM run WHERE state IN ('planning', 'sending') OR finished_at > now() - interval '1 day')
      AND (batch.size, batch.sent, batch.failed, batch.skipped, batch.unconfirmed)
          IS DISTINCT FROM (counted.size, counted.sent, counted.failed, counted.skipped, counted.unconfirmed)
    """
)


def messages_to_control_groups() -> int:
    """Of runs that go on or ended lately: messages to people who were not to be contacted. There is no way to one."""
    lately = Run.state.in_(("planning", "sending")) | (Run.finished_at > now() - timedelta(days=1))
    found = 0
    for run in db.session.scalars(select(Run).where(Run.control_id.is_not(None), lately)):
        planned = select(packed(Message.client_id.expression)).where(Message.run_id == run.id)
        found += len(read_set(planned) & run.control_ids)
    return found


def _count(table: Any, *conditions: ColumnElement[bool]) -> int:
    return db.session.scalar(select(func.count()).select_from(table).where(*conditions)) or 0


def _ill(name: str, table: Any, *conditions: ColumnElement[bool]) -> Figure:
    value = _count(table, *conditions)
    return Figure(name, value, ill=value > 0)
