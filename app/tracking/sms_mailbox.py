"""Reads of the local mailbox of SMS."""

from sqlalchemy import ColumnElement, select, true

from app.channels.sms.models import MailboxSms
from app.clients.models import Client
from app.clients.queries import sees_whole_book, visible_clients
from app.core.errors import NotFound
from app.core.extensions import db
from app.core.paging import Page, newest_first
from app.users.models import User


def _visible(user: User) -> ColumnElement[bool]:
    """For WHERE on the mailbox: SMS to clients the person may see."""
    if sees_whole_book(user):
        return true()
    return select(Client.id).where(Client.mobile == MailboxSms.recipient, visible_clients(user)).exists()


def sms_page(*, user: User, recipient: str, newer_than: int | None, older_than: int | None) -> Page:
    """SMS of the local mailbox, newest first; `recipient` is a part of a number."""
    query = select(
        MailboxSms.id, MailboxSms.recipient, MailboxSms.text, MailboxSms.parts, MailboxSms.received_at
    ).where(_visible(user))
    if recipient:
        query = query.where(MailboxSms.recipient.contains(recipient, autoescape=True))
    return newest_first(query, MailboxSms.id.expression, newer_than=newer_than, older_than=older_than)


def find_sms(sms_id: int, *, user: User) -> MailboxSms:
    """One SMS, where the person may see whom it went to; else NotFound."""
    found = db.session.scalar(select(MailboxSms).where(MailboxSms.id == sms_id, _visible(user)))
    if found is None:
        raise NotFound
    return found
