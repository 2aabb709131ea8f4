"""Verbs on households and referrals."""

from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, func, select, update

from app.audit.service import record
from app.clients.models import Client
from app.clients.relations.models import Household, HouseholdMember
from app.core.clock import now
from app.core.errors import AppError, Conflict
from app.core.extensions import db
from app.core.permissions import Actor

MAX_MEMBERS = 30
MAX_REFERRALS = 1_000  # steps looked at for a loop


class WithOneself(AppError):
    message = _l("This is the client themselves.")


class InAnotherHousehold(Conflict):
    message = _l("This client belongs to another household. Take them out of it first.")


class HouseholdFull(Conflict):
    message = _l("A household has %(count)s members at most.", count=MAX_MEMBERS)


class NotAMember(Conflict):
    message = _l("This client is not a member of the household.")


class ReferralLoop(Conflict):
    message = _l("These two would have brought each other: this client was referred, directly or not, by the other.")


def join_household(*, client: Client, other: Client, actor: Actor) -> None:
    """Put `other` into the client's household, which begins with the client as its head.

    Raises WithOneself, InAnotherHousehold or HouseholdFull. Joining twice changes nothing.
    """
    if client.id == other.id:
        raise WithOneself
    _lock(client, other)
    mine, theirs = db.session.get(HouseholdMember, client.id), db.session.get(HouseholdMember, other.id)
    if theirs is not None:
        if mine is not None and mine.household_id == theirs.household_id:
            return
        if mine is not None:
            raise InAnotherHousehold
        client, other, mine = other, client, theirs  # the client joins the household the other one has
    if mine is None:
        household = Household()
        db.session.add(household)
        db.session.flush()
        mine = HouseholdMember(client_id=client.id, household_id=household.id, is_head=True)
        db.session.add(mine)
    elif _size(mine.household_id) >= MAX_MEMBERS:
        raise HouseholdFull
    db.session.add(HouseholdMember(client_id=other.id, household_id=mine.household_id))
    db.session.flush()
    for one, with_ in ((client, other), (other, client)):
        _note("client.join_household", one, {"household_with": [None, with_.number]}, actor)


def leave_household(*, client: Client, actor: Actor) -> None:
    """Take the client out of their household. One left alone has none any more; a head hands over to the next."""
    member = db.session.get(HouseholdMember, client.id)
    if member is None:
        return
    household_id = member.household_id
    db.session.get_one(Household, household_id, with_for_update=True)
    db.session.delete(member)
    db.session.flush()
    _note("client.leave_household", client, {}, actor)
    settle_household(household_id)


def name_head(*, client: Client, actor: Actor) -> None:
    """Make the client the head of their household. Raises NotAMember."""
    member = db.session.get(HouseholdMember, client.id)
    if member is None:
        raise NotAMember
    db.session.get_one(Household, member.household_id, with_for_update=True)
    _set_head(member.household_id, client.id)
    db.session.expire(member)
    _note("client.head_household", client, {}, actor)


def settle_household(household_id: int) -> None:
    """After a member went: end a household of one, and give one without a head its earliest member."""
    members = db.session.scalars(
        select(HouseholdMember)
        .where(HouseholdMember.household_id == household_id)
        .order_by(HouseholdMember.joined_at, HouseholdMember.client_id)
    ).all()
    if len(members) < 2:
        db.session.execute(delete(HouseholdMember).where(HouseholdMember.household_id == household_id))
        db.session.execute(delete(Household).where(Household.id == household_id))
    elif not any(member.is_head for member in members):
        members[0].is_head = True
    db.session.flush()


def set_referrer(*, client: Client, referrer: Client | None, actor: Actor) -> None:
    """Say who brought the client (None: nobody known). Raises WithOneself or ReferralLoop."""
    if referrer is not None:
        if referrer.id == client.id:
            raise WithOneself
        _lock(client, referrer)
        if client.id in _chain(referrer.id):
            raise ReferralLoop
    before = db.session.scalar(select(Client.number).where(Client.id == client.referred_by_id))
    client.referred_by_id = referrer.id if referrer else None
    client.updated_at = now()
    _note("client.refer", client, {"referred_by": [before, referrer.number if referrer else None]}, actor)


def _chain(client_id: int) -> set[int]:
    """Who brought this client, who brought them, and so on."""
    start = select(Client.id, Client.referred_by_id).where(Client.id == client_id).cte("chain", recursive=True)
    chain = start.union(select(Client.id, Client.referred_by_id).join(start, Client.id == start.c.referred_by_id))
    return set(db.session.scalars(select(chain.c.id).limit(MAX_REFERRALS)))


def _lock(*clients: Client) -> None:
    ids = sorted(client.id for client in clients)
    db.session.execute(select(Client.id).where(Client.id.in_(ids)).order_by(Client.id).with_for_update())


def _size(household_id: int) -> int:
    db.session.get_one(Household, household_id, with_for_update=True)
    return db.session.scalar(select(func.count()).where(HouseholdMember.household_id == household_id)) or 0


def _set_head(household_id: int, client_id: int) -> None:
    members = update(HouseholdMember).where(HouseholdMember.household_id == household_id)
    db.session.execute(members.where(HouseholdMember.is_head).values(is_head=False))
    db.session.execute(members.where(HouseholdMember.client_id == client_id).values(is_head=True))


def _note(action: str, client: Client, changes: dict[str, list[object]], actor: Actor) -> None:
    record(actor=actor, action=action, subject="client", subject_id=client.id, changes=changes)
