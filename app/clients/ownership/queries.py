"""Reads about who looks after whom: capacity, the pool, history, and who may follow whom."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import ColumnElement, Select, func, literal, or_, select, text, tuple_
from sqlalchemy.orm import aliased, contains_eager

from app.clients.classes.models import ClientClass
from app.clients.models import Client
from app.clients.ownership.models import CREDIT, OWNER, SECOND, Ownership, OwnershipSettings
from app.clients.queries import visible_clients
from app.core.errors import NotFound
from app.core.extensions import db
from app.core.permissions import Role
from app.users.models import Branch, User
from app.users.queries import in_subtree, team_subtree

DEFAULT_CAPACITY = 600  # firms give an adviser 500 to 800 clients
PAGE = 50


def default_capacity() -> int:
    """How many clients an adviser may own where their own post does not say otherwise."""
    return db.session.scalar(select(OwnershipSettings.default_capacity)) or DEFAULT_CAPACITY


def counts_as_owned() -> ColumnElement[bool]:
    """For WHERE on client: who takes up room with an adviser, or waits in the pool. Closed clients do neither."""
    return Client.merged_into_id.is_(None) & (Client.status != "closed")


def one_filling_at_a_time() -> None:
    """Wait until nobody else gives clients to advisers up to their capacity: two at once would fill the same seats."""
    db.session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('clients.allot_pool', 0))"))


# ---- Advisers -------------------------------------------------------------------------------------------------------


def able_to_advise() -> ColumnElement[bool]:
    """For WHERE on user: who can be given clients."""
    return User.active & User.frozen_at.is_(None) & User.roles.contains([Role.ADVISER.value])


def in_reach(user: User) -> ColumnElement[bool]:
    """For WHERE on user joined with branch: staff of the person's part of the firm and of the team they lead."""
    reach = in_subtree(user.branch)
    if user.leads_team and user.team is not None:
        reach = or_(reach, User.team_id.in_(team_subtree(user.team)))
    return reach


def advisers_in_reach(user: User) -> Sequence[User]:
    """The advisers a person may give clients to, by name."""
    return db.session.scalars(
        select(User)
        .join(User.branch)
        .options(contains_eager(User.branch))
        .where(able_to_advise(), in_reach(user))
        .order_by(func.lower(User.name), User.id)
    ).all()


def user_in_reach(user_id: int, *, user: User) -> User:
    """The member of staff, where they are in the person's reach; else NotFound."""
    found: User | None = db.session.scalar(select(User).join(User.branch).where(User.id == user_id, in_reach(user)))
    if found is None:
        raise NotFound
    return found


# ---- One client -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which somebody was a client's owner, second adviser, or credited. `until` None: still so."""

    adviser: str
    role: str
    since: datetime
    until: datetime | None
    by: str | None
    reason: str | None


def ownership_history(client: Client) -> list[Stretch]:
    """Who looked after the client and who was paid, newest first.

    An owner whom nobody has changed yet has no row: they own the client since it was created.
    """
    actor = aliased(User)
    rows = db.session.execute(
        select(User.name, Ownership.role, Ownership.since, Ownership.until, actor.name, Ownership.reason)
        .join(User, User.id == Ownership.adviser_id)
        .outerjoin(actor, actor.id == Ownership.by_id)
        .where(Ownership.client_id == client.id)
        .order_by(Ownership.since.desc(), Ownership.id.desc())
    )
    stretches = [Stretch(*row) for row in rows]
    written = {stretch.role for stretch in stretches if stretch.until is None}
    for role, person in ((OWNER, client.adviser), (SECOND, client.second_adviser)):
        if person is not None and role not in written:
            stretches.append(Stretch(person.name, role, client.created_at, None, None, None))
    return stretches


def credited(client_id: int) -> User | None:
    """Who is paid for the client where that is not the owner."""
    return db.session.scalar(
        select(User)
        .join(Ownership, Ownership.adviser_id == User.id)
        .where(Ownership.client_id == client_id, Ownership.role == CREDIT, Ownership.until.is_(None))
    )


# ---- The pool -------------------------------------------------------------------------------------------------------


def in_pool(user: User) -> ColumnElement[bool]:
    """For WHERE on client: those that nobody looks after, of the branch the person works for and below it.

    The one place where an adviser meets clients outside `visible_clients`: what is shown of them is masked.
    """
    branches = select(Branch.id).where(in_subtree(user.branch))
    waiting = Client.adviser_id.is_(None) & counts_as_owned()
    if user.branch.parent_id is None:
        return waiting
    return waiting & (Client.branch_id == func.any(func.array(branches.scalar_subquery())))


@dataclass(frozen=True, slots=True)
class PoolFilters:
    """`search` is a whole number, name, e-mail address or mobile number: the pool is not to be leafed through."""

    search: str = ""
    branch: str = ""


@dataclass(frozen=True, slots=True)
class PoolLine:
    """A client of the pool: what may be told, before masking."""

    id: int
    number: str
    name: str | None
    city: str | None
    branch: str
    total_assets: Decimal | None
    tier: str | None
    opened_on: date | None


