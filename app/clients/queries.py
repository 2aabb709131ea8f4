"""Reads about clients. Everything a person sees of them goes through `visible_clients`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, Select, func, or_, select, true
from sqlalchemy.orm import aliased, joinedload

from app.clients.holdings.models import Account, Balance
from app.clients.models import (
    SLOT_KINDS,
    SLOTS,
    Client,
    ClientImport,
    Consent,
    CustomField,
    ImportRefusal,
    Suppression,
)
from app.clients.timeline import END, TimelineEntry
from app.core.errors import NotFound
from app.core.extensions import db
from app.core.jobs import Job
from app.core.permissions import Role
from app.users.absences import stood_in_for
from app.users.models import Branch, User
from app.users.queries import in_subtree, team_subtree


def sees_whole_book(user: User | None) -> bool:
    """True for the system itself (None) and for staff of the head office, but not for somebody who only advises."""
    return user is None or (user.branch.parent_id is None and set(user.roles) != {Role.ADVISER})


def visible_clients(user: User | None) -> ColumnElement[bool]:
    """For WHERE on client: those a person may see. None (the system itself) sees everyone in the book.

    Nobody sees a record that was merged into another: who is asked for is the client it was merged into. The rest
    is `clients_in_scope`.
    """
    in_the_book = ~merged_away()
    return in_the_book if sees_whole_book(user) else in_the_book & clients_in_scope(user)


def merged_away() -> ColumnElement[bool]:
    """For WHERE on client: the records that were merged into others, all that who sees the whole book does not see."""
    return Client.merged_into_id.is_not(None)


def clients_in_scope(user: User | None) -> ColumnElement[bool]:
    """For WHERE on client: `visible_clients`, and the records merged into others as well, for counts of the past.

    An adviser sees the clients they look after, first or second, and for the time of an absence those of the colleague
    they stand in for; who leads a team, those of its advisers and of the
    teams below it, whatever their branch; every other role the clients of the branch it works for and of the branches
    below it, which for the head office is everyone.
    """
    if user is None or sees_whole_book(user):
        return true()
    # Arrays that PostgreSQL works out once, so that each part is read from its index, however large the book.
    ways: list[ColumnElement[bool]] = []
    if set(user.roles) != {Role.ADVISER}:
        branches = select(Branch.id).where(Branch.path.startswith(user.branch.path, autoescape=True))
        ways.append(Client.branch_id == _any_of(branches))
    if Role.ADVISER in user.roles:
        ways += [Client.adviser_id == user.id, Client.second_adviser_id == user.id]
        ways.append(Client.adviser_id == _any_of(stood_in_for(user)))
    if user.leads_team and user.team is not None:
        team = _any_of(select(User.id).where(User.team_id.in_(team_subtree(user.team))))
        ways += [Client.adviser_id == team, Client.second_adviser_id == team]
    return or_(*ways)


def _any_of(ids: Select[Any]) -> ColumnElement[Any]:
    return func.any(func.array(ids.scalar_subquery()))


def find_client(number: str, *, user: User | None) -> Client:
    """The client with this number, where the person may see them; else NotFound.

    The number of a record that was merged away leads to the one that stayed.
    """
    named = aliased(Client)
    client = db.session.scalar(
        select(Client)
        .join(named, Client.id == func.coalesce(named.merged_into_id, named.id))
        .options(joinedload(Client.branch), joinedload(Client.adviser), joinedload(Client.second_adviser))
        .where(named.number == number, visible_clients(user))
    )
    if client is None:
        raise NotFound
    return client


def record_ids(client_id: int) -> list[int]:
    """The client's own id and those of the records merged into it: whose history belongs to the client."""
    merged = select(Client.id).where(Client.merged_into_id == client_id).order_by(Client.id)
    return [client_id, *db.session.scalars(merged)]


def custom_fields() -> Sequence[CustomField]:
    """The firm's own fields that are in use, in the order the firm chose."""
    return db.session.scalars(
        select(CustomField).where(CustomField.archived_at.is_(None)).order_by(CustomField.position, CustomField.id)
    ).all()


def archived_fields() -> Sequence[CustomField]:
    """Fields that are out of use, or being emptied; by name."""
    return db.session.scalars(
        select(CustomField).where(CustomField.archived_at.is_not(None)).order_by(CustomField.label, CustomField.id)
    ).all()


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


def consent_statements(client_ids: Sequence[int], *, limit: int = 50, until: datetime = END) -> Sequence[Consent]:
    """What the client said about being contacted up to a moment, newest first."""
    return db.session.scalars(
        select(Consent)
        .where(Consent.client_id.in_(client_ids), Consent.at <= until)
        .order_by(Consent.at.desc(), Consent.id.desc())
        .limit(limit)
    ).all()


def consent_timeline(client_ids: Sequence[int], limit: int, until: datetime) -> list[TimelineEntry]:
    """Consent given and withdrawn, for the client's time line."""
    granted = {
        "email": _("Agreed to marketing by e-mail"),
        "sms": _("Agreed to marketing by SMS"),
        "call": _("Agreed to marketing calls"),
        "personalisation": _("Agreed to personalised marketing"),
        "topic": _("Chose a topic again"),
        "pause": _("Wants marketing again after a pause"),
        "language": _("Chose a language"),
        "partner": _("Agreed to data being passed to a partner"),
    }
    withdrawn = {
        "email": _("Opted out of marketing by e-mail"),
        "sms": _("Opted out of marketing by SMS"),
        "call": _("Opted out of marketing calls"),
        "personalisation": _("Refused personalised marketing"),
        "topic": _("Refused a topic"),
        "pause": _("Paused marketing for a while"),
        "partner": _("Refused data being passed to a partner"),
    }
    return [
        TimelineEntry(
            at=statement.at,
            kind="consent" if statement.granted else "opt_out",
            text=(granted if statement.granted else withdrawn).get(consent_matter(statement), statement.channel),
        )
        for statement in consent_statements(client_ids, limit=limit, until=until)
    ]


