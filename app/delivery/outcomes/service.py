"""What a person decides about messages: settle those awaiting receipt, try again those that were refused.

Both work in chunks of a transaction each. A few are done at once; all of a kind are a job, which does the chunks one
after the other and may be stopped and run again at any point: what is done is no longer of the kind.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import ARRAY, BigInteger, Row, bindparam, func, insert, text, update

from app.audit.service import record
from app.clients.engagement.service import CONTACTED, Happening, note
from app.core.clock import now
from app.core.errors import AppError
from app.core.extensions import db
from app.core.jobs import enqueue
from app.core.permissions import Permission, require
from app.core.queues import send_task
from app.core.unit_of_work import after_commit
from app.delivery.deliverability.counting import mark_due
from app.delivery.material import queue_of
from app.delivery.models import Batch, Message, MessageState, move
from app.delivery.outcomes.queries import Filter, awaiting_receipt, failed, may_be_retried
from app.delivery.planning import RESEND_AFTER, SEND_BATCH
from app.delivery.postponing import BATCH_SIZE
from app.delivery.sweeping import reopen_runs
from app.delivery.tallying import refresh_tallies
from app.users.models import User

CHUNK = 5_000
SETTLED = {MessageState.SENT: "settled by hand as sent", MessageState.FAILED: "settled by hand as not sent"}
NEEDS_REASON = _l("Say why: it is kept in the audit trail.")


def settle(*, chosen: Filter, state: MessageState, reason: str, actor: User, limit: int = CHUNK) -> int:
    """Up to `limit` of the chosen messages awaiting receipt were sent, or were not; returns how many.

    In the caller's transaction. A message settled as not sent is not sent again: it may have been taken after all.
    Raises AppError without a reason.
    """
    require(actor, Permission.SETTLE_MESSAGES)
    if state not in SETTLED or not reason.strip():
        raise AppError(NEEDS_REASON)
    when = func.coalesce(Message.sent_at, Message.unconfirmed_at, now()) if state == MessageState.SENT else None
    ids = awaiting_receipt(actor, chosen).order_by(Message.id).limit(limit).with_for_update(of=Message)
    rows = db.session.execute(
        update(Message)
        .where(Message.id.in_(list(db.session.scalars(ids))), Message.state == MessageState.UNCONFIRMED)
        .values(
            state=move(MessageState.UNCONFIRMED, state),
            reason=SETTLED[state],
            settled_by_id=actor.id,
            sent_at=when,
        )
        .returning(
            Message.batch_id, Message.run_id, Message.client_id, Message.campaign_id, Message.channel, Message.sent_at
        )
        .execution_options(synchronize_session=False)
    ).all()
    if state == MessageState.SENT:
        note(Happening(CONTACTED, row.client_id, row.campaign_id, row.channel, row.sent_at) for row in rows)
    refresh_tallies([row.batch_id for row in rows])
    _tell(rows, action="messages_settled", actor=actor, reason=reason, state=state.value)
    return len(rows)


def retry(*, chosen: Filter, reason: str, actor: User, limit: int = CHUNK) -> int:
    """Up to `limit` of the chosen failed messages are planned anew, in batches of their own; returns how many.

    In the caller's transaction. The only way from failed back to planned, and only for what was definitely refused: the
    row of the same run, step and client, so nobody gets it twice. A complete campaign runs again until they have ended.
    """
    require(actor, Permission.SETTLE_MESSAGES)
    if not reason.strip():
        raise AppError(NEEDS_REASON)
    query = failed(actor, chosen).where(may_be_retried()).order_by(Message.run_id, Message.step_id, Message.id)
    query = query.add_columns(
        Message.run_id, Message.step_id, Message.channel, Batch.variant, Message.batch_id, Message.campaign_id
    )
    rows = db.session.execute(query.limit(limit).with_for_update(of=Message)).all()
    together: dict[tuple[int, int, str, str | None], list[int]] = defaultdict(list)
    for row in rows:
        together[row.run_id, row.step_id, row.channel, row.variant].append(row.id)
    for (run_id, step_id, channel, variant), ids in together.items():
        _plan_anew(run_id, step_id, channel, variant, ids)
    refresh_tallies([row.batch_id for row in rows])
    reopen_runs({row.run_id for row in rows}, actor=actor)
    _tell(rows, action="messages_retried", actor=actor, reason=reason)
    return len(rows)


_MOVE = text(
    """
    UPDATE message SET state = :planned, batch_id = moved.batch_id
    FROM unnest(:ids, :batch_ids) AS moved (id, batch_id)
    WHERE message.id = moved.id AND message.state = 'failed'
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)), bindparam("batch_ids", type_=ARRAY(BigInteger)))


def _plan_anew(run_id: int, step_id: int, channel: str, variant: str | None, ids: Sequence[int]) -> None:
    """New batches for these rows, sent out after the commit."""
    facts = {
        "run_id": run_id,
        "step_id": step_id,
        "channel": channel,
        "variant": variant,
        "due_at": now() + RESEND_AFTER,
    }
    sizes = [len(ids[start : start + BATCH_SIZE]) for start in range(0, len(ids), BATCH_SIZE)]
    batch_ids = db.session.scalars(
        insert(Batch).returning(Batch.id, sort_by_parameter_order=True), [facts | {"size": size} for size in sizes]
    ).all()
    places = [batch_ids[place // BATCH_SIZE] for place in range(len(ids))]
    db.session.execute(
        _MOVE,
        {"ids": list(ids), "batch_ids": places, "planned": move(MessageState.FAILED, MessageState.PLANNED)},
    )
    for batch_id in batch_ids:
        after_commit(partial(send_task, SEND_BATCH, queue_of(channel), batch_id))


def _tell(rows: Sequence[Row[*tuple[Any, ...]]], *, action: str, actor: User, reason: str, **facts: str) -> None:
    """One entry of the audit trail for each campaign; what its runs arrived at is counted anew."""
    for campaign_id, count in sorted(Counter(row.campaign_id for row in rows).items()):
        record(
            actor=actor, action=f"campaign.{action}", subject="campaign", subject_id=campaign_id,
            changes={"messages": count} | facts, reason=reason.strip(),
        )  # fmt: skip
    mark_due({row.run_id for row in rows})


# ---- All of a kind: a job ------------------------------------------------------------------------------------------


def order(*, verb: str, chosen: Filter, reason: str, actor: User) -> None:
    """Do it to all that are chosen, in a worker: `verb` is "retry", "sent" or "failed".

    Only up to the newest message that was seen (`chosen.up_to`): what comes afterwards is decided afresh.
    """
    require(actor, Permission.SETTLE_MESSAGES)
    if verb not in ("retry", "sent", "failed") or chosen.up_to is None or not reason.strip():
        raise AppError(NEEDS_REASON)
    enqueue(
        "delivery.decide",
        verb=verb,
        campaign=chosen.campaign,
        account_id=chosen.account_id or 0,
        group=chosen.group if chosen.group is not None else "*",
        up_to=chosen.up_to,
        reason=reason.strip(),
        actor_id=actor.id,
    )


def decide_chunk(*, verb: str, chosen: Filter, reason: str, actor: User) -> int:
    """The next chunk of an order, in the caller's transaction; 0 when it is done."""
    if verb == "retry":
        return retry(chosen=chosen, reason=reason, actor=actor)
    return settle(chosen=chosen, state=MessageState(verb), reason=reason, actor=actor)
