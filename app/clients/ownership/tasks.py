"""What workers do for ownership: move many clients, and allot the pool."""

from decimal import Decimal

from app.clients.ownership.allotting import ALLOT_POOL, allot_some
from app.clients.ownership.by_tier import HAND_OVER_TIERS, hand_over_tiers, plan_of
from app.clients.ownership.handing_over import TRANSFER, run_transfer
from app.core.extensions import db
from app.core.jobs import Lease, job
from app.core.unit_of_work import unit_of_work
from app.users.models import Branch, User


@job(TRANSFER)
def transfer(lease: Lease, words: str, to: str, reason: str, actor_id: int) -> None:
    """Give the chosen clients to the advisers; see `run_transfer`."""
    run_transfer(lease=lease, words=words, to=to, reason=reason, actor_id=actor_id)


@job(HAND_OVER_TIERS)
def hand_over(lease: Lease, leaver_id: int, plan: str, reason: str, actor_id: int) -> None:
    """Hand a leaver's clients over tier by tier; a lost worker leaves nothing half done."""
    with unit_of_work():
        moved = hand_over_tiers(
            leaver=db.session.get_one(User, leaver_id),
            plan=plan_of(plan),
            reason=reason,
            actor=db.session.get_one(User, actor_id),
        )
        lease.renew(done=sum(moved.values()))


@job(ALLOT_POOL)
def allot_pool(lease: Lease, branch_id: int, across: int, minimum: str, reason: str, actor_id: int) -> None:
    """Allot until every seat is taken or nobody waits; each step is committed, so a lost worker loses nothing."""
    done, some = 0, 1
    while some:
        with unit_of_work():
            some = allot_some(
                branch=db.session.get_one(Branch, branch_id),
                across=bool(across),
                minimum=Decimal(minimum) if minimum else None,
                reason=reason or None,
                actor_id=actor_id,
            )
            done += some
            lease.renew(done=done)
