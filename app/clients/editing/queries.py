"""Reads of what was changed about clients and what waits to be confirmed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import Select, func, select
from sqlalchemy.orm import aliased

from app.clients.editing.fields import BY_FILES, FACTS, Fact, masked_value, own_fact, shown_words
from app.clients.editing.models import ClientArrival, ClientChange, ClientCorrection
from app.clients.feeds.models import Feed, FeedRun
from app.clients.models import Client, ClientImport, CustomField
from app.clients.queries import visible_clients
from app.clients.timeline import TimelineEntry
from app.core.errors import NotFound
from app.core.extensions import db
from app.core.paging import Page, newest_first
from app.users.models import Branch, User

_FACTS = {fact.key: fact for fact in (*FACTS, *BY_FILES)}
_FILE = (func.coalesce(ClientImport.file_name, FeedRun.file_name).label("file"), Feed.name.label("feed"))


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


def change_timeline(client_ids: Sequence[int], limit: int, until: datetime) -> list[TimelineEntry]:
    """Facts that people and files changed: what they were and what they are, all that changed at once in one entry."""
    rows = db.session.execute(
        select(ClientChange, User.name.label("person"), *_FILE)
        .outerjoin(User, User.id == ClientChange.actor_id)
        .outerjoin(ClientImport, ClientImport.id == ClientChange.import_id)
        .outerjoin(FeedRun, FeedRun.id == ClientChange.feed_run_id)
        .outerjoin(Feed, Feed.id == FeedRun.feed_id)
        .where(ClientChange.client_id.in_(client_ids), ClientChange.at <= until)
        .order_by(ClientChange.at.desc(), ClientChange.id.desc())
        .limit(limit)
    ).all()
    if not rows:
        return []
    facts = _FACTS | {(fact := own_fact(one)).key: fact for one in db.session.scalars(select(CustomField))}
    branches: dict[str, str] = {}
    if any("branch_id" in row.ClientChange.changes for row in rows):
        branches = {str(row.id): row.name for row in db.session.execute(select(Branch.id, Branch.name))}
    return [TimelineEntry(at=row.ClientChange.at, kind="changed", text=_sentence(row, facts, branches)) for row in rows]


def arrival_timeline(client_ids: Sequence[int], limit: int, until: datetime) -> list[TimelineEntry]:
    """The file that brought the client into the book."""
    rows = db.session.execute(
        select(ClientArrival.at, *_FILE)
        .join(Client, Client.created_at == ClientArrival.at)
        .outerjoin(ClientImport, ClientImport.id == ClientArrival.import_id)
        .outerjoin(FeedRun, FeedRun.id == ClientArrival.feed_run_id)
        .outerjoin(Feed, Feed.id == FeedRun.feed_id)
        .where(Client.id.in_(client_ids), ClientArrival.at <= until)
        .order_by(ClientArrival.at.desc(), Client.id)
        .limit(limit)
    )
    return [
        TimelineEntry(
            at=row.at, kind="arrived", text=str(_("Came into the book from the file %(file)s", file=row.file))
        )
        if row.feed is None
        else TimelineEntry(
            at=row.at,
            kind="arrived",
            text=str(_("Came into the book from the file %(file)s of the feed %(feed)s", file=row.file, feed=row.feed)),
        )
        for row in rows
    ]


def _sentence(row: Any, facts: dict[str, Fact], branches: dict[str, str]) -> str:
    """The words of a row of (ClientChange, person, file, feed)."""
    change: ClientChange = row.ClientChange
    by = row.person or _("the system")
    if change.reason and list(change.changes) == ["flags"]:
        before, after = change.changes["flags"]
        flag = shown_words(_FACTS["flags"], before or after)
        if after:
            return str(_("Flagged as “%(flag)s” by %(name)s: %(reason)s", flag=flag, name=by, reason=change.reason))
        return str(_("Flag “%(flag)s” taken off by %(name)s: %(reason)s", flag=flag, name=by, reason=change.reason))
    known = [key for key in facts if key in change.changes]
    keys = known + [key for key in change.changes if key not in facts]
    changes = str(_("; ")).join(
        part for key in keys for part in _parts(key, change.changes[key], facts.get(key), branches)
    )
    match change.source:
        case "import":
            return str(_("%(changes)s, from the file %(file)s", changes=changes, file=row.file))
        case "feed":
            return str(
                _(
                    "%(changes)s, from the file %(file)s of the feed %(feed)s",
                    changes=changes,
                    file=row.file,
                    feed=row.feed,
                )
            )
        case "correction":
            return str(_("%(changes)s, corrected by %(name)s", changes=changes, name=by))
        case "merge":
            return str(_("%(changes)s, when two records were merged", changes=changes))
        case _:
            return str(_("%(changes)s, changed by %(name)s", changes=changes, name=by))


def _parts(key: str, pair: list[str | None], fact: Fact | None, branches: dict[str, str]) -> list[str]:
    """What became of a field, in words."""
    before, after = pair
    if key == "flags":
        return [
            *([str(_("flag “%(flag)s” taken off", flag=shown_words(fact, before)))] if before else []),
            *([str(_("flagged as “%(flag)s”", flag=shown_words(fact, after)))] if after else []),
        ]
    label = str(fact.label) if fact else key
    was, becomes = (
        branches.get(words, words) if key == "branch_id" and words else shown_words(fact, words)
        for words in (before, after)
    )
    return [str(_("%(field)s: %(before)s → %(after)s", field=label, before=was, after=becomes))]
