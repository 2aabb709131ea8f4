"""Reads of tracking: replies, the local mailbox, and what a client's time line shows."""

from collections.abc import Sequence
from datetime import datetime

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, func, select, true

from app.campaigns.models import Campaign
from app.channels.email.models import MailboxMessage
from app.clients.models import Client
from app.clients.queries import sees_whole_book, visible_clients
from app.clients.timeline import TimelineEntry
from app.core.errors import NotFound
from app.core.extensions import db
from app.core.paging import Page, newest_first
from app.delivery.models import Message
from app.tracking.models import Reply
from app.users.models import User
from app.users.queries import in_subtree

# ---- The local mailbox ----------------------------------------------------------------------------------------------


def _mailbox_of(user: User) -> ColumnElement[bool]:
    """For WHERE on mailbox messages: those to clients the person may see, and to staff of their part of the firm."""
    if sees_whole_book(user):
        return true()
    address = func.lower(MailboxMessage.recipient)
    to_client = select(Client.id).where(func.lower(Client.email) == address, visible_clients(user)).exists()
    colleague = select(User.id).join(User.branch).where(func.lower(User.email) == address, in_subtree(user.branch))
    return to_client | colleague.exists()


def mailbox_page(*, user: User, recipient: str, newer_than: int | None, older_than: int | None) -> Page:
    """Messages of the local mailbox, newest first; `recipient` is the beginning of an address."""
    query = select(
        MailboxMessage.id, MailboxMessage.recipient, MailboxMessage.subject, MailboxMessage.received_at
    ).where(_mailbox_of(user))
    if recipient:
        query = query.where(func.lower(MailboxMessage.recipient).startswith(recipient.lower(), autoescape=True))
    return newest_first(query, MailboxMessage.id.expression, newer_than=newer_than, older_than=older_than)


def find_mailbox_message(message_id: int, *, user: User) -> MailboxMessage:
    """One message, where the person may see whom it went to; else NotFound."""
    found = db.session.scalar(select(MailboxMessage).where(MailboxMessage.id == message_id, _mailbox_of(user)))
    if found is None:
        raise NotFound
    return found


# ---- A client's time line -------------------------------------------------------------------------------------------


def message_timeline(client_ids: Sequence[int], limit: int) -> list[TimelineEntry]:
    """What the client was sent and did with it."""
    rows = db.session.execute(
        select(Message, Campaign.name)
        .join(Campaign, Campaign.id == Message.campaign_id)
        .where(Message.client_id.in_(client_ids))
        .order_by(Message.id.desc())
        .limit(limit)
    )
    return [
        TimelineEntry(at=at, kind=kind, text=words)
        for message, name in rows
        for at, kind, words in _acts(message, name)
        if at is not None
    ]


def _acts(message: Message, campaign: str) -> list[tuple[datetime | None, str, str]]:
    return [
        (message.sent_at, "sent", _("Was sent a message of %(campaign)s", campaign=campaign)),
        (message.opened_at, "opened", _("Opened a message of %(campaign)s", campaign=campaign)),
        (message.clicked_at, "clicked", _("Clicked a link of %(campaign)s", campaign=campaign)),
        (message.bounced_at, "bounced", _("A message of %(campaign)s was returned", campaign=campaign)),
        (message.unsubscribed_at, "unsubscribed", _("Unsubscribed through %(campaign)s", campaign=campaign)),
        (message.complained_at, "complained", _("Reported a message of %(campaign)s as spam", campaign=campaign)),
    ]


def reply_timeline(client_ids: Sequence[int], limit: int) -> list[TimelineEntry]:
    """What the client wrote back."""
    rows = db.session.execute(
        select(Reply.received_at, Campaign.name)
        .join(Campaign, Campaign.id == Reply.campaign_id)
        .where(Reply.client_id.in_(client_ids), Reply.kind == "reply")
        .order_by(Reply.id.desc())
        .limit(limit)
    )
    return [
        TimelineEntry(at=row.received_at, kind="replied", text=_("Replied to %(campaign)s", campaign=row.name))
        for row in rows
    ]
