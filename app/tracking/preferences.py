"""The preference page's way from a message to its client, and what a change there means for the message."""

from datetime import datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import aliased

from app.clients.models import Client
from app.clients.preferences.service import SOURCE, Changed, Choices, choices_of, choose
from app.clients.service import withdraw_consent
from app.core.clock import now
from app.core.extensions import db
from app.delivery.models import Message
from app.tracking.models import Event


def recipient_of(message_id: int, *, lock: bool = False) -> Client | None:
    """Whom the message went to (the record they were merged into, where they were); None for a test message."""
    named = aliased(Client)
    query = (
        select(Client)
        .join(named, Client.id == func.coalesce(named.merged_into_id, named.id))
        .join(Message, Message.client_id == named.id)
        .where(Message.id == message_id)
    )
    return db.session.scalar(query.with_for_update(of=Client.__table__) if lock else query)


def change_preferences(*, message_id: int, shown: Choices | None, chosen: Choices) -> Changed | None:
    """What the recipient of a message changed on the page; None where there is none (a test message).

    `shown` is what the page had ticked, where that is known. Giving up e-mail counts as unsubscribing through the
    message.
    """
    client = recipient_of(message_id, lock=True)
    if client is None:
        return None
    changed = choose(client=client, shown=shown or choices_of(client), chosen=chosen)
    if "email" in changed.channels_off:
        _note_unsubscription(message_id, now())
    return changed


def stop_everything(*, message_id: int, words: str) -> bool:
    """The recipient wants no marketing on any channel. False where there is no recipient (a test message).

    `words` are those on the button, kept as evidence.
    """
    client = recipient_of(message_id, lock=True)
    if client is None:
        return False
    at = now()
    for channel in ("email", "sms", "call"):
        if getattr(client, f"{channel}_consent") is not False:
            withdraw_consent(client_ids=[client.id], channel=channel, source=SOURCE, wording=words, at=at, actor=None)
    _note_unsubscription(message_id, at)
    return True


def _note_unsubscription(message_id: int, at: datetime) -> None:
    """Everything for the client is done already, hence `acted_at`."""
    db.session.execute(
        insert(Event).values(
            kind="unsubscribe", message_id=message_id, at=at, source="preferences", method="POST", acted_at=at
        )
    )
    db.session.execute(
        update(Message)
        .where(Message.id == message_id)
        .values(unsubscribed_at=func.least(Message.unsubscribed_at, at))
        .execution_options(synchronize_session=False)
    )
