"""What advisers look after: clients against capacity, clients shared, and open work, told by the features with work."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import contains_eager, joinedload

from app.clients.classes.models import ClientClass
from app.clients.models import Client
from app.clients.ownership.queries import counts_as_owned, default_capacity, in_reach
from app.core.extensions import db
from app.core.permissions import Permission, Role, allows
from app.users.models import User
from app.users.queries import team_subtree


@dataclass(frozen=True, slots=True)
class Work:
    """A kind of open work. `count` maps the ids of advisers to how much each has; those without any may be missing."""

    key: str
    label: object
    count: Callable[[Sequence[int]], Mapping[int, int]]


_works: dict[str, Work] = {}


def register_work(kind: Work) -> None:
    """Called in wiring by each feature that gives advisers work."""
    _works[kind.key] = kind


def kinds_of_work() -> list[Work]:
    return list(_works.values())


@dataclass(slots=True)
class AdviserLoad:
    """What an adviser looks after: owned clients by tier (None: no tier known), those shared as second, the limit.

    `work` is the open work by the key of its kind.
    """

    adviser: User
    capacity: int
    tiers: dict[str | None, int] = field(default_factory=dict)
    shared: int = 0
    work: dict[str, int] = field(default_factory=dict)

    @property
    def owned(self) -> int:
        return sum(self.tiers.values())

    @property
    def room(self) -> int:
        """How many more clients the capacity allows."""
        return max(0, self.capacity - self.owned)

    @property
    def over(self) -> int:
        """How many clients above the capacity."""
        return max(0, self.owned - self.capacity)


def adviser_loads(user: User) -> list[AdviserLoad]:
    """The load of every adviser the person answers for who can own clients or still does, fullest first.

    All clients of an adviser count, of whatever branch: the load is the adviser's.
    """
    people = db.session.scalars(
        select(User)
        .join(User.branch)
        .options(contains_eager(User.branch), joinedload(User.team))
        .where(User.active, User.roles.contains([Role.ADVISER.value]), _answered_for(user))
    ).all()
    return sorted(loads_of(people), key=lambda load: (-load.owned / max(load.capacity, 1), load.adviser.name))


def _answered_for(user: User) -> ColumnElement[bool]:
    """For WHERE on user joined with branch: a manager's part of the firm, a leader's teams, else oneself alone."""
    if allows(user, Permission.MANAGE_OWNERSHIP):
        return in_reach(user)
    if user.leads_team and user.team is not None:
        return User.team_id.in_(team_subtree(user.team))
    return User.id == user.id


def load_of(adviser: User) -> AdviserLoad:
    return loads_of([adviser])[0]


def loads_of(people: Sequence[User]) -> list[AdviserLoad]:
    """The load of each, in the same order; one question for each kind of number."""
    limit = default_capacity()
    loads: dict[int | None, AdviserLoad] = {
        person.id: AdviserLoad(person, limit if person.client_capacity is None else person.client_capacity)
        for person in people
    }
    ids = [person.id for person in people]
    owned = (
        select(Client.adviser_id, ClientClass.aum_tier, func.count())
        .outerjoin(ClientClass, ClientClass.client_id == Client.id)
        .where(Client.adviser_id.in_(ids), counts_as_owned())
        .group_by(Client.adviser_id, ClientClass.aum_tier)
    )
    for adviser_id, tier, number in db.session.execute(owned):
        loads[adviser_id].tiers[tier] = number
    shared = (
        select(Client.second_adviser_id, func.count())
        .where(Client.second_adviser_id.in_(ids), counts_as_owned())
        .group_by(Client.second_adviser_id)
    )
    for adviser_id, number in db.session.execute(shared):
        loads[adviser_id].shared = number
    for kind in kinds_of_work():
        for adviser_id, number in kind.count(ids).items():
            loads[adviser_id].work[kind.key] = number
    return list(loads.values())
