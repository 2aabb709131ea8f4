"""Verbs on who looks after clients. Each is set-based, leaves history (`recording.py`) and is audited."""

from collections.abc import Mapping, Sequence

from flask_babel import lazy_gettext as _l
from sqlalchemy import BigInteger, ColumnElement, and_, case, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.audit.service import record
from app.clients.models import Client
from app.clients.ownership.models import CREDIT, OWNER, SECOND, Ownership, OwnershipSettings
from app.clients.ownership.queries import (
    able_to_advise,
    credited,
    default_capacity,
    in_pool,
    in_reach,
    pool_client,
    roles_left,
)
from app.clients.ownership.recording import record_ownership_changes
from app.clients.queries import visible_clients
from app.core.errors import AppError, Conflict
from app.core.extensions import db
from app.core.permissions import Permission, require
from app.users.models import User
from app.users.service import MAX_CAPACITY, BadCapacity

MAX_REASON = 300
_COLUMNS = {OWNER: Client.adviser_id, SECOND: Client.second_adviser_id}


class ReasonMissing(AppError):
    message = _l("Please say why; it is kept in the history of the client.")


class NoAdviser(AppError):
    message = _l("Choose an adviser of your part of the firm who can sign in.")


class AlreadyOwned(Conflict):
    """Somebody was quicker; the message names them."""

    def __init__(self, owner: str) -> None:
        super().__init__(_l("%(name)s looks after this client already.", name=owner))


class OwnerIsSecond(Conflict):
    message = _l("This adviser looks after the client already. Choose somebody else to share with.")


class NobodyOwns(Conflict):
    message = _l("Nobody looks after this client. Assign an owner before it is shared.")


class StillLooksAfter(Conflict):
    """Refuses that somebody stops advising while clients are theirs."""

    def __init__(self, number: int) -> None:
        super().__init__(
            _l("Clients are still assigned, shared or credited to this person: %(count)s. Hand them over first.")
            % {"count": number}
        )


# ---- Owners ---------------------------------------------------------------------------------------------------------


def transfer_clients(
    *, clients: ColumnElement[bool], to: Sequence[User], reason: str, actor: User, role: str = OWNER
) -> int:
    """Give the clients, as far as the actor may see them, to one adviser, or deal them among several so that each gets
    as many, rich and poor alike. Whoever one of them has already stays. Returns how many changed hands.

    `role` OWNER or SECOND is what is given. Raises ReasonMissing, NoAdviser.
    """
    require(actor, Permission.MANAGE_OWNERSHIP)
    reason = checked_reason(reason)
    check_advisers(to, actor)
    ids = sorted({adviser.id for adviser in to})
    column = _COLUMNS[role]
    taken = and_(visible_clients(actor), clients, column.is_(None) | column.not_in(ids))
    if role == SECOND:
        taken &= Client.adviser_id.is_not(None) & Client.adviser_id.not_in(ids)
    number = reassign(role=role, clients=taken, to=ids, actor=actor, reason=reason)
    if role == OWNER:
        end_sharing_with_oneself(ids, actor)
    if number:
        names = ", ".join(adviser.name for adviser in to)
        _note("transfer", None, actor, reason, {"clients": [0, number], "to": [None, names], "role": [None, role]})
    return number


def assign(*, client: Client, adviser: User, reason: str, actor: User) -> None:
    """Give one client an owner, or another one. Raises ReasonMissing, NoAdviser."""
    require(actor, Permission.MANAGE_OWNERSHIP)
    reason = checked_reason(reason)
    check_advisers([adviser], actor)
    before = client.adviser.name if client.adviser else None
    if reassign(role=OWNER, clients=Client.id == client.id, to=[adviser.id], actor=actor, reason=reason):
        end_sharing_with_oneself([adviser.id], actor)
        _note("assign", client, actor, reason, {"owner": [before, adviser.name]})


def release(*, client: Client, reason: str, actor: User) -> None:
    """Put a client back into the pool; who shared it shares it no longer. Raises ReasonMissing."""
    require(actor, Permission.MANAGE_OWNERSHIP)
    reason = checked_reason(reason)
    before = client.adviser.name if client.adviser else None
    one = Client.id == client.id
    reassign(role=SECOND, clients=one, to=None, actor=actor, reason=reason)
    if reassign(role=OWNER, clients=one, to=None, actor=actor, reason=reason):
        _note("release", client, actor, reason, {"owner": [before, None]})