@dataclass(frozen=True, slots=True)
class PoolPage:
    """A page of the pool and the id of the client after which the next one begins (None: this is the last)."""

    lines: list[PoolLine]
    after: int | None


def pool_page(*, user: User, filters: PoolFilters, after: int | None = None) -> PoolPage:
    """The pool, highest total assets first, those without any known last; 50 a page.

    Two reads, each from an index of its own: one order with the unknown last would sort the whole pool.
    """
    query = (
        select(
            Client.id, Client.number, Client.name, Client.city, Branch.name, Client.total_assets,
            ClientClass.aum_tier, Client.opened_on,
        )
        .join(Branch, Branch.id == Client.branch_id)
        .outerjoin(ClientClass, ClientClass.client_id == Client.id)
        .where(in_pool(user), *_narrowed(filters))
    )  # fmt: skip
    place = db.session.execute(select(Client.total_assets, Client.id).where(Client.id == after)).one_or_none()
    known = query.where(Client.total_assets.is_not(None)).order_by(Client.total_assets.desc(), Client.id.desc())
    unknown = query.where(Client.total_assets.is_(None)).order_by(Client.id.desc())
    lines: list[PoolLine] = []
    if place is None or place.total_assets is not None:
        if place is not None:
            known = known.where(tuple_(Client.total_assets, Client.id) < tuple_(*map(literal, place)))
        lines += [PoolLine(*row) for row in db.session.execute(known.limit(PAGE + 1))]
    elif place is not None:
        unknown = unknown.where(Client.id < place.id)
    if len(lines) <= PAGE:
        lines += [PoolLine(*row) for row in db.session.execute(unknown.limit(PAGE + 1 - len(lines)))]
    shown = lines[:PAGE]
    return PoolPage(shown, shown[-1].id if len(lines) > PAGE else None)


def pool_count(*, user: User, filters: PoolFilters, up_to: int = 100_000) -> int:
    """How many clients wait in the pool, counted no further than `up_to`."""
    waiting = select(Client.id).where(in_pool(user), *_narrowed(filters)).limit(up_to)
    return db.session.scalar(select(func.count()).select_from(waiting.subquery())) or 0


def _narrowed(filters: PoolFilters) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if filters.branch:
        root = select(Branch.path).where(Branch.id == _whole_number(filters.branch)).scalar_subquery()
        conditions.append(Client.branch_id.in_(select(Branch.id).where(func.starts_with(Branch.path, root))))
    if words := filters.search.replace("\x00", "").strip()[:200]:
        ways: list[Select[int]] = [
            select(Client.id).where(Client.number == words),
            select(Client.id).where(func.lower(Client.name) == words.lower()),
            select(Client.id).where(func.lower(Client.email) == words.lower()),
            select(Client.id).where(Client.mobile.in_({words, words.replace(" ", ""), f"+86{words}"})),
        ]
        conditions.append(or_(*(Client.id.in_(way) for way in ways)))
    return conditions


def _whole_number(words: str) -> int:
    return int(words) if words.isascii() and words.isdecimal() and len(words) < 18 else -1


def pool_client(client_id: int, *, user: User) -> Client:
    """The client, where it waits in the person's pool or did a moment ago; else NotFound."""
    branches = select(Branch.id).where(in_subtree(user.branch))
    client = db.session.scalar(
        select(Client).where(Client.id == client_id, counts_as_owned(), Client.branch_id.in_(branches))
    )
    if client is None:
        raise NotFound
    return client


# ---- Leavers --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Belonging:
    """Clients of a leaver, in one part: by branch and tier."""

    branch_id: int
    branch: str
    tier: str | None
    number: int


def owned_parts(adviser: User, *, user: User) -> list[Belonging]:
    """The clients that an adviser owns and the person may see, by branch and tier, largest part first."""
    number = func.count()
    rows = db.session.execute(
        select(Branch.id, Branch.name, ClientClass.aum_tier, number)
        .select_from(Client)
        .join(Branch, Branch.id == Client.branch_id)
        .outerjoin(ClientClass, ClientClass.client_id == Client.id)
        .where(Client.adviser_id == adviser.id, visible_clients(user))
        .group_by(Branch.id, Branch.name, ClientClass.aum_tier)
        .order_by(number.desc(), Branch.name)
    )
    return [Belonging(*row) for row in rows]


def roles_left(adviser_id: int) -> dict[str, int]:
    """How many clients somebody still owns, shares as second adviser and is credited with (roles without any: 0)."""
    found = defaultdict(int)
    found[OWNER] = _number(Client.adviser_id == adviser_id)
    found[SECOND] = _number(Client.second_adviser_id == adviser_id)
    credit = (
        select(func.count())
        .select_from(Ownership)
        .join(Client, Client.id == Ownership.client_id)
        .where(
            Ownership.adviser_id == adviser_id,
            Ownership.role == CREDIT,
            Ownership.until.is_(None),
            Client.merged_into_id.is_(None),
        )
    )
    found[CREDIT] = db.session.scalar(credit) or 0
    return dict(found)


def _number(condition: ColumnElement[bool]) -> int:
    held = select(func.count()).select_from(Client).where(condition, Client.merged_into_id.is_(None))
    return db.session.scalar(held) or 0
