"""The send path: a worker claims a batch, hands its messages over window by window, and records what became of them.

What keeps a message from being lost or doubled:
- a batch is claimed by compare-and-set and held under a lease with a token;
- a window of rows moves planned > handing in a commit of its own before any byte leaves, only while the token is
  ours and the campaign runs; consent and suppression are looked at in that same statement;
- no transaction is open while the channel talks to the network;
- results are recorded before the next window, and a worker that cannot record keeps trying.
After a crash the sweeper (`delivery/sweeping.py`) frees the batch: planned rows go on, handing rows become
unconfirmed and are never sent again by themselves.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from flask_babel import gettext as _
from liquid.exceptions import LiquidError
from sqlalchemy import Row, and_, bindparam, case, exists, func, literal, null, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import OperationalError
from sqlalchemy.types import BigInteger, Text

from app.campaigns.models import Campaign, State, Step
from app.channels.base import EmailChannel, Envelope, Outcome, OutgoingEmail, Result
from app.channels.registry import email_channel
from app.clients.contactability import exclusion_reason
from app.clients.engagement.service import CONTACTED, Happening, note
from app.clients.models import Client
from app.content.personalisation import columns_for, nest
from app.content.rendering import CompiledEmail, Footer, MessageLinks, compile_email
from app.core.clock import now
from app.core.extensions import db, links, settings, signer
from app.core.tokens import Kind
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Batch, Message, MessageState, Run

LEASE = timedelta(seconds=120)
MAX_ATTEMPTS = 12
MAX_BACKOFF_SECONDS = 900

log = structlog.get_logger(__name__)

STATE_OF = {
    Outcome.SENT: MessageState.SENT,
    Outcome.FAILED: MessageState.FAILED,
    Outcome.UNCONFIRMED: MessageState.UNCONFIRMED,
    Outcome.NOT_TAKEN: MessageState.PLANNED,
}


@dataclass(frozen=True)
class Work:
    """A claimed batch and what its messages say."""

    batch_id: int
    token: UUID
    attempts: int
    purpose: str
    email: CompiledEmail
    envelope: Envelope
    columns: list[Any]

    @property
    def keys(self) -> list[str]:
        return [column.name for column in self.columns]


def send_batch(batch_id: int) -> None:
    """Claim a batch and send what is planned in it. A batch that is taken, done or paused is left alone."""
    work = claim_batch(batch_id)
    if work is None:
        return
    channel = email_channel(settings())
    while True:
        with unit_of_work():
            window = hand_over(work, limit=channel.window)
        if window is None:
            release(work)
            return
        if not window:
            break
        results = _send_window(channel, work, [row for row in window if row.state == MessageState.HANDING])
        _record_surely(work, results)
        if any(result.outcome is Outcome.NOT_TAKEN for result in results):
            postpone(work)
            return
    finish(work)


def claim_batch(batch_id: int) -> Work | None:
    """Take an open, unheld batch of a running campaign. None where somebody else has it or nothing is to be done."""
    token = uuid4()
    with unit_of_work() as session:
        row = session.execute(
            update(Batch)
            .where(Batch.id == batch_id, Batch.state == "open", Batch.token.is_(None), _campaign_runs())
            .values(token=token, lease_until=now() + LEASE)
            .returning(Batch.step_id, Batch.attempts)
        ).one_or_none()
        if row is None:
            return None
        step = session.get_one(Step, row.step_id)
        campaign = session.get_one(Campaign, step.campaign_id)
        if step.content is None:
            raise LookupError("a launched step has no content")
        email = compile_email(step.content, footer())
        return Work(
            batch_id=batch_id,
            token=token,
            attempts=row.attempts,
            purpose=campaign.purpose,
            email=email,
            envelope=envelope(campaign),
            columns=columns_for(email.keys),
        )


def _campaign_runs() -> Any:
    return exists(
        select(literal(1))
        .select_from(Run)
        .join(Campaign, Campaign.id == Run.campaign_id)
        .where(Run.id == Batch.run_id, Campaign.state == State.RUNNING)
        .correlate(Batch)
    )


def footer() -> Footer:
    """The firm's name, address and way out, for messages whose author did not place the link."""
    config = settings()
    return Footer(config.firm_name, config.firm_address, _("Unsubscribe"))


