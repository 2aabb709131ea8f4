"""Campaign drafts of somebody who leaves.

What is approved or under way stays with its owner, whose part of the firm it was approved for.
"""

from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, func, select, update

from app.campaigns.models import Campaign, State
from app.clients.ownership.handing_over import Belongings
from app.core.extensions import db
from app.core.permissions import Permission
from app.users.models import User


def _drafts(user_id: int) -> ColumnElement[bool]:
    return (Campaign.owner_id == user_id) & (Campaign.state == State.DRAFT)


def drafts_owned(user_id: int) -> int:
    """How many campaigns that are still drafts somebody owns."""
    return db.session.scalar(select(func.count()).select_from(Campaign).where(_drafts(user_id))) or 0


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


DRAFTS = Belongings("campaign drafts", _l("Campaign drafts"), Permission.EDIT_CAMPAIGNS, drafts_owned, pass_on_drafts)
