"""Keeps the ledger moving: sends batches out again, frees those of dead workers, ends finished runs."""

from collections.abc import Collection
from datetime import timedelta
from functools import partial

import structlog
from sqlalchemy import exists, literal, or_, select, update

from app.campaigns.models import Campaign, State
from app.campaigns.service import complete, reopen
from app.core.clock import now
from app.core.extensions import db
from app.core.queues import send_task
from app.core.unit_of_work import after_commit
from app.delivery.material import queue_of
from app.delivery.models import Batch, Message, MessageState, Run, RunTest, move
from app.delivery.planning import RESEND_AFTER, SEND_BATCH
from app.delivery.rules import may_send
from app.delivery.sending import refresh_tally
from app.users.models import User

log = structlog.get_logger(__name__)
DISPATCH_LIMIT = 2_000
WORKER_STOPPED = "the worker stopped while sending"


def sweep() -> None:
    """One turn of the tick, in its transaction."""
    free_dead_batches()
    close_cancelled_runs()
    dispatch_due_batches()
    finish_runs()


def free_dead_batches() -> int:
    """Batches whose lease ran out: rows that were on their way become unconfirmed, the others go on.

    The one place of the crash rule. Returns the number of batches freed.
    """
    dead = db.session.scalars(
        update(Batch)
        .where(Batch.state == "open", Batch.token.is_not(None), Batch.lease_until < now())
        .values(token=None, lease_until=None, due_at=now())
        .returning(Batch.id)
    ).all()
    for batch_id in dead:
        lost = db.session.execute(
            update(Message)
            .where(Message.batch_id == batch_id, Message.state == MessageState.HANDING)
            .values(
                state=move(MessageState.HANDING, MessageState.UNCONFIRMED), reason=WORKER_STOPPED, unconfirmed_at=now()
            )
            .execution_options(synchronize_session=False)
        ).rowcount  # type: ignore[attr-defined]
        refresh_tally(batch_id)
        log.warning("batch_freed", batch=batch_id, unconfirmed=lost)
    return len(dead)


def close_cancelled_runs() -> None:
    """What workers gave back after their run was cancelled (refused for now, or never reached) stays unsent too."""
    left = db.session.scalars(
        update(Batch)
        .where(
            Batch.state == "open",
            Batch.token.is_(None),
            Batch.run_id.in_(select(Run.id).where(Run.state == "cancelled")),
        )
        .values(state="done")
        .returning(Batch.id)
        .execution_options(synchronize_session=False)
    ).all()
    if left:
        db.session.execute(
            update(Message)
            .where(Message.batch_id.in_(left), Message.state == MessageState.PLANNED)
            .values(state=move(MessageState.PLANNED, MessageState.CANCELLED))
            .execution_options(synchronize_session=False)
        )


def dispatch_due_batches() -> int:
    """Put open, unheld batches that may be sent on the broker where they have waited past their time."""
    due = (
        select(Batch.id)
        .where(Batch.state == "open", Batch.token.is_(None), Batch.due_at <= now(), may_send())
        .order_by(Batch.due_at)
        .limit(DISPATCH_LIMIT)
    )
    batches = db.session.execute(
        update(Batch)
        .where(Batch.id.in_(due))
        .values(due_at=now() + RESEND_AFTER)
        .returning(Batch.id, Batch.channel)
        .execution_options(synchronize_session=False)
    ).all()
    for batch_id, channel in batches:
        after_commit(partial(send_task, SEND_BATCH, queue_of(channel), batch_id))
    return len(batches)


def finish_runs(run_id: int | None = None) -> None:
    """End the runs none of whose batches is open, and their campaigns. Derived from the rows, never counted.

    A run with clients who wait for the end of a test goes on: somebody has to choose what they get.
    """
    rest = RunTest.run_id == Run.id, RunTest.rest > 0, RunTest.planned_at.is_(None)
    open_batch = exists(select(literal(1)).where(Batch.run_id == Run.id, Batch.state == "open"))
    ended = db.session.scalars(
        update(Run)
        .where(
            Run.state == "sending",
            ~open_batch,
            ~exists(select(literal(1)).where(*rest)),
            or_(Run.id == run_id, literal(run_id is None)),
            exists(select(literal(1)).where(Campaign.id == Run.campaign_id, Campaign.state == State.RUNNING)),
        )
        .values(state="complete", finished_at=now())
        .returning(Run.campaign_id)
        .execution_options(synchronize_session=False)
    ).all()
    for campaign_id in ended:
        complete(campaign=db.session.get_one(Campaign, campaign_id))


def reopen_runs(run_ids: Collection[int], *, actor: User | None) -> None:
    """Runs that ended go on, with their campaigns, because rows of theirs are planned again."""
    campaign_ids = db.session.scalars(
        update(Run)
        .where(Run.id.in_(run_ids), Run.state == "complete")
        .values(state="sending", finished_at=None)
        .returning(Run.campaign_id)
        .execution_options(synchronize_session=False)
    ).all()
    for campaign_id in sorted(set(campaign_ids)):
        campaign = db.session.get_one(Campaign, campaign_id, populate_existing=True)
        if campaign.state == State.COMPLETE:
            reopen(campaign=campaign, actor=actor)


def cancel_run(campaign_id: int) -> None:
    """Leave the unsent unsent: planned rows become cancelled; what is on its way is recorded as it ends."""
    run = db.session.scalar(select(Run).where(Run.campaign_id == campaign_id).with_for_update())
    if run is None or run.state in ("complete", "cancelled"):
        return
    run.state = "cancelled"
    run.finished_at = now()
    db.session.flush()
    db.session.execute(
        update(Message)
        .where(Message.run_id == run.id, Message.state == MessageState.PLANNED)
        .values(state=move(MessageState.PLANNED, MessageState.CANCELLED))
        .execution_options(synchronize_session=False)
    )
    db.session.execute(update(Batch).where(Batch.run_id == run.id, Batch.token.is_(None)).values(state="done"))


def resume_run(campaign_id: int) -> None:
    """Send out the open batches of a campaign that runs again, at once."""
    db.session.execute(
        update(Batch)
        .where(
            Batch.run_id.in_(select(Run.id).where(Run.campaign_id == campaign_id)),
            Batch.state == "open",
            Batch.token.is_(None),
            Batch.due_at <= now() + timedelta(seconds=60),
        )
        .values(due_at=now())
        .execution_options(synchronize_session=False)
    )
    dispatch_due_batches()
