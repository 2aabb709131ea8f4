"""Rows that nothing would move any more, whatever state they are in, and what is done about each kind.

None of these should ever be found: every verb leaves the ledger whole. They are looked for all the same, because a
message that is lost in silence is the worst thing that can happen here. Looked for are runs that go on, and those that
ended lately, from the message rows themselves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Select, and_, cast, exists, func, literal, or_, select, update
from sqlalchemy.types import Text

from app.campaigns.models import Campaign, State
from app.core.clock import now
from app.core.extensions import db
from app.core.jobs import Job, enqueue
from app.delivery.models import Batch, Message, MessageState, Run, move
from app.delivery.sweeping import cancel_run, reopen_runs
from app.delivery.tallying import refresh_tallies

log = structlog.get_logger(__name__)
LOOK_BACK = timedelta(days=1)
PLAN_AGAIN_AFTER = timedelta(minutes=5)
PLAN_JOB = "delivery.plan_run"
LOST = "found on its way without a worker"


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to be stuck: which ids are, and what mends them. `mend(ids)` works in the caller's transaction."""

    name: str
    find: Callable[[], Select[Any]]
    mend: Callable[[list[int]], None]


def mend_stuck() -> dict[str, int]:
    """Find and mend every kind, in the caller's transaction; {name: rows} of the kinds that were found."""
    found: dict[str, int] = {}
    for kind in KINDS:
        ids = list(db.session.scalars(kind.find()))
        if ids:
            kind.mend(ids)
            found[kind.name] = len(ids)
            log.warning("stuck_rows_mended", kind=kind.name, rows=len(ids))
    return found


def stuck_counts() -> dict[str, int]:
    """How many rows are stuck in each way, nothing mended."""
    return {
        kind.name: db.session.scalar(select(func.count()).select_from(kind.find().subquery())) or 0 for kind in KINDS
    }


def _alive() -> ColumnElement[bool]:
    return or_(Run.state.in_(("planning", "sending")), Run.finished_at > now() - LOOK_BACK)


def _messages(state: MessageState, *conditions: ColumnElement[bool]) -> Select[Any]:
    return (
        select(Message.id)
        .join(Batch, Batch.id == Message.batch_id)
        .join(Run, Run.id == Message.run_id)
        .where(_alive(), Message.state == state, *conditions)
        .order_by(Message.id)
    )


def planned_in_done_batches() -> Select[Any]:
    return _messages(
        MessageState.PLANNED, or_(Batch.state == "done", Run.state == "complete"), Run.state != "cancelled"
    )


def planned_in_cancelled_runs() -> Select[Any]:
    """A row whose channel took nothing while its run was cancelled came back to planned too late to be cancelled."""
    return _messages(MessageState.PLANNED, Run.state == "cancelled", Batch.token.is_(None))


def handing_without_worker() -> Select[Any]:
    """The batch is claimed before and freed after its rows are on their way, so nobody has these."""
    return _messages(MessageState.HANDING, Batch.token.is_(None))


def open_batches_of_ended_runs() -> Select[Any]:
    return (
        select(Batch.id)
        .join(Run, Run.id == Batch.run_id)
        .where(Batch.state == "open", Batch.token.is_(None), Run.state.in_(("complete", "cancelled")), ~_has_unsent())
        .order_by(Batch.id)
    )


def claims_without_end() -> Select[Any]:
    """A claim that has no time at which it runs out would never be freed."""
    return select(Batch.id).where(Batch.state == "open", Batch.token.is_not(None), Batch.lease_until.is_(None))


