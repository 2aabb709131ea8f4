"""A leaver's clients handed over tier by tier, each tier to a successor of its own or to the pool: all or none."""

import json
from collections import Counter
from collections.abc import Mapping

from flask_babel import lazy_gettext as _l
from sqlalchemy import BigInteger, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from app.audit.service import record
from app.clients.classes.models import ClientClass
from app.clients.models import Client
from app.clients.ownership.loads import load_of
from app.clients.ownership.models import OWNER, SECOND
from app.clients.ownership.queries import one_filling_at_a_time, owned_parts
from app.clients.ownership.service import (
    NoAdviser,
    check_advisers,
    checked_reason,
    end_sharing_with_oneself,
    reassign,
)
from app.clients.queries import visible_clients
from app.core.errors import AppError, Conflict
from app.core.extensions import db
from app.core.jobs import Job, enqueue
from app.core.permissions import Permission, require
from app.core.queues import AUDIENCE
from app.users.models import User

HAND_OVER_TIERS = "clients.hand_over_tiers"
AT_ONCE = 5_000  # clients that a request may move by itself

# The code of a tier (None: clients without any) to the successor, None being the pool. Tiers left out stay.
Plan = Mapping[str | None, User | None]


class NothingChosen(AppError):
    message = _l("Choose for one tier at least who takes the clients over.")


class NoRoom(Conflict):
    """Somebody would own more clients than their capacity; the message names them and both numbers."""

    def __init__(self, name: str, *, room: int, more: int) -> None:
        sentence = _l(
            "%(name)s has room for %(room)s more clients but would get %(more)s. Share them out or use the pool."
        )
        super().__init__(sentence % {"name": name, "room": room, "more": more})


def hand_over_tiers(*, leaver: User, plan: Plan, reason: str, actor: User) -> dict[str | None, int]:
    """Give the clients that a leaver owns away by `plan`. Returns how many of each tier changed hands.

    Each client counts once, in the tier it has at this moment. Nobody gets more than their capacity allows; closed
    clients take no room. Clients that the actor may not see stay: their own manager decides.
    Raises ReasonMissing, NothingChosen, NoAdviser, NoRoom.
    """
    require(actor, Permission.MANAGE_OWNERSHIP)
    reason = checked_reason(reason)
    _check(plan, leaver, actor)
    one_filling_at_a_time()
    numbers: dict[str | None, int] = dict.fromkeys(plan, 0)
    given: dict[User | None, list[int]] = {}
    filling: Counter[User] = Counter()
    for client_id, status, tier in _held(leaver, actor):
        if tier in plan:
            successor = plan[tier]
            numbers[tier] += 1
            given.setdefault(successor, []).append(client_id)
            if successor is not None and status != "closed":
                filling[successor] += 1
    for successor, more in filling.items():
        if more > (room := load_of(successor).room):
            raise NoRoom(successor.name, room=room, more=more)
    for heir, ids in given.items():
        _give(ids, heir, reason, actor)
    if any(numbers.values()):
        _note(leaver, plan, numbers, reason, actor)
    return numbers


def _check(plan: Plan, leaver: User, actor: User) -> None:
    successors = [person for person in plan.values() if person is not None]
    if not plan:
        raise NothingChosen
    if leaver in successors:
        raise NoAdviser
    if successors:
        check_advisers(successors, actor)


def _held(leaver: User, actor: User) -> list[tuple[int, str, str | None]]:
    """Id, status and tier of the leaver's clients, locked: none of them changes hands or closes meanwhile."""
    tier = select(ClientClass.aum_tier).where(ClientClass.client_id == Client.id).scalar_subquery()
    rows = db.session.execute(
        select(Client.id, Client.status, tier)
        .where(Client.adviser_id == leaver.id, visible_clients(actor))
        .order_by(Client.id)
        .with_for_update()
    )
    return [(client_id, status, code) for client_id, status, code in rows]


def _give(ids: list[int], heir: User | None, reason: str, actor: User) -> None:
    theirs = Client.id == func.any(literal(ids, ARRAY(BigInteger)))
    if heir is None:  # nobody shares a client that nobody owns
        reassign(role=SECOND, clients=theirs, to=None, actor=actor, reason=reason)
        reassign(role=OWNER, clients=theirs, to=None, actor=actor, reason=reason)
    else:
        reassign(role=OWNER, clients=theirs, to=[heir.id], actor=actor, reason=reason)
        end_sharing_with_oneself([heir.id], actor)


def _note(leaver: User, plan: Plan, numbers: Mapping[str | None, int], reason: str, actor: User) -> None:
    tiers = {
        f"tier {tier or '–'}": [number, heir.name if (heir := plan[tier]) else None]
        for tier, number in numbers.items()
        if number
    }
    record(
        actor=actor,
        action="client.tiers_handed_over",
        subject="client",
        subject_id=None,
        changes={"clients": [0, sum(numbers.values())], "adviser": [leaver.name, None], **tiers},
        reason=reason,
    )


def hand_over_or_order(*, leaver: User, plan: Plan, reason: str, actor: User) -> int | None:
    """Hand over at once what a request may move (how many); more goes to a worker, in one transaction too (None)."""
    held = sum(part.number for part in owned_parts(leaver, user=actor) if part.tier in plan)
    if held <= AT_ONCE:
        return sum(hand_over_tiers(leaver=leaver, plan=plan, reason=reason, actor=actor).values())
    order_hand_over(leaver=leaver, plan=plan, reason=reason, actor=actor)
    return None


def order_hand_over(*, leaver: User, plan: Plan, reason: str, actor: User) -> Job:
    """Have a worker hand over; what is wrong with the order itself is told at once."""
    require(actor, Permission.MANAGE_OWNERSHIP)
    reason = checked_reason(reason)
    _check(plan, leaver, actor)
    words = [[tier, heir.id if heir else None] for tier, heir in plan.items()]
    return enqueue(
        HAND_OVER_TIERS,
        queue=AUDIENCE,
        leaver_id=leaver.id,
        plan=json.dumps(words),
        reason=reason,
        actor_id=actor.id,
    )


def plan_of(words: str) -> dict[str | None, User | None]:
    """The plan as `order_hand_over` wrote it down."""
    return {tier: db.session.get_one(User, heir) if heir else None for tier, heir in json.loads(words)}
