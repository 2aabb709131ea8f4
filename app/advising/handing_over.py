"""Contact tasks as work of advisers, and as things that a leaver leaves."""

from collections.abc import Sequence

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select, update

from app.advising.models import UNFINISHED, AdviserTask, TaskState
from app.clients.models import Client
from app.clients.ownership.handing_over import Belongings
from app.clients.ownership.loads import Work
from app.clients.queries import visible_clients
from app.core.extensions import db
from app.core.permissions import Permission
from app.users.models import User


def tasks_of(user_id: int) -> int:
    """How many unfinished contact tasks somebody has."""
    return tasks_by_adviser([user_id]).get(user_id, 0)


def tasks_by_adviser(adviser_ids: Sequence[int]) -> dict[int, int]:
    rows = db.session.execute(
        select(AdviserTask.adviser_id, func.count())
        .where(AdviserTask.adviser_id.in_(adviser_ids), AdviserTask.state.in_(UNFINISHED))
        .group_by(AdviserTask.adviser_id)
    )
    return {adviser_id: number for adviser_id, number in rows if adviser_id is not None}


def pass_on_tasks(leaver: User, successor: User, actor: User) -> int:
    """Give the leaver's tasks to a successor, as far as the successor looks after the clients; returns how many.

    Tasks follow their clients: those of clients who go to somebody else go there by themselves.
    """
    passed = db.session.execute(
        update(AdviserTask)
        .where(
            AdviserTask.adviser_id == leaver.id,
            AdviserTask.state.in_(UNFINISHED),
            AdviserTask.client_id.in_(
                select(Client.id).where(
                    visible_clients(successor),
                    (Client.adviser_id == successor.id) | (Client.second_adviser_id == successor.id),
                )
            ),
        )
        .values(adviser_id=successor.id, deputy_for_id=None)
        .returning(AdviserTask.id, AdviserTask.state)
        .execution_options(synchronize_session=False)
    ).all()
    db.session.execute(
        update(AdviserTask)
        .where(AdviserTask.id.in_([row.id for row in passed if row.state == TaskState.OPEN]))
        .values(planned_on=None)  # to find places beside what the successor has
        .execution_options(synchronize_session=False)
    )
    db.session.expire_all()
    return len(passed)


TASKS = Belongings("contact tasks", _l("Contact tasks"), Permission.CONTACT_CLIENTS, tasks_of, pass_on_tasks)
CONTACTS = Work("contacts", _l("Contact tasks"), tasks_by_adviser)
