"""What a leaver leaves besides clients, told by the features that know it; and moving many clients in the background.

Clients do not know campaigns or tasks (data flows the other way): those features register here, in `app/wiring.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, false, literal, select

from app.audit.service import record
from app.clients.models import Client
from app.clients.ownership.by_tier import HAND_OVER_TIERS
from app.clients.ownership.queries import in_reach, user_in_reach
from app.clients.ownership.service import transfer_clients
from app.clients.queries import visible_clients
from app.core.errors import AppError, NotFound
from app.core.extensions import db
from app.core.jobs import Job, Lease, enqueue
from app.core.permissions import GRANTS, Permission, require
from app.core.queues import AUDIENCE
from app.core.unit_of_work import unit_of_work
from app.users.models import User

TRANSFER = "clients.transfer"
AT_ONCE = 5_000  # clients that a request may move by itself
CHUNK = 5_000


class UnfitSuccessor(AppError):
    message = _l("Choose a successor of your part of the firm whose role may do this work.")


# ---- Belongings besides clients -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Belongings:
    """A kind of thing that people own: how many somebody has, and the verb that gives them all to somebody else.

    `permission` is what a successor needs to be allowed; `pass_on(leaver, successor, actor)` returns how many.
    """

    key: str
    label: object
    permission: Permission
    count: Callable[[int], int]
    pass_on: Callable[[User, User, User], int]


_belongings: dict[str, Belongings] = {}


def register_belongings(kind: Belongings) -> None:
    """Called in wiring by each feature whose things have an owner."""
    _belongings[kind.key] = kind


def belongings_of(user_id: int) -> list[tuple[Belongings, int]]:
    """Each registered kind with how many the person has."""
    return [(kind, kind.count(user_id)) for kind in _belongings.values()]


def possible_successors(kind: Belongings, *, leaver: User, actor: User) -> Sequence[User]:
    """Who may take these things over, by name."""
    roles = [role.value for role, granted in GRANTS.items() if kind.permission in granted]
    return db.session.scalars(
        select(User)
        .join(User.branch)
        .where(User.active, User.frozen_at.is_(None), User.roles.overlap(roles), User.id != leaver.id, in_reach(actor))
        .order_by(User.name, User.id)
    ).all()


def pass_on(*, key: str, leaver: User, successor: User, actor: User) -> int:
    """Give all things of one kind to a successor. Returns how many. Raises NotFound, UnfitSuccessor."""
    require(actor, Permission.MANAGE_OWNERSHIP)
    kind = _belongings.get(key)
    if kind is None:
        raise NotFound
    if successor not in possible_successors(kind, leaver=leaver, actor=actor):
        raise UnfitSuccessor
    number = kind.pass_on(leaver, successor, actor)
    if number:
        record(
            actor=actor,
            action="user.things_handed_over",
            subject="user",
            subject_id=leaver.id,
            changes={"things": [None, key], "number": [0, number], "to": [leaver.name, successor.name]},
        )
    return number


# ---- Which clients, in a few words that fit a job -------------------------------------------------------------------


Choices = Callable[[User], Sequence[tuple[int, str]]]
Condition = Callable[[int, User], ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Selection:
    """A kind of choice of clients by one id, such as a segment: what is offered to a person, and the WHERE on client.

    `condition(id, user)` raises NotFound where the person may not use it.
    """

    key: str
    label: object
    choices: Choices
    condition: Condition


_selections: dict[str, Selection] = {}


def register_selection(kind: Selection) -> None:
    """Called in wiring by features that know a way to choose clients."""
    _selections[kind.key] = kind


def selections() -> Sequence[Selection]:
    return list(_selections.values())


def chosen_clients(words: str, *, user: User) -> ColumnElement[bool]:
    """The WHERE of "owner:7" (all of an adviser), "owner:7:branch:3", or a registered "segment:12". Else NotFound."""
    kind, *parts = words.split(":")
    try:
        if kind == "owner":
            owned = Client.adviser_id == user_in_reach(int(parts[0]), user=user).id
            return owned & (Client.branch_id == int(parts[2])) if parts[1:2] == ["branch"] else owned
        return _selections[kind].condition(int(parts[0]), user)
    except (KeyError, ValueError, IndexError) as error:
        raise NotFound from error


def order_transfer(*, words: str, to: Sequence[User], reason: str, actor: User) -> Job:
    """Have a worker transfer the clients that `chosen_clients(words)` names: for more than a request should move."""
    require(actor, Permission.MANAGE_OWNERSHIP)
    chosen_clients(words, user=actor)
    transfer_clients(clients=false(), to=to, reason=reason, actor=actor)  # what it refuses is told before it is ordered
    return enqueue(
        TRANSFER,
        queue=AUDIENCE,
        words=words,
        to=",".join(str(adviser.id) for adviser in to),
        reason=reason[:300],
        actor_id=actor.id,
    )


def run_transfer(*, lease: Lease, words: str, to: str, reason: str, actor_id: int) -> None:
    """Move the clients some thousands at a time; begun anew, it goes on with those who have not moved yet."""
    after, done = 0, 0
    while True:
        with unit_of_work():
            actor = db.session.get_one(User, actor_id)
            advisers = [db.session.get_one(User, int(adviser)) for adviser in to.split(",")]
            where = chosen_clients(words, user=actor) & visible_clients(actor) & (Client.id > after)
            ids = db.session.scalars(select(Client.id).where(where).order_by(Client.id).limit(CHUNK)).all()
            if not ids:
                return
            after = ids[-1]
            done += transfer_clients(clients=Client.id.in_(ids), to=advisers, reason=reason, actor=actor)
            lease.renew(done=done)


def transfer_or_order(*, words: str, to: Sequence[User], reason: str, actor: User) -> int | None:
    """Transfer at once what a request may move; more goes to a worker (None)."""
    where = chosen_clients(words, user=actor) & visible_clients(actor)
    some = select(literal(1)).select_from(Client).where(where).limit(AT_ONCE + 1).subquery()
    if len(db.session.execute(select(some)).all()) > AT_ONCE:
        order_transfer(words=words, to=to, reason=reason, actor=actor)
        return None
    return transfer_clients(clients=chosen_clients(words, user=actor), to=to, reason=reason, actor=actor)


def clients_numbered(numbers: Sequence[str]) -> ColumnElement[bool]:
    """For WHERE on client: those with these numbers."""
    return Client.number.in_(list(numbers))


def open_jobs() -> Any:
    """Transfers and allotments that have not ended, newest first: (id, name, state, done)."""
    return db.session.execute(
        select(Job.id, Job.name, Job.state, Job.done)
        .where(Job.name.in_((TRANSFER, HAND_OVER_TIERS, "clients.allot_pool")), Job.state.in_(("due", "running")))
        .order_by(Job.id.desc())
        .limit(5)
    ).all()
