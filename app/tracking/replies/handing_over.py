"""Open replies as things that a leaver leaves."""

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select, update

from app.clients.models import Client
from app.clients.ownership.handing_over import Belongings
from app.clients.queries import visible_clients
from app.core.extensions import db
from app.core.permissions import Permission
from app.tracking.models import Reply
from app.users.models import User


def replies_of(user_id: int) -> int:
    """How many open replies somebody has to deal with."""
    mine = (Reply.assigned_to_id == user_id) & (Reply.state == "open")
    return db.session.scalar(select(func.count()).select_from(Reply).where(mine)) or 0


def pass_on_replies(leaver: User, successor: User, actor: User) -> int:
    """Give the leaver's open replies to a successor, of clients whom the successor sees; returns how many."""
    passed = db.session.execute(
        update(Reply)
        .where(
            Reply.assigned_to_id == leaver.id,
            Reply.state == "open",
            Reply.client_id.in_(select(Client.id).where(visible_clients(successor))),
        )
        .values(assigned_to_id=successor.id)
        .execution_options(synchronize_session=False)
    )
    db.session.expire_all()
    return int(passed.rowcount)  # type: ignore[attr-defined]


REPLIES = Belongings("replies", _l("Open replies"), Permission.MANAGE_REPLIES, replies_of, pass_on_replies)