def consent_matter(statement: Consent) -> str:
    """What a statement is about: a channel of marketing, or "personalisation" or "partner" on any channel."""
    return statement.channel if statement.purpose == "marketing" else statement.purpose


def adviser_names(user: User) -> list[tuple[int, str]]:
    """Advisers of the person's part of the firm, by name."""
    found = db.session.execute(
        select(User.id, User.name)
        .join(User.branch)
        .where(User.active, User.roles.contains([Role.ADVISER]), in_subtree(user.branch))
        .order_by(User.name, User.id)
    )
    return [(user_id, name) for user_id, name in found]


# ---- Imports --------------------------------------------------------------------------------------------------------

IMPORTS_SHOWN = 30
REFUSALS_SHOWN = 20


def _visible_imports(user: User) -> ColumnElement[bool]:
    """One's own imports; for the head office everyone's."""
    return true() if user.branch.parent_id is None else ClientImport.created_by_id == user.id


def import_in_scope(import_id: int, *, user: User) -> ClientImport:
    """The import, where the person may see it; else NotFound."""
    found = db.session.scalar(select(ClientImport).where(ClientImport.id == import_id, _visible_imports(user)))
    if found is None:
        raise NotFound
    return found


@dataclass(frozen=True, slots=True)
class ImportLine:
    """An import in the list, with the name of who made it and its state as `import_state` tells it."""

    client_import: ClientImport
    owner: str | None
    state: str


@dataclass(frozen=True, slots=True)
class ImportsPage:
    lines: list[ImportLine]
    before: int | None


def imports_page(*, user: User, before: int | None = None) -> ImportsPage:
    """Imports, newest first, 30 a page; `before` is the id that ended the page above."""
    query = (
        select(ClientImport, User.name, Job.state)
        .outerjoin(User, User.id == ClientImport.created_by_id)
        .outerjoin(Job, Job.id == ClientImport.job_id)
        .where(_visible_imports(user))
        .order_by(ClientImport.id.desc())
        .limit(IMPORTS_SHOWN + 1)
    )
    if before is not None:
        query = query.where(ClientImport.id < before)
    lines = [
        ImportLine(client_import, owner, _state(client_import, job_state))
        for client_import, owner, job_state in db.session.execute(query)
    ]
    shown = lines[:IMPORTS_SHOWN]
    return ImportsPage(shown, shown[-1].client_import.id if len(lines) > IMPORTS_SHOWN else None)


def import_state(client_import: ClientImport) -> str:
    """uploaded, running, done or failed; an import whose job was given up counts as failed."""
    job_state = db.session.scalar(select(Job.state).where(Job.id == client_import.job_id))
    return _state(client_import, job_state)


def _state(client_import: ClientImport, job_state: str | None) -> str:
    return "failed" if client_import.state == "running" and job_state == "failed" else client_import.state


def first_refusals(import_id: int) -> Sequence[ImportRefusal]:
    """The first refused rows, for the page; all of them are in the file."""
    return db.session.scalars(
        select(ImportRefusal)
        .where(ImportRefusal.import_id == import_id)
        .order_by(ImportRefusal.row_number)
        .limit(REFUSALS_SHOWN)
    ).all()


def staff_name(user_id: int | None) -> str | None:
    return db.session.scalar(select(User.name).where(User.id == user_id)) if user_id else None


# ---- Suppression list -----------------------------------------------------------------------------------------------

SUPPRESSIONS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class SuppressionsPage:
    entries: list[Suppression]
    before: int | None


def suppressions_page(*, search: str = "", channel: str = "", before: int | None = None) -> SuppressionsPage:
    """The list, newest first, 50 a page. `search` is a whole address: the list is not to be leafed through by guess."""
    query = select(Suppression).order_by(Suppression.id.desc()).limit(SUPPRESSIONS_SHOWN + 1)
    if search:
        query = query.where(Suppression.address == search.strip().lower().replace("\x00", ""))
    if channel:
        query = query.where(Suppression.channel == channel)
    if before is not None:
        query = query.where(Suppression.id < before)
    found = list(db.session.scalars(query))
    shown = found[:SUPPRESSIONS_SHOWN]
    return SuppressionsPage(shown, shown[-1].id if len(found) > SUPPRESSIONS_SHOWN else None)


def find_suppression(suppression_id: int) -> Suppression:
    found = db.session.get(Suppression, suppression_id)
    if found is None:
        raise NotFound
    return found


def suppressed_channels(client: Client) -> set[str]:
    """The channels on which the client's present address is on the suppression list."""
    rows = db.session.execute(
        select(Suppression.channel, Suppression.address).where(
            Suppression.address.in_([address.lower() for address in (client.email, client.mobile) if address])
        )
    )
    mine = {"email": client.email, "sms": client.mobile, "call": client.mobile}
    return {channel for channel, address in rows if (mine[channel] or "").lower() == address}


def find_field(field_id: int) -> CustomField:
    found = db.session.get(CustomField, field_id)
    if found is None:
        raise NotFound
    return found


def free_slots() -> dict[str, int]:
    """How many more fields of each kind of slot can be defined."""
    used = Counter(SLOT_KINDS[type_] for type_ in db.session.scalars(select(CustomField.type)))
    return {kind: total - used[kind] for kind, total in SLOTS.items()}
