"""Counts arrivals from message rows: a run at a time, as a whole, so that counting again is always right."""

from collections.abc import Collection, Sequence
from datetime import timedelta

from sqlalchemy import ARRAY, BigInteger, bindparam, or_, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from app.core.clock import now
from app.core.extensions import db, settings
from app.delivery.deliverability.models import ArrivalCount
from app.delivery.models import Run

RUNS_AT_ONCE = 20
SETTLING = timedelta(minutes=5)  # a result may still be recorded so long after a run ended

_FORGET = text("DELETE FROM arrival WHERE run_id = :run_id")
# Delivered: a vendor said so, or the relay accepted it and it did not come back. A message has an account from its
# handing over on; one that was refused at once has no time of sending, and counts on the day its run was planned.
_COUNT = text(
    """
    INSERT INTO arrival (run_id, day, account_id, domain, sent, delivered, deferred, refused, bounced, complained)
    SELECT message.run_id,
           CAST(coalesce(message.sent_at, run.planned_at, run.created_at) AT TIME ZONE :zone AS date) AS day,
           message.account_id,
           coalesce(message.domain, ''),
           count(*) FILTER (WHERE message.state = 'sent'),
           count(*) FILTER (WHERE message.state = 'sent' AND message.bounced_at IS NULL),
           count(*) FILTER (WHERE message.deferred_at IS NOT NULL),
           count(*) FILTER (WHERE message.state = 'failed' AND message.settled_by_id IS NULL),
           count(*) FILTER (WHERE message.state = 'sent' AND message.bounced_at IS NOT NULL),
           count(*) FILTER (WHERE message.complained_at IS NOT NULL)
    FROM message JOIN run ON run.id = message.run_id
    WHERE message.run_id = :run_id AND message.account_id IS NOT NULL
      AND (message.state = 'sent' OR message.deferred_at IS NOT NULL
           OR message.state = 'failed' AND message.settled_by_id IS NULL)
    GROUP BY 1, 2, 3, 4
    """
)
_MARK = text(
    """
    INSERT INTO arrival_count (run_id, due) SELECT run_id, true FROM unnest(:run_ids) AS changed (run_id)
    ORDER BY run_id
    ON CONFLICT (run_id) DO UPDATE SET due = true
    """
).bindparams(bindparam("run_ids", type_=ARRAY(BigInteger)))
_MARK_MESSAGES = text(
    """
    INSERT INTO arrival_count (run_id, due)
    SELECT DISTINCT run_id, true FROM message WHERE id = ANY(:ids) ORDER BY run_id
    ON CONFLICT (run_id) DO UPDATE SET due = true
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))


def mark_due(run_ids: Collection[int]) -> None:
    """Something changed in these runs after they ended: they are counted again. In the caller's transaction.

    The row stays locked until the caller commits, so that a count that is under way is followed by another one.
    """
    if run_ids:
        db.session.execute(_MARK, {"run_ids": sorted(run_ids)})


def mark_due_by_message(message_ids: Collection[int]) -> None:
    """The same for the runs of these messages, of which something came back."""
    if message_ids:
        db.session.execute(_MARK_MESSAGES, {"ids": list(message_ids)})


def runs_to_count() -> Sequence[int]:
    """Runs under way, those that ended since they were counted, and those of which something came back."""
    counted = ArrivalCount.counted_at
    going_on = Run.state == "sending"
    just_ended = Run.finished_at.is_not(None) & or_(counted.is_(None), counted < Run.finished_at + SETTLING)
    return db.session.scalars(
        select(Run.id)
        .outerjoin(ArrivalCount, ArrivalCount.run_id == Run.id)
        .where(or_(going_on, just_ended, ArrivalCount.due))
        .order_by(counted.asc().nulls_first(), Run.id)
        .limit(RUNS_AT_ONCE)
    ).all()


def count_run(run_id: int) -> None:
    """Replace the run's arrivals, in the caller's transaction."""
    db.session.execute(
        upsert(ArrivalCount)
        .values(run_id=run_id, counted_at=now(), due=False)
        .on_conflict_do_update(index_elements=["run_id"], set_={"counted_at": now(), "due": False})
    )
    db.session.execute(_FORGET, {"run_id": run_id})
    db.session.execute(_COUNT, {"run_id": run_id, "zone": settings().time_zone})