def envelope(campaign: Campaign) -> Envelope:
    """What all messages of a campaign share on the outside."""
    config = settings()
    domain = config.mail_from.partition("@")[2]
    return Envelope(
        from_address=config.mail_from,
        from_name=config.mail_from_name,
        list_id=f"<{campaign.purpose}.{domain}>",
        feedback_id=f"{campaign.id}:{campaign.purpose}:{domain.replace('.', '-')}:bellwether",
    )


def hand_over(work: Work, *, limit: int) -> Sequence[Row[Any]] | None:
    """Move up to `limit` planned rows of the batch to handing, or to skipped with the reason.

    Returns the rows with their state, address and merge values; an empty list when none is planned; None where
    the lease was lost or the campaign no longer runs. To be committed before anything is sent.
    """
    held = db.session.scalar(
        update(Batch)
        .where(Batch.id == work.batch_id, Batch.token == work.token, _campaign_runs())
        .values(lease_until=now() + LEASE)
        .returning(Batch.id)
    )
    if held is None:
        return None
    picked = (
        select(Message.id)
        .where(Message.batch_id == work.batch_id, Message.state == MessageState.PLANNED)
        .order_by(Message.id)
        .limit(limit)
        .with_for_update()
        .cte("picked")
    )
    judged = (
        select(
            Message.id.label("message_id"),
            exclusion_reason(channel="email", purpose=work.purpose).label("reason"),
            Client.email.label("address"),
            *work.columns,
        )
        .join(picked, picked.c.id == Message.id)
        .join(Client, Client.id == Message.client_id)
        .cte("judged")
    )
    rows = db.session.execute(
        update(Message)
        .where(Message.id == judged.c.message_id)
        .values(
            state=case((judged.c.reason.is_(None), MessageState.HANDING.value), else_=MessageState.SKIPPED.value),
            reason=judged.c.reason,
        )
        .returning(Message.id, Message.state, judged.c.address, *(judged.c[key] for key in work.keys))
        .execution_options(synchronize_session=False)
    ).all()
    if any(row.state == MessageState.SKIPPED for row in rows):
        refresh_tally(work.batch_id)
    return rows


def _send_window(channel: EmailChannel, work: Work, rows: Sequence[Row[Any]]) -> list[Result]:
    results: list[Result] = []
    emails: list[OutgoingEmail] = []
    for row in rows:
        try:
            emails.append(outgoing(work, row))
        except LiquidError as error:
            log.warning("message_not_rendered", message=row.id, error=type(error).__name__)
            results.append(Result(row.id, Outcome.FAILED, reason="the message could not be filled in"))
    if emails:
        results.extend(channel.send(work.email.template, work.envelope, emails))
    return results


def outgoing(work: Work, row: Row[Any]) -> OutgoingEmail:
    """One message, its slots filled and its links signed."""
    made = links()
    return OutgoingEmail(
        message_id=row.id,
        token=signer().sign(Kind.REPLY, row.id),
        recipient=row.address,
        slots=work.email.fill(nest(work.keys, row[3:]), MessageLinks(made, row.id)),
        reply_to=made.reply_address(row.id),
        unsubscribe_url=made.unsubscribe(row.id),
        unsubscribe_address=made.unsubscribe_address(row.id),
    )


_RECORD = text(
    """
    UPDATE message
    SET state = result.state,
        reason = result.reason,
        reference = result.reference,
        sent_at = CASE WHEN result.state = 'sent' THEN :at ELSE message.sent_at END
    FROM unnest(:ids, :states, :reasons, :references) AS result (id, state, reason, reference)
    WHERE message.id = result.id
      AND (message.state = 'handing' OR message.state = 'unconfirmed' AND result.state <> 'planned')
    RETURNING message.state, message.client_id, message.campaign_id, message.channel, message.sent_at
    """
).bindparams(
    bindparam("ids", type_=ARRAY(BigInteger)),
    bindparam("states", type_=ARRAY(Text)),
    bindparam("reasons", type_=ARRAY(Text)),
    bindparam("references", type_=ARRAY(Text)),
)


