"""Verbs on what came back: hits, unsubscribes, replies."""

from flask import current_app
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import aliased

from app.campaigns.models import Campaign
from app.clients.models import Client
from app.clients.service import withdraw_consent
from app.core.clock import now
from app.core.extensions import db
from app.delivery.models import Message
from app.tracking import interpretation
from app.tracking.intake import Intake
from app.tracking.models import Event, Reply


def intake() -> Intake:
    """The group-commit writer of this process."""
    made: Intake = current_app.extensions["bellwether_intake"]
    return made


# ---- Unsubscribing --------------------------------------------------------------------------------------------------

UNSUBSCRIBE_WORDINGS = {
    "one-click": "One-click unsubscribe in the mail program (RFC 8058)",
    "page": "Confirmed on the unsubscribe page",
    "mail": "Unsubscribe by e-mail",
}


def unsubscribe(
    *,
    message_id: int,
    source: str,
    ip: str | None = None,
    user_agent: str | None = None,
    external_id: str | None = None,
) -> bool:
    """The recipient of a message wants no more: recorded as an event and done at once, in one transaction.

    `source` is a key of UNSUBSCRIBE_WORDINGS. Saying it again is kept as an event and changes nothing else. Returns
    False where the message is not in the ledger (a test message).
    """
    at = now()
    recipient = aliased(Client)  # may have been merged into another record since
    message = db.session.execute(
        select(Client.id.label("client_id"), Message.unsubscribed_at, Client.email_consent)
        .join(recipient, recipient.id == Message.client_id)
        .join(Client, Client.id == func.coalesce(recipient.merged_into_id, recipient.id))
        .where(Message.id == message_id)
        .with_for_update(of=Message.__table__)
    ).one_or_none()
    if message is None:
        return False
    db.session.execute(
        insert(Event).values(
            kind="unsubscribe",
            message_id=message_id,
            at=at,
            source=source,
            external_id=external_id,
            user_agent=(user_agent or "")[:300] or None,
            ip=ip,
            method="POST",
            acted_at=at,
        )
    )
    db.session.execute(
        update(Message)
        .where(Message.id == message_id)
        .values(unsubscribed_at=func.least(Message.unsubscribed_at, at))
        .execution_options(synchronize_session=False)
    )
    if message.unsubscribed_at is None or message.email_consent is not False:
        withdraw_consent(
            client_ids=[message.client_id],
            channel="email",
            source=source,
            wording=UNSUBSCRIBE_WORDINGS[source],
            at=at,
            actor=None,
        )
    return True


# ---- Replies --------------------------------------------------------------------------------------------------------


def join_replies(loser_id: int, survivor_id: int) -> int:
    """After a merge: what the one record's client wrote, the other's did. Returns how many."""
    moved = db.session.execute(
        update(Reply)
        .where(Reply.client_id == loser_id)
        .values(client_id=survivor_id)
        .execution_options(synchronize_session=False)
    )
    return int(moved.rowcount)  # type: ignore[attr-defined]


# ---- Interpretation -------------------------------------------------------------------------------------------------


def reinterpret(*, campaign: Campaign | None) -> int:
    """Forget and compute anew what a campaign's events (or all) mean, in the current transaction.

    Returns the number of events. Nothing is done a second time for clients.
    """
    interpretation.hold_lock()
    events = interpretation.reset(campaign_id=campaign.id if campaign else None)
    while interpretation.interpret_round().events:
        pass
    return events
