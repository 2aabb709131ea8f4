"""Reads about unreachable clients and the tasks of repairing them, within what a person may see."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, and_, case, func, literal, or_, select

from app.clients.masking import mask_email, mask_mobile
from app.clients.models import Client
from app.clients.ownership.loads import Work
from app.clients.queries import visible_clients
from app.clients.reachability.models import RepairTask
from app.core.errors import NotFound
from app.core.extensions import db
from app.core.paging import Page, newest_first
from app.users.models import Branch, User

CHANNEL_LABELS = {"email": _l("E-mail"), "phone": _l("Phone")}
REASON_LABELS = {
    "missing": _l("None known"),
    "bounced": _l("Mail came back"),
    "wrong": _l("Reported as wrong"),
}
IN_TOUCH = and_(Client.status != "closed", ~Client.flags.contains(["deceased"]))


def _reason(address: Any, problem: Any) -> ColumnElement[str | None]:
    return case((or_(address.is_(None), address == ""), literal("missing")), else_=problem)


@dataclass(frozen=True, slots=True)
class ChannelState:
    """Of `clients` in touch: how many the channel can reach, and how many not, by reason."""

    channel: str
    clients: int
    reasons: dict[str, int]

    @property
    def reachable(self) -> int:
        return self.clients - sum(self.reasons.values())


def channel_states(user: User) -> list[ChannelState]:
    """One pass over the clients the person may see who are neither closed nor deceased."""
    email, phone = _reason(Client.email, Client.email_problem), _reason(Client.mobile, Client.mobile_problem)
    rows = db.session.execute(
        select(email, phone, func.count().label("clients"))
        .where(IN_TOUCH, visible_clients(user))
        .group_by(email, phone)
    ).all()
    states = []
    for position, channel in enumerate(CHANNEL_LABELS):
        reasons: Counter[str] = Counter()
        for row in rows:
            if row[position] is not None:
                reasons[str(row[position])] += row.clients
        states.append(ChannelState(channel, sum(row.clients for row in rows), dict(reasons)))
    return states


@dataclass(frozen=True, slots=True)
class TaskFilters:
    """`channel` empty is all; `mine` are the clients that the reader looks after."""

    channel: str = ""
    state: str = "open"
    mine: bool = False


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A task with what is needed to see who it is about; the address is masked."""

    task: RepairTask
    number: str
    name: str | None
    address: str | None
    branch: str
    adviser: str | None


def task_page(*, user: User, filters: TaskFilters, newer: int | None, older: int | None) -> tuple[list[TaskLine], Page]:
    """Tasks of the clients a person may see, newest first, 50 a page."""
    query = (
        select(
            RepairTask.id, RepairTask, Client.number, Client.name, Client.email, Client.mobile,
            Branch.name.label("branch"), User.name.label("adviser"),
        )
        .join(Client, Client.id == RepairTask.client_id)
        .join(Branch, Branch.id == Client.branch_id)
        .outerjoin(User, User.id == Client.adviser_id)
        .where(RepairTask.state == filters.state, visible_clients(user))
    )  # fmt: skip
    if filters.channel:
        query = query.where(RepairTask.channel == filters.channel)
    if filters.mine:
        query = query.where(Client.adviser_id == user.id)
    page = newest_first(query, RepairTask.id.expression, newer_than=newer, older_than=older)
    lines = [
        TaskLine(
            row.RepairTask,
            row.number,
            row.name,
            mask_email(row.email) if row.RepairTask.channel == "email" else mask_mobile(row.mobile),
            row.branch,
            row.adviser,
        )
        for row in page.rows
    ]
    return lines, page


def task_in_scope(task_id: int, *, user: User) -> RepairTask:
    """The task, where the person may see its client; else NotFound."""
    found = db.session.scalar(
        select(RepairTask)
        .join(Client, Client.id == RepairTask.client_id)
        .where(RepairTask.id == task_id, visible_clients(user))
    )
    if found is None:
        raise NotFound
    return found


def open_tasks_by_adviser(adviser_ids: Sequence[int]) -> dict[int, int]:
    """How many addresses wait to be repaired, by who owns the client."""
    rows = db.session.execute(
        select(Client.adviser_id, func.count())
        .select_from(RepairTask)
        .join(Client, Client.id == RepairTask.client_id)
        .where(RepairTask.state == "open", Client.adviser_id.in_(adviser_ids), Client.merged_into_id.is_(None))
        .group_by(Client.adviser_id)
    )
    return {adviser_id: number for adviser_id, number in rows if adviser_id is not None}


REPAIRS = Work("repairs", _l("Addresses to repair"), open_tasks_by_adviser)
