"""Allotting the pool: the richest clients first, to the advisers with room, so that all fill up evenly."""

from decimal import Decimal

from sqlalchemy import BigInteger, Column, Numeric, bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY

from app.audit.service import record
from app.clients.models import Client
from app.clients.ownership.queries import able_to_advise, default_capacity, one_filling_at_a_time
from app.clients.ownership.recording import record_ownership_changes
from app.core.extensions import db
from app.core.jobs import Job, enqueue
from app.core.permissions import Permission, require
from app.core.queues import AUDIENCE
from app.users.models import Branch, User
from app.users.queries import branch_in_scope, in_subtree

ALLOT_POOL = "clients.allot_pool"
CHUNK = 10_000

# A seat is a client that an adviser has room for. Seats are handed out by how full the adviser is with them, so that
# all fill up evenly; on each further seat the order of equals turns round, so that nobody always gets the richest.
_SEATS_AND_CLIENTS = text(
    """
    WITH owned AS (
        SELECT adviser_id, count(*) AS number FROM client
        WHERE adviser_id = ANY(:advisers) AND merged_into_id IS NULL AND status <> 'closed'
        GROUP BY adviser_id
    ), seat AS (
        SELECT adviser.id AS adviser_id, adviser.place,
               row_number() OVER (
                   PARTITION BY adviser.place
                   ORDER BY n::float / adviser.capacity, CASE WHEN n % 2 = 1 THEN adviser.id ELSE -adviser.id END
               ) AS turn
        FROM unnest(:advisers, :places, :capacities) AS adviser (id, place, capacity)
        LEFT JOIN owned ON owned.adviser_id = adviser.id
        CROSS JOIN generate_series(coalesce(owned.number, 0) + 1, adviser.capacity) AS n
    ), waiting AS (
        SELECT id, CASE WHEN :across THEN 0 ELSE branch_id END AS place, total_assets FROM client
        WHERE adviser_id IS NULL AND merged_into_id IS NULL AND status <> 'closed'
          AND branch_id = ANY(:branches) AND (CAST(:minimum AS numeric) IS NULL OR total_assets >= :minimum)
          AND (:across OR branch_id IN (SELECT place FROM seat)) AND EXISTS (SELECT FROM seat)
        ORDER BY total_assets DESC NULLS LAST, id
        LIMIT :chunk
    ), queued AS (
        SELECT id, place, row_number() OVER (PARTITION BY place ORDER BY total_assets DESC NULLS LAST, id) AS turn
        FROM waiting
    )
    SELECT queued.id, seat.adviser_id FROM queued JOIN seat USING (place, turn)
    """
).bindparams(
    bindparam("advisers", type_=ARRAY(BigInteger)),
    bindparam("places", type_=ARRAY(BigInteger)),
    bindparam("capacities", type_=ARRAY(BigInteger)),
    bindparam("branches", type_=ARRAY(BigInteger)),
    bindparam("minimum", type_=Numeric),
)


def order_allotment(*, branch: Branch, across: bool, minimum: Decimal | None, reason: str, actor: User) -> Job:
    """Have a worker allot the pool of a branch and those below it.

    `across`: also to advisers of other branches of this part of the firm; else to those of the client's own branch.
    `minimum`: only clients with at least these total assets.
    """
    require(actor, Permission.MANAGE_OWNERSHIP)
    branch_in_scope(branch.id, actor=actor)
    record(
        actor=actor,
        action="client.allot",
        subject="branch",
        subject_id=branch.id,
        changes={"branch": [None, branch.name], "across": across, "minimum": str(minimum) if minimum else None},
        reason=reason or None,
    )
    return enqueue(
        ALLOT_POOL,
        queue=AUDIENCE,
        branch_id=branch.id,
        across=int(across),
        minimum="" if minimum is None else str(minimum),
        reason=reason[:300],
        actor_id=actor.id,
    )


def allot_some(*, branch: Branch, across: bool, minimum: Decimal | None, reason: str | None, actor_id: int) -> int:
    """Allot the richest of the pool, up to CHUNK clients. Returns how many found an adviser; 0: nothing more to do.

    One at a time: two allotments at once would fill the same seats twice.
    """
    one_filling_at_a_time()
    branches = db.session.scalars(select(Branch.id).where(in_subtree(branch))).all()
    limit = default_capacity()
    people = db.session.execute(
        select(User.id, User.branch_id, func.coalesce(User.client_capacity, limit))
        .where(able_to_advise(), User.marketing_post, User.branch_id.in_(branches))
        .order_by(User.id)
    ).all()
    dealt = (
        _SEATS_AND_CLIENTS.columns(Column("id", BigInteger), Column("adviser_id", BigInteger))
        .bindparams(
            advisers=[row[0] for row in people],
            places=[0 if across else row[1] for row in people],
            capacities=[row[2] for row in people],
            branches=list(branches),
            across=across,
            minimum=minimum,
            chunk=CHUNK,
        )
        .cte("dealt")
    )
    moved = (
        update(Client)
        .where(Client.id == dealt.c.id, Client.adviser_id.is_(None))
        .values(adviser_id=dealt.c.adviser_id, updated_at=func.now())
        .returning(Client.id.label("client_id"), dealt.c.adviser_id.label("becomes"))
        .cte("moved")
    )
    nobody = func.nullif(moved.c.becomes, moved.c.becomes).label("was")
    changes = select(moved.c.client_id, nobody, moved.c.becomes)
    return record_ownership_changes(changes=changes, actor_id=actor_id, reason=reason)
