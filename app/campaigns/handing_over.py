"""Campaigns of somebody who leaves, as long as they are not launched: drafts, and those in review or approved.

Whom a campaign reaches depends on what its owner sees. So an approval goes over only to a successor who sees the same
clients and did not give it; else the campaign is a draft again. What was launched has its audience and stays.
"""

from collections.abc import Callable

from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, func, select, update

from app.campaigns.models import Campaign, State
from app.campaigns.service import note_act, unschedule, withdraw
from app.clients.ownership.handing_over import Belongings
from app.clients.queries import sees_whole_book
from app.core.extensions import db
from app.core.permissions import Permission, Role
from app.users.models import User


def _drafts(user_id: int) -> ColumnElement[bool]:
    return (Campaign.owner_id == user_id) & (Campaign.state == State.DRAFT)


def pass_on_drafts(leaver: User, successor: User, actor: User) -> int:
    """Give the drafts of a leaver to a successor. Returns how many; audited by the caller as one act."""
    changed = db.session.execute(
        update(Campaign)
        .where(_drafts(leaver.id))
        .values(owner_id=successor.id, updated_at=func.now())
        .returning(Campaign.id)
        .execution_options(synchronize_session=False)
    ).all()
    db.session.expire_all()
    return len(changed)


def _waiting(user_id: int) -> ColumnElement[bool]:
    return (
        (Campaign.owner_id == user_id)
        & Campaign.state.in_((State.IN_REVIEW, State.APPROVED, State.SCHEDULED))
        & Campaign.launched_at.is_(None)
    )


def pass_on_waiting(leaver: User, successor: User, actor: User) -> int:
    """Give those of a leaver to a successor, who then stands for what waits for approval. Returns how many."""
    campaigns = db.session.scalars(
        select(Campaign).where(_waiting(leaver.id)).order_by(Campaign.id).with_for_update(of=Campaign)
    ).all()
    for campaign in campaigns:
        if not _sees_the_same(leaver, successor) or campaign.approved_by_id == successor.id:
            if State(campaign.state) == State.SCHEDULED:
                unschedule(campaign=campaign, actor=actor)
            withdraw(campaign=campaign, actor=actor)
        elif State(campaign.state) == State.IN_REVIEW:
            campaign.submitted_by_id = successor.id  # who may then not approve it
        campaign.owner_id = successor.id
        note_act(campaign, "handed_over", actor, changes={"owner": [leaver.name, successor.name]})
    db.session.flush()
    db.session.expire_all()
    return len(campaigns)


def _sees_the_same(one: User, other: User) -> bool:
    """Whether two people certainly see the same clients: the whole book, or all of one branch and nothing besides."""
    if sees_whole_book(one) and sees_whole_book(other):
        return True
    alone = [Role.ADVISER not in person.roles and not person.leads_team for person in (one, other)]
    return one.branch_id == other.branch_id and all(alone)


def _number(of: Callable[[int], ColumnElement[bool]]) -> Callable[[int], int]:
    return lambda user_id: db.session.scalar(select(func.count()).select_from(Campaign).where(of(user_id))) or 0


WAITING = Belongings(
    "campaigns not launched",
    _l("Campaigns in review or approved, not launched yet"),
    Permission.EDIT_CAMPAIGNS,
    _number(_waiting),
    pass_on_waiting,
)
DRAFTS = Belongings(
    "campaign drafts", _l("Campaign drafts"), Permission.EDIT_CAMPAIGNS, _number(_drafts), pass_on_drafts
)
