"""Reads of tracking: replies, the local mailbox, and what a client's time line shows."""

from collections.abc import Sequence
from datetime import datetime

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, func, literal, select, true, union_all

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


# What a message and its client did, with the time of it and the words of the time line.
_ACTS = {
    "sent": (Message.sent_at, _l("Was sent a message of %(campaign)s")),
    "opened": (Message.opened_at, _l("Opened a message of %(campaign)s")),
    "clicked": (Message.clicked_at, _l("Clicked a link of %(campaign)s")),
    "bounced": (Message.bounced_at, _l("A message of %(campaign)s was returned")),
    "unsubscribed": (Message.unsubscribed_at, _l("Unsubscribed through %(campaign)s")),
    "complained": (Message.complained_at, _l("Reported a message of %(campaign)s as spam")),
}


def message_timeline(client_ids: Sequence[int], limit: int, until: datetime) -> list[TimelineEntry]:
    """What the client was sent and did with it: each act of a message at its own time."""
    acts = union_all(
        *(
            select(literal(kind).label("kind"), at.label("at"), Message.id, Message.campaign_id)
            .where(Message.client_id.in_(client_ids), at <= until)
            .order_by(at.desc(), Message.id.desc())
            .limit(limit)
            for kind, (at, _words) in _ACTS.items()
        )
    ).subquery()
    rows = db.session.execute(
        select(acts.c.kind, acts.c.at, Campaign.name)
        .join(Campaign, Campaign.id == acts.c.campaign_id)
        .order_by(acts.c.at.desc(), acts.c.id.desc(), acts.c.kind)
        .limit(limit)
    )
    return [
        TimelineEntry(at=row.at, kind=row.kind, text=str(_ACTS[row.kind][1]) % {"campaign": row.name}) for row in rows
    ]


def reply_timeline(client_ids: Sequence[int], limit: int, until: datetime) -> list[TimelineEntry]:
    """What the client wrote back."""
    rows = db.session.execute(
        select(Reply.received_at, Campaign.name)
        .join(Campaign, Campaign.id == Reply.campaign_id)
        .where(Reply.client_id.in_(client_ids), Reply.kind == "reply", Reply.received_at <= until)
        .order_by(Reply.received_at.desc(), Reply.id.desc())
        .limit(limit)
    )
    return [
        TimelineEntry(at=row.received_at, kind="replied", text=_("Replied to %(campaign)s", campaign=row.name))
        for row in rows
    ]