def campaigns_not_planned() -> Select[Any]:
    """Launched campaigns that are not planned to the end, and for which no job is under way or newly failed."""
    planning = (
        select(literal(1))
        .where(
            Job.name == PLAN_JOB,
            Job.args["campaign_id"].astext == cast(Campaign.id, Text),
            or_(Job.state.in_(("due", "running")), Job.finished_at > now() - PLAN_AGAIN_AFTER),
        )
        .correlate(Campaign)
    )
    unplanned = or_(
        exists(select(literal(1)).where(Run.campaign_id == Campaign.id, Run.state == "planning")),
        ~exists(select(literal(1)).where(Run.campaign_id == Campaign.id)),
    )
    return select(Campaign.id).where(
        Campaign.state == State.RUNNING, Campaign.launched_at < now() - PLAN_AGAIN_AFTER, unplanned, ~exists(planning)
    )


def runs_of_cancelled_campaigns() -> Select[Any]:
    return (
        select(Campaign.id)
        .join(Run, Run.campaign_id == Campaign.id)
        .where(Campaign.state == State.CANCELLED, Run.state.in_(("planning", "sending")))
    )


def _has_unsent() -> ColumnElement[bool]:
    return exists(
        select(literal(1)).where(
            Message.batch_id == Batch.id, Message.state.in_((MessageState.PLANNED, MessageState.HANDING))
        )
    )


def _batches_of(message_ids: list[int]) -> list[int]:
    query = select(Message.batch_id).where(Message.id.in_(message_ids)).distinct().order_by(Message.batch_id)
    return list(db.session.scalars(query))


def _reopen_batches(message_ids: list[int]) -> None:
    """Their batches are sent out again, and so their runs and campaigns go on."""
    run_ids = db.session.scalars(
        update(Batch)
        .where(Batch.id.in_(_batches_of(message_ids)))
        .values(state="open", token=None, lease_until=None, due_at=now())
        .returning(Batch.run_id)
        .execution_options(synchronize_session=False)
    ).all()
    reopen_runs(set(run_ids), actor=None)


def _cancel(message_ids: list[int]) -> None:
    _set_state(message_ids, since=MessageState.PLANNED, state=MessageState.CANCELLED, reason=None)


def _make_unconfirmed(message_ids: list[int]) -> None:
    _set_state(message_ids, since=MessageState.HANDING, state=MessageState.UNCONFIRMED, reason=LOST)


def _set_state(message_ids: list[int], *, since: MessageState, state: MessageState, reason: str | None) -> None:
    batch_ids = _batches_of(message_ids)
    db.session.execute(
        update(Message)
        .where(Message.id.in_(message_ids), Message.state == since)
        .values(
            state=move(since, state), reason=reason, unconfirmed_at=now() if state == MessageState.UNCONFIRMED else None
        )
        .execution_options(synchronize_session=False)
    )
    refresh_tallies(batch_ids)


def _close(batch_ids: list[int]) -> None:
    db.session.execute(
        update(Batch)
        .where(Batch.id.in_(batch_ids), Batch.token.is_(None))
        .values(state="done")
        .execution_options(synchronize_session=False)
    )


def _end_claims(batch_ids: list[int]) -> None:
    db.session.execute(
        update(Batch)
        .where(and_(Batch.id.in_(batch_ids), Batch.lease_until.is_(None)))
        .values(lease_until=now())
        .execution_options(synchronize_session=False)
    )


def _cancel_runs(campaign_ids: list[int]) -> None:
    for campaign_id in campaign_ids:
        cancel_run(campaign_id)


def _plan_again(campaign_ids: list[int]) -> None:
    for campaign_id in campaign_ids:
        enqueue(PLAN_JOB, campaign_id=campaign_id)


KINDS = (
    Kind("planned in a batch that is done", planned_in_done_batches, _reopen_batches),
    Kind("planned in a cancelled run", planned_in_cancelled_runs, _cancel),
    Kind("on its way without a worker", handing_without_worker, _make_unconfirmed),
    Kind("batch open in a run that ended", open_batches_of_ended_runs, _close),
    Kind("batch claimed without an end", claims_without_end, _end_claims),
    Kind("launched and not planned", campaigns_not_planned, _plan_again),
    Kind("run of a cancelled campaign", runs_of_cancelled_campaigns, _cancel_runs),
)