def claim(*, client_id: int, actor: User) -> Client:
    """An adviser takes a client they know out of the pool. Of two who claim at once the first has it.

    Raises AlreadyOwned, which names the owner, or NotFound outside the adviser's part of the firm.
    """
    require(actor, Permission.CLAIM_CLIENTS)
    free = (Client.id == client_id) & in_pool(actor)
    claimed = reassign(role=OWNER, clients=free, to=[actor.id], actor=actor, reason=None)
    client = pool_client(client_id, user=actor)
    if not claimed:
        raise AlreadyOwned(client.adviser.name if client.adviser else "")
    end_sharing_with_oneself([actor.id], actor)
    _note("claim", client, actor, None, {"owner": [None, actor.name]})
    return client


# ---- Sharing and credit ---------------------------------------------------------------------------------------------


def share(*, client: Client, adviser: User, reason: str, actor: User) -> None:
    """Let a second adviser look after the client too. Raises ReasonMissing, NoAdviser, OwnerIsSecond, NobodyOwns."""
    require(actor, Permission.MANAGE_OWNERSHIP)
    reason = checked_reason(reason)
    check_advisers([adviser], actor)
    if client.adviser_id is None:
        raise NobodyOwns
    if client.adviser_id == adviser.id:
        raise OwnerIsSecond
    before = client.second_adviser.name if client.second_adviser else None
    shared = (Client.id == client.id) & (Client.adviser_id != adviser.id)
    if reassign(role=SECOND, clients=shared, to=[adviser.id], actor=actor, reason=reason):
        _note("share", client, actor, reason, {"second_adviser": [before, adviser.name]})


def unshare(*, client: Client, reason: str, actor: User) -> None:
    """End that a second adviser looks after the client too. Raises ReasonMissing."""
    require(actor, Permission.MANAGE_OWNERSHIP)
    reason = checked_reason(reason)
    before = client.second_adviser.name if client.second_adviser else None
    if reassign(role=SECOND, clients=Client.id == client.id, to=None, actor=actor, reason=reason):
        _note("unshare", client, actor, reason, {"second_adviser": [before, None]})


def credit(*, client: Client, adviser: User | None, reason: str, actor: User) -> None:
    """Say who is paid for the client, whoever looks after it; None: the owner. Raises ReasonMissing, NoAdviser."""
    require(actor, Permission.MANAGE_OWNERSHIP)
    reason = checked_reason(reason)
    if adviser is not None:
        check_advisers([adviser], actor)
    db.session.execute(select(Client.id).where(Client.id == client.id).with_for_update())
    before = credited(client.id)
    if (before and before.id) == (adviser and adviser.id):
        return
    change = select(
        literal(client.id, BigInteger).label("client_id"),
        literal(before.id if before else None, BigInteger).label("was"),
        literal(adviser.id if adviser else None, BigInteger).label("becomes"),
    )
    record_ownership_changes(changes=change, role=CREDIT, actor_id=actor.id, reason=reason)
    names = [before.name if before else None, adviser.name if adviser else None]
    _note("credit", client, actor, reason, {"credited": names})


# ---- Leavers --------------------------------------------------------------------------------------------------------


def hand_over_shares_and_credits(*, leaver: User, to: Sequence[User], reason: str, actor: User) -> int:
    """Pass what a leaver shares as second adviser or is credited with to the successors. Returns how many clients.

    Where a successor owns the client already, the sharing ends; credit goes back to the owner where no successor is
    given. Clients of other parts of the firm stay: their own manager decides.
    """
    require(actor, Permission.MANAGE_OWNERSHIP)
    reason = checked_reason(reason)
    if to:
        check_advisers(to, actor)
    ids = sorted({adviser.id for adviser in to})
    theirs = visible_clients(actor) & (Client.second_adviser_id == leaver.id)
    number = 0
    if ids:
        number += reassign(
            role=SECOND, clients=theirs & Client.adviser_id.not_in(ids), to=ids, actor=actor, reason=reason
        )
    number += reassign(role=SECOND, clients=theirs, to=None, actor=actor, reason=reason)
    number += _pass_on_credit(leaver, ids, actor, reason)
    if number:
        names = ", ".join(adviser.name for adviser in to) or None
        _note("shares_handed_over", None, actor, reason, {"clients": [0, number], "to": [leaver.name, names]})
    return number


