"""Reads of what was changed about clients and what waits to be confirmed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import Select, func, select
from sqlalchemy.orm import aliased

from app.clients.editing.fields import FACTS, Fact, masked_value, own_fact, shown_words
from app.clients.editing.models import ClientChange, ClientCorrection
from app.clients.labels import FLAG_LABELS
from app.clients.models import Client, CustomField
from app.clients.queries import visible_clients
from app.clients.timeline import TimelineEntry
from app.core.errors import NotFound
from app.core.extensions import db
from app.core.paging import Page, newest_first
from app.users.models import Branch, User

_FACTS = {fact.key: fact for fact in FACTS}


def corrections_page(*, user: User, state: str, newer_than: int | None, older_than: int | None) -> Page:
    """Corrections of the clients a person may see, newest first, with client, branch and who proposed and decided."""
    query = _lines(user).where(ClientCorrection.state == state)
    return newest_first(query, ClientCorrection.id.expression, newer_than=newer_than, older_than=older_than)


def correction_line(correction_id: int, *, user: User) -> Any:
    """One line of `corrections_page`; None where the person may not see the client."""
    return db.session.execute(_lines(user).where(ClientCorrection.id == correction_id)).one_or_none()


def _lines(user: User) -> Select[*tuple[Any, ...]]:
    decider = aliased(User)
    return (
        select(
            ClientCorrection.id,
            ClientCorrection,
            Client.number,
            Client.name,
            Branch.name.label("branch"),
            User.name.label("proposer"),
            decider.name.label("decider"),
        )
        .join(Client, Client.id == ClientCorrection.client_id)
        .join(Branch, Branch.id == Client.branch_id)
        .join(User, User.id == ClientCorrection.proposed_by_id)
        .outerjoin(decider, decider.id == ClientCorrection.decided_by_id)
        .where(visible_clients(user))
    )


def waiting_corrections(*, user: User) -> int:
    """How many corrections wait for somebody of the person's part of the firm."""
    return (
        db.session.scalar(
            select(func.count(ClientCorrection.id))
            .join(Client, Client.id == ClientCorrection.client_id)
            .where(ClientCorrection.state == "open", visible_clients(user))
        )
        or 0
    )


def find_correction(correction_id: int, *, user: User) -> ClientCorrection:
    """The correction, where the person may see its client; else NotFound."""
    found = db.session.scalar(
        select(ClientCorrection)
        .join(Client, Client.id == ClientCorrection.client_id)
        .where(ClientCorrection.id == correction_id, visible_clients(user))
    )
    if found is None:
        raise NotFound
    return found


@dataclass(frozen=True, slots=True)
class Waiting:
    """A correction that waits, as the page of the client tells it."""

    label: str
    after: str
    proposer: str


def open_corrections(client_id: int) -> list[Waiting]:
    """What advisers say is wrong with the client's contact data, masked."""
    rows = db.session.execute(
        select(ClientCorrection, User.name)
        .join(User, User.id == ClientCorrection.proposed_by_id)
        .where(ClientCorrection.client_id == client_id, ClientCorrection.state == "open")
        .order_by(ClientCorrection.id)
    )
    return [
        Waiting(str(_FACTS[one.field].label), masked_value(_FACTS[one.field], one.after) or "–", name)
        for one, name in rows
    ]


def change_timeline(client_ids: Sequence[int], limit: int) -> list[TimelineEntry]:
    """Facts that people changed: what it was and what it is."""
    rows = db.session.execute(
        select(ClientChange, User.name)
        .outerjoin(User, User.id == ClientChange.actor_id)
        .where(ClientChange.client_id.in_(client_ids))
        .order_by(ClientChange.at.desc(), ClientChange.id.desc())
        .limit(limit)
    ).all()
    if not rows:
        return []
    facts = _FACTS | {(fact := own_fact(one)).key: fact for one in db.session.scalars(select(CustomField))}
    branches: dict[str, str] = {}
    if any(change.field == "branch_id" for change, _name in rows):
        branches = {str(row.id): row.name for row in db.session.execute(select(Branch.id, Branch.name))}
    return [
        TimelineEntry(at=change.at, kind="changed", text=_sentence(change, name, facts, branches))
        for change, name in rows
    ]


def _sentence(change: ClientChange, name: str | None, facts: dict[str, Fact], branches: dict[str, str]) -> str:
    by = name or _("the system")
    if change.field == "flags":
        flag = str(FLAG_LABELS.get(change.before or change.after or "", change.before or change.after))
        if change.after:
            return str(_("Flagged as “%(flag)s” by %(name)s: %(reason)s", flag=flag, name=by, reason=change.reason))
        return str(_("Flag “%(flag)s” taken off by %(name)s: %(reason)s", flag=flag, name=by, reason=change.reason))
    fact = facts.get(change.field)
    label = str(fact.label) if fact else change.field
    before, after = (
        branches.get(words, words) if change.field == "branch_id" and words else shown_words(fact, words)
        for words in (change.before, change.after)
    )
    if change.source == "correction":
        return str(
            _(
                "%(field)s: %(before)s → %(after)s, corrected by %(name)s",
                field=label,
                before=before,
                after=after,
                name=by,
            )
        )
    if change.source == "merge":
        return str(
            _(
                "%(field)s: %(before)s → %(after)s, when two records were merged",
                field=label,
                before=before,
                after=after,
            )
        )
    return str(
        _("%(field)s: %(before)s → %(after)s, changed by %(name)s", field=label, before=before, after=after, name=by)
    )
