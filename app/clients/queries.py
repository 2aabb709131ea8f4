"""Reads about clients. Everything a person sees of them goes through `visible_clients`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, select, true
from sqlalchemy.orm import joinedload

from app.clients.models import Account, Balance, Client, ClientImport, Consent, CustomField
from app.clients.timeline import TimelineEntry
from app.core.errors import NotFound
from app.core.extensions import db
from app.core.permissions import Role
from app.users.models import Branch, User


def visible_clients(user: User | None) -> ColumnElement[bool]:
    """For WHERE on client: those a person may see. None (the system itself) sees all.

    An adviser sees the clients they look after; every other role sees the clients of the branch it works for
    and of the branches below it, which for the head office is everyone.
    """
    if user is None:
        return true()
    if set(user.roles) == {Role.ADVISER}:
        return Client.adviser_id == user.id
    if user.branch.parent_id is None:
        return true()
    return Client.branch_id.in_(select(Branch.id).where(Branch.path.startswith(user.branch.path, autoescape=True)))


def find_client(number: str, *, user: User) -> Client:
    """The client with this number, where the person may see them; else NotFound."""
    client = db.session.scalar(
        select(Client)
        .options(joinedload(Client.branch), joinedload(Client.adviser))
        .where(Client.number == number, visible_clients(user))
    )
    if client is None:
        raise NotFound
    return client


def custom_fields() -> Sequence[CustomField]:
    """The firm's own fields, in the order they were defined."""
    return db.session.scalars(select(CustomField).order_by(CustomField.id)).all()


def custom_values(client: Client) -> list[tuple[CustomField, Any]]:
    """Each of the firm's own fields with the client's value (None where unknown)."""
    return [(field, getattr(client, field.slot)) for field in custom_fields()]


@dataclass(frozen=True, slots=True)
class AccountLine:
    """An account with what it held last."""

    account: Account
    balance: Decimal | None
    on_date: date | None


def accounts_of(client_id: int) -> list[AccountLine]:
    """The client's accounts, open ones first, each with its newest balance."""
    newest = (
        select(Balance.amount, Balance.on_date)
        .where(Balance.account_id == Account.id)
        .order_by(Balance.on_date.desc())
        .limit(1)
        .lateral()
    )
    rows = db.session.execute(
        select(Account, newest.c.amount, newest.c.on_date)
        .outerjoin(newest, true())
        .where(Account.client_id == client_id)
        .order_by(Account.closed_on.is_not(None), Account.opened_on.desc().nulls_last(), Account.id)
    )
    return [AccountLine(*row) for row in rows]


def consent_statements(client_id: int, *, limit: int = 50) -> Sequence[Consent]:
    """What the client said about being contacted, newest first."""
    return db.session.scalars(
        select(Consent)
        .where(Consent.client_id == client_id)
        .order_by(Consent.at.desc(), Consent.id.desc())
        .limit(limit)
    ).all()


def consent_timeline(client_id: int, limit: int) -> list[TimelineEntry]:
    """Consent given and withdrawn, for the client's time line."""
    granted = {
        "email": _("Agreed to marketing by e-mail"),
        "sms": _("Agreed to marketing by SMS"),
        "call": _("Agreed to marketing calls"),
    }
    withdrawn = {
        "email": _("Opted out of marketing by e-mail"),
        "sms": _("Opted out of marketing by SMS"),
        "call": _("Opted out of marketing calls"),
    }
    return [
        TimelineEntry(
            at=statement.at,
            kind="consent" if statement.granted else "opt_out",
            text=(granted if statement.granted else withdrawn).get(statement.channel, statement.channel),
        )
        for statement in consent_statements(client_id, limit=limit)
    ]


def import_in_scope(import_id: int, *, user: User) -> ClientImport:
    """An import of the person's own, or any for the head office; else NotFound."""
    found = db.session.get(ClientImport, import_id)
    if found is None or not (found.created_by_id == user.id or user.branch.parent_id is None):
        raise NotFound
    return found
