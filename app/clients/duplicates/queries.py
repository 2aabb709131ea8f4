"""Reads of pairs of clients who may be the same person. Both must be clients the reader may see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from flask_babel import gettext as _
from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import aliased, joinedload

from app.clients.duplicates.models import ClientMerge, DuplicatePair
from app.clients.duplicates.tables import merged_facts
from app.clients.editing.fields import Fact, shown_words, stored_words
from app.clients.holdings.models import Account
from app.clients.models import Client
from app.clients.queries import visible_clients
from app.clients.timeline import TimelineEntry
from app.core.errors import NotFound
from app.core.extensions import db
from app.core.jobs import Job
from app.core.web import day
from app.users.models import User

PAGE = 30
FIND = "clients.find_duplicates"
_VIEW = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class PairLine:
    """Two clients with what they share."""

    pair: DuplicatePair
    first: Client
    second: Client


@dataclass(frozen=True, slots=True)
class PairsPage:
    """A page of pairs, the strongest first; `after` is the place to go on from."""

    lines: list[PairLine]
    after: str | None


def pairs_page(*, user: User, state: str, after: str = "") -> PairsPage:
    """Pairs in a state, both clients visible to the person, the strongest first; 30 a page."""
    first, second = aliased(Client), aliased(Client)
    visible = select(Client.id).where(visible_clients(user))
    query = (
        select(DuplicatePair, first, second)
        .join(first, first.id == DuplicatePair.first_id)
        .join(second, second.id == DuplicatePair.second_id)
        .options(joinedload(first.branch), joinedload(first.adviser))
        .options(joinedload(second.branch), joinedload(second.adviser))
        .where(DuplicatePair.state == state, first.id.in_(visible), second.id.in_(visible))
        .order_by(DuplicatePair.strength.desc(), DuplicatePair.first_id.desc(), DuplicatePair.second_id.desc())
        .limit(PAGE + 1)
    )
    if place := _place(after):
        query = query.where(
            tuple_(DuplicatePair.strength, DuplicatePair.first_id, DuplicatePair.second_id) < tuple_(*place)
        )
    lines = [PairLine(*row) for row in db.session.execute(query)]
    shown = lines[:PAGE]
    last = shown[-1].pair if len(lines) > PAGE else None
    return PairsPage(shown, f"{last.strength}-{last.first_id}-{last.second_id}" if last else None)


def _place(after: str) -> _VIEW | None:
    parts = after.split("-")
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() and len(part) < 16 for part in parts):
        return None
    return int(parts[0]), int(parts[1]), int(parts[2])


def pairs_of(client_id: int, *, user: User) -> int:
    """How many other clients the person may see that may be this one."""
    other = func.nullif(DuplicatePair.first_id + DuplicatePair.second_id - client_id, client_id)
    return (
        db.session.scalar(
            select(func.count())
            .select_from(DuplicatePair)
            .join(Client, Client.id == other)
            .where(
                (DuplicatePair.first_id == client_id) | (DuplicatePair.second_id == client_id),
                DuplicatePair.state == "open",
                visible_clients(user),
            )
        )
        or 0
    )


def find_two(first: str, second: str, *, user: User) -> tuple[Client, Client]:
    """The two clients with these numbers, where the person may see both and they are not one already."""
    found = {
        client.number: client
        for client in db.session.scalars(
            select(Client)
            .options(joinedload(Client.branch), joinedload(Client.adviser), joinedload(Client.second_adviser))
            .where(Client.number.in_([first, second]), visible_clients(user))
        )
    }
    if len(found) != 2:
        raise NotFound
    return found[first], found[second]


def pair_of(one: Client, other: Client) -> DuplicatePair | None:
    """What is known of these two as a pair."""
    return db.session.get(DuplicatePair, (min(one.id, other.id), max(one.id, other.id)))


@dataclass(frozen=True, slots=True)
class Comparison:
    """One field of two records, in words and masked. `differs` is False where both say the same; `stays` is the
    index of the record whose value is offered to stay."""

    key: str
    label: object
    words: tuple[str, str]
    differs: bool
    stays: int


def compare(survivor: Client, loser: Client) -> list[Comparison]:
    """Each field that either of the two records knows. What the survivor knows is offered to stay, else the other's."""
    lines = []
    for fact in merged_facts():
        values = [getattr(client, fact.column) for client in (survivor, loser)]
        if any(value not in (None, "", []) for value in values):
            words = (_words(survivor, fact), _words(loser, fact))
            stays = 1 if values[0] in (None, "", []) else 0
            lines.append(Comparison(fact.key, fact.label, words, values[0] != values[1], stays))
    return lines


def _words(client: Client, fact: Fact) -> str:
    people = {"branch_id": client.branch, "adviser_id": client.adviser, "second_adviser_id": client.second_adviser}
    if fact.key in people:
        found = people[fact.key]
        return found.name if found is not None else "–"
    value = getattr(client, fact.column)
    return day(value) if isinstance(value, date) else shown_words(fact, stored_words(fact, value))


@dataclass(frozen=True, slots=True)
class Weight:
    """How much hangs on a record: which one should stay."""

    accounts: int
    assets: Decimal | None


def weights(clients: Sequence[Client]) -> Mapping[int, Weight]:
    """Open and closed accounts and total assets of each record."""
    counts = dict(
        iter(
            db.session.execute(
                select(Account.client_id, func.count())
                .where(Account.client_id.in_([client.id for client in clients]))
                .group_by(Account.client_id)
            )
        )
    )
    return {client.id: Weight(counts.get(client.id, 0), client.total_assets) for client in clients}


def last_search() -> Job | None:
    """The newest search of the whole book."""
    return db.session.scalar(select(Job).where(Job.name == FIND).order_by(Job.id.desc()).limit(1))


def merge_timeline(client_ids: Sequence[int], limit: int, until: datetime) -> list[TimelineEntry]:
    """Records that were merged into the client."""
    loser = aliased(Client)
    rows = db.session.execute(
        select(ClientMerge.at, loser.number, User.name)
        .join(loser, loser.id == ClientMerge.loser_id)
        .outerjoin(User, User.id == ClientMerge.actor_id)
        .where(ClientMerge.survivor_id.in_(client_ids), ClientMerge.at <= until)
        .order_by(ClientMerge.at.desc(), ClientMerge.id.desc())
        .limit(limit)
    )
    return [
        TimelineEntry(
            at=row.at,
            kind="merged",
            text=_(
                "The record %(number)s was merged into this one by %(name)s", number=row.number, name=row.name or "–"
            ),
        )
        for row in rows
    ]


def merged_numbers(client_id: int) -> Sequence[str]:
    """The numbers of the records merged into the client."""
    return db.session.scalars(select(Client.number).where(Client.merged_into_id == client_id).order_by(Client.id)).all()