def record_results(batch_id: int, results: Sequence[Result]) -> None:
    """Write what became of a window's messages, the contacts made and the batch's counts, in the caller's transaction.

    A row that was swept to unconfirmed meanwhile takes its real outcome, but never goes back to planned.
    """
    recorded = db.session.execute(
        _RECORD,
        {
            "at": now(),
            "ids": [result.message_id for result in results],
            "states": [STATE_OF[result.outcome].value for result in results],
            "reasons": [result.reason for result in results],
            "references": [result.reference for result in results],
        },
    )
    note(
        Happening(CONTACTED, row.client_id, row.campaign_id, row.channel, row.sent_at)
        for row in recorded
        if row.state == MessageState.SENT
    )
    refresh_tally(batch_id)


_TALLY = text(
    """
    UPDATE batch
    SET sent = counted.sent, failed = counted.failed, skipped = counted.skipped, unconfirmed = counted.unconfirmed
    FROM (
        SELECT count(*) FILTER (WHERE state = 'sent') AS sent,
               count(*) FILTER (WHERE state = 'failed') AS failed,
               count(*) FILTER (WHERE state = 'skipped') AS skipped,
               count(*) FILTER (WHERE state = 'unconfirmed') AS unconfirmed
        FROM message WHERE batch_id = :batch_id
    ) AS counted
    WHERE batch.id = :batch_id
    """
)


def refresh_tally(batch_id: int) -> None:
    """Count the batch's rows anew: at most 500 of them, and never wrong however often a row changed."""
    db.session.execute(_TALLY, {"batch_id": batch_id})


def _record_surely(work: Work, results: Sequence[Result]) -> None:
    """Record, and where the database is away keep the results and try again until it is back."""
    delay = 0.5
    while True:
        try:
            with unit_of_work():
                record_results(work.batch_id, results)
            return
        except OperationalError as error:
            log.error("results_not_recorded_yet", batch=work.batch_id, error=type(error).__name__)
            db.session.remove()
            time.sleep(delay)
            delay = min(delay * 2, 30)


def _ours(work: Work) -> Any:
    return and_(Batch.id == work.batch_id, Batch.token == work.token)


def release(work: Work) -> None:
    """Give the batch back as it is: the campaign was paused or cancelled, or the lease is somebody else's."""
    with unit_of_work() as session:
        session.execute(update(Batch).where(_ours(work)).values(token=None, lease_until=None, due_at=now()))


def postpone(work: Work) -> None:
    """Give the batch back to be sent later, after a growing pause; after many attempts its rest has failed."""
    with unit_of_work() as session:
        if work.attempts + 1 >= MAX_ATTEMPTS:
            session.execute(
                update(Message)
                .where(Message.batch_id == work.batch_id, Message.state == MessageState.PLANNED)
                .values(state=MessageState.FAILED, reason=func.coalesce(Message.reason, "given up after many attempts"))
                .execution_options(synchronize_session=False)
            )
            refresh_tally(work.batch_id)
            session.execute(update(Batch).where(_ours(work)).values(token=None, lease_until=None, state="done"))
            return
        pause = timedelta(seconds=min(5 * 2**work.attempts, MAX_BACKOFF_SECONDS))
        session.execute(
            update(Batch)
            .where(_ours(work))
            .values(token=None, lease_until=None, due_at=now() + pause, attempts=Batch.attempts + 1)
        )


def finish(work: Work) -> None:
    """Close the batch where none of its rows is planned or on its way any more."""
    pending = exists(
        select(literal(1)).where(
            Message.batch_id == Batch.id, Message.state.in_((MessageState.PLANNED, MessageState.HANDING))
        )
    )
    with unit_of_work() as session:
        session.execute(
            update(Batch)
            .where(_ours(work))
            .values(state=case((pending, "open"), else_="done"), token=null(), lease_until=null())
            .execution_options(synchronize_session=False)
        )
