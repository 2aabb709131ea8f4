"""Messages that have to wait move to a batch that is due later; their own batch goes on without them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import ceil

from sqlalchemy import func, insert, select, update

from app.core.clock import now
from app.core.extensions import db
from app.delivery.models import Batch, Message, MessageState

BATCH_SIZE = 500


def put_off(message_ids: Sequence[int], *, until: datetime, batch_id: int, attempts: int = 0) -> None:
    """Move messages that are planned or being handed over in this transaction to a batch due at `until`, planned.

    In the caller's transaction, which hands nothing over of them. Those that become due together share batches of up to
    500, so that waiting does not leave the ledger in crumbs. The tally of the batch they leave is the caller's.
    """
    due_at = _rounded_up(until)
    remaining = list(message_ids)
    origin = db.session.execute(select(Batch.run_id, Batch.step_id, Batch.channel).where(Batch.id == batch_id)).one()
    room = db.session.execute(
        select(Batch.id, Batch.size)
        .where(
            Batch.run_id == origin.run_id,
            Batch.step_id == origin.step_id,
            Batch.state == "open",
            Batch.token.is_(None),
            Batch.due_at == due_at,
            Batch.attempts == attempts,
            Batch.size < BATCH_SIZE,
            Batch.id != batch_id,
        )
        .order_by(Batch.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()
    if room is not None:
        _move(remaining[: BATCH_SIZE - room.size], room.id)
        remaining = remaining[BATCH_SIZE - room.size :]
    for start in range(0, len(remaining), BATCH_SIZE):
        some = remaining[start : start + BATCH_SIZE]
        new_id = db.session.scalars(
            insert(Batch)
            .values(
                run_id=origin.run_id,
                step_id=origin.step_id,
                channel=origin.channel,
                size=0,
                due_at=due_at,
                attempts=attempts,
            )
            .returning(Batch.id)
        ).one()
        _move(some, new_id)


def _rounded_up(until: datetime) -> datetime:
    """To the next second, or minute where the wait is long."""
    step = 60 if until - now() > timedelta(minutes=10) else 1
    return datetime.fromtimestamp(ceil(until.timestamp() / step) * step, UTC)


def _move(message_ids: Sequence[int], batch_id: int) -> None:
    moved = db.session.execute(
        update(Message)
        .where(Message.id.in_(message_ids), Message.state.in_((MessageState.PLANNED, MessageState.HANDING)))
        .values(batch_id=batch_id, state=MessageState.PLANNED)
        .execution_options(synchronize_session=False)
    ).rowcount  # type: ignore[attr-defined]
    db.session.execute(
        update(Batch)
        .where(Batch.id == batch_id)
        .values(size=Batch.size + func.coalesce(moved, 0))
        .execution_options(synchronize_session=False)
    )