def _pass_on_credit(leaver: User, ids: list[int], actor: User, reason: str) -> int:
    place = func.row_number().over(order_by=Ownership.client_id) - 1
    becomes = _dealt(ids, place) if ids else literal(None, BigInteger)
    theirs = (
        select(
            Ownership.client_id,
            Ownership.adviser_id.label("was"),
            becomes.label("becomes"),
        )
        .join(Client, Client.id == Ownership.client_id)
        .where(
            Ownership.adviser_id == leaver.id,
            Ownership.role == CREDIT,
            Ownership.until.is_(None),
            visible_clients(actor),
        )
    )
    return record_ownership_changes(changes=theirs, role=CREDIT, actor_id=actor.id, reason=reason)


def refuse_to_stop_advising(user_id: int) -> object | None:
    """Why somebody may not leave or stop advising yet: for `core.guards`."""
    number = sum(roles_left(user_id).values())
    return StillLooksAfter(number).message if number else None


# ---- The firm's figures ---------------------------------------------------------------------------------------------


def set_default_capacity(*, capacity: int, actor: User) -> None:
    """Change how many clients an adviser may own where their post does not say otherwise."""
    require(actor, Permission.ADMINISTER)
    if not 1 <= capacity <= MAX_CAPACITY:
        raise BadCapacity
    before = default_capacity()
    if before == capacity:
        return
    row = upsert(OwnershipSettings).values(id=1, default_capacity=capacity)
    db.session.execute(row.on_conflict_do_update(index_elements=["id"], set_={"default_capacity": capacity}))
    record(
        actor=actor,
        action="settings.default_capacity",
        subject="settings",
        subject_id=None,
        changes={"default_capacity": [before, capacity]},
    )


# ---- The one way to change hands ------------------------------------------------------------------------------------


def reassign(*, role: str, clients: ColumnElement[bool], to: list[int] | None, actor: User, reason: str | None) -> int:
    """Set the owner or second adviser of the clients, dealt among `to` by assets (None: nobody), and write history."""
    column = _COLUMNS[role]
    held = (
        select(Client.id, column.label("was"), Client.total_assets)
        .where(clients)
        .order_by(Client.id)
        .with_for_update()
        .cte("held")
    )
    place = func.row_number().over(order_by=(held.c.total_assets.desc().nulls_last(), held.c.id)) - 1
    becomes = _dealt(to, place) if to else literal(None, BigInteger)
    dealt = select(held.c.id, held.c.was, becomes.label("becomes")).cte("dealt")
    moved = (
        update(Client)
        .where(Client.id == dealt.c.id, dealt.c.was.is_distinct_from(dealt.c.becomes))
        .values({column: dealt.c.becomes, Client.updated_at: func.now()})
        .returning(Client.id.label("client_id"), dealt.c.was.label("was"), dealt.c.becomes.label("becomes"))
        .cte("moved")
    )
    changes = select(moved.c.client_id, moved.c.was, moved.c.becomes)
    number = record_ownership_changes(changes=changes, role=role, actor_id=actor.id, reason=reason)
    db.session.expire_all()
    return number


def _dealt(to: list[int], place: ColumnElement[int]) -> ColumnElement[int]:
    """Whose turn it is, to and fro (A B C C B A ...), so that nobody always gets the best of a round."""
    to_and_fro = [*to, *reversed(to)]
    turns = {turn: literal(adviser_id, BigInteger) for turn, adviser_id in enumerate(to_and_fro)}
    return case(turns, value=place % len(to_and_fro))


def end_sharing_with_oneself(owners: list[int], actor: User) -> None:
    """A new owner is not their own second adviser any more."""
    both = Client.second_adviser_id.in_(owners) & (Client.second_adviser_id == Client.adviser_id)
    reassign(role=SECOND, clients=both, to=None, actor=actor, reason=None)


def check_advisers(advisers: Sequence[User], actor: User) -> None:
    ids = {adviser.id for adviser in advisers}
    able = select(func.count()).select_from(User).join(User.branch).where(User.id.in_(ids), able_to_advise())
    if not ids or db.session.scalar(able.where(in_reach(actor))) != len(ids):
        raise NoAdviser


def checked_reason(reason: str) -> str:
    reason = " ".join(reason.replace("\x00", "").split())[:MAX_REASON]
    if not reason:
        raise ReasonMissing
    return reason


def _note(
    verb: str, client: Client | None, actor: User, reason: str | None, changes: Mapping[str, Sequence[object]]
) -> None:
    record(
        actor=actor,
        action=f"client.{verb}",
        subject="client",
        subject_id=client.id if client else None,
        changes=changes,
        reason=reason,
    )
