"""Reads about contact tasks. Everything is of the clients a person may see."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import aliased

from app.advising.models import (
    OUTCOMES,
    UNFINISHED,
    AdviserTask,
    ContactResult,
    ResultImport,
    TaskState,
)
from app.advising.offering import OFFERED_STATES, offered_campaigns
from app.audiences.models import Segment
from app.campaigns.models import Campaign
from app.clients.models import Client
from app.clients.queries import visible_clients
from app.clients.timeline import END, TimelineEntry
from app.content.calls.models import CallScript
from app.core.clock import today
from app.core.errors import NotFound
from app.core.extensions import db, settings
from app.delivery.models import Message
from app.users.models import Branch, User
from app.users.queries import in_subtree, team_subtree

MOST_CARDS = 300
SHOWN = 50


def midnight() -> datetime:
    """The beginning of today, in the firm's time zone."""
    return datetime.combine(today(), time(), ZoneInfo(settings().time_zone))


# ---- Today's contacts -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class CardLine:
    """A client on a day's list: all tasks together. `at` is an appointment; `done` the result of today."""

    number: str
    name: str | None
    city: str | None
    total_assets: Decimal | None
    campaigns: list[str]
    kinds: set[str]
    priority: int
    at: datetime | None = None
    overdue: bool = False
    deputy_for: str | None = None
    done: str | None = None


@dataclass(frozen=True, slots=True)
class Day:
    """A person's list: what is to be done today, what is done, and how much is planned for later days."""

    open: list[CardLine]
    done: list[CardLine]
    later: int


def day_of(user: User) -> Day:
    """The cards that a person has today, appointments first, then overdue ones, then by priority."""
    absent = aliased(User)
    rows = db.session.execute(
        select(AdviserTask, Client.number, Client.name, Client.city, Client.total_assets, Campaign.name, absent.name)
        .join(Client, Client.id == AdviserTask.client_id)
        .join(Campaign, Campaign.id == AdviserTask.campaign_id)
        .outerjoin(absent, absent.id == AdviserTask.deputy_for_id)
        .where(
            AdviserTask.adviser_id == user.id,
            visible_clients(user),
            or_(
                AdviserTask.state.in_(UNFINISHED) & (AdviserTask.planned_on <= today()) & offered_campaigns(),
                AdviserTask.result_at >= midnight(),
            ),
        )
        .order_by(AdviserTask.id)
        .limit(MOST_CARDS * 4)
    ).all()
    cards: dict[int, CardLine] = {}
    for task, number, name, city, assets, campaign, absent_name in rows:
        card = cards.setdefault(task.client_id, CardLine(number, name, city, assets, [], set(), 0))
        if campaign not in card.campaigns:
            card.campaigns.append(campaign)
        card.kinds.add(task.kind)
        card.priority = max(card.priority, task.priority)
        card.deputy_for = card.deputy_for or absent_name
        listed = task.state in UNFINISHED and task.planned_on is not None and task.planned_on <= today()
        if listed:
            card.overdue |= task.due_on < today() or task.state == TaskState.ESCALATED
            card.at = min(filter(None, (card.at, task.again_at)), default=None)
        if task.result_at is not None and task.result_at >= midnight() and not listed:
            card.done = task.result
    later = db.session.scalar(
        select(func.count(AdviserTask.client_id.distinct()))
        .join(Client, Client.id == AdviserTask.client_id)
        .where(
            AdviserTask.adviser_id == user.id,
            AdviserTask.state.in_(UNFINISHED),
            AdviserTask.planned_on > today(),
            visible_clients(user),
        )
    )
    to_do = [card for card in cards.values() if card.done is None]
    to_do.sort(key=_order)
    return Day(to_do, [card for card in cards.values() if card.done is not None], later or 0)


def _order(card: CardLine) -> tuple[bool, float, bool, int, Decimal]:
    at = card.at.timestamp() if card.at else 0.0
    return (card.at is None, at, not card.overdue, -card.priority, -(card.total_assets or Decimal(0)))


# ---- One card -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sent:
    """What a campaign sent to the client by another channel, and what the client did with it."""

    channel: str
    sent_at: datetime
    opened_at: datetime | None
    clicked_at: datetime | None
    replied_at: datetime | None


@dataclass(slots=True)
class Ask:
    """What one campaign asks for: why the client is on its list, the script, and what was sent."""

    task: AdviserTask
    campaign: Campaign
    segment: str | None
    script: CallScript
    sent: list[Sent] = field(default_factory=list)
    barred: str | None = None

    @property
    def words(self) -> str:
        return self.script.words_for(self.task.segment_id)


def asks_about(client: Client) -> list[Ask]:
    """The client's tasks that are on the card: unfinished ones of campaigns that go on, and those done today."""
    rows = db.session.execute(
        select(AdviserTask, Campaign, Segment.name, CallScript)
        .join(Campaign, Campaign.id == AdviserTask.campaign_id)
        .join(CallScript, CallScript.id == AdviserTask.script_id)
        .outerjoin(Segment, Segment.id == AdviserTask.segment_id)
        .where(
            AdviserTask.client_id == client.id,
            Campaign.state.in_(OFFERED_STATES),
            or_(AdviserTask.state.in_(UNFINISHED), AdviserTask.result_at >= midnight()),
        )
        .order_by(AdviserTask.state.in_(UNFINISHED).desc(), AdviserTask.priority.desc(), AdviserTask.id)
        .limit(20)
    )
    asks = [Ask(*row) for row in rows]
    sent = db.session.scalars(
        select(Message)
        .where(
            Message.client_id == client.id,
            Message.campaign_id.in_([ask.campaign.id for ask in asks]),
            Message.channel != "call",
            Message.sent_at.is_not(None),
        )
        .order_by(Message.id.desc())
        .limit(SHOWN)
    ).all()
    for ask in asks:
        ask.sent = [
            Sent(one.channel, one.sent_at, one.opened_at, one.clicked_at, one.replied_at)
            for one in sent
            if one.campaign_id == ask.campaign.id and one.sent_at is not None
        ]
    return asks


@dataclass(frozen=True, slots=True)
class ResultLine:
    """A contact that took place, with who made it."""

    result: ContactResult
    actor: str


def contacts_with(client_ids: Sequence[int], *, limit: int = 10, until: datetime = END) -> list[ResultLine]:
    """The last contacts with a client up to a moment, newest first. The caller has made sure that the reader may see
    the client."""
    rows = db.session.execute(
        select(ContactResult, User.name)
        .join(User, User.id == ContactResult.actor_id)
        .where(ContactResult.client_id.in_(client_ids), ContactResult.at <= until)
        .order_by(ContactResult.at.desc(), ContactResult.id.desc())
        .limit(limit)
    )
    return [ResultLine(*row) for row in rows]


def contact_timeline(client_ids: Sequence[int], limit: int, until: datetime) -> list[TimelineEntry]:
    """Contacts of advisers, for the client's time line."""
    return [
        TimelineEntry(
            at=line.result.at,
            kind="contact",
            text=_(
                "Contacted by %(name)s: %(result)s",
                name=line.actor,
                result=OUTCOMES[line.result.outcome].label,
            )
            + (f" – {line.result.note}" if line.result.note else ""),
        )
        for line in contacts_with(client_ids, limit=limit, until=until)
    ]


# ---- The overview ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Funnel:
    """How far tasks have come. `adviser` None: those in the queue of a branch. Each counts tasks."""

    adviser_id: int | None
    adviser: str | None
    branch: str | None
    assigned: int
    tried: int
    reached: int
    interested: int
    appointment: int
    opened: int
    unfinished: int
    overdue: int
    not_contacted: int


def funnels(user: User, *, since: date, campaign_id: int | None = None) -> list[Funnel]:
    """The funnel of each adviser, over tasks made since a day, of the clients the person may see."""
    columns = _funnel_columns()
    query = (
        select(AdviserTask.adviser_id, User.name, Branch.name, *columns)
        .join(Client, Client.id == AdviserTask.client_id)
        .outerjoin(User, User.id == AdviserTask.adviser_id)
        .outerjoin(Branch, Branch.id == User.branch_id)
        .where(*_overview_where(user, since, campaign_id))
        .group_by(AdviserTask.adviser_id, User.name, Branch.name)
        .order_by(User.name.nulls_first(), AdviserTask.adviser_id)
        .limit(500)
    )
    rows: Sequence[Any] = db.session.execute(query).all()
    return [Funnel(*row) for row in rows]


def total_funnel(lines: Sequence[Funnel]) -> Funnel:
    """The sum of all lines."""
    names = ("assigned", "tried", "reached", "interested", "appointment", "opened", "unfinished", "overdue",
             "not_contacted")  # fmt: skip
    return Funnel(None, None, None, *(sum(getattr(line, name) for line in lines) for name in names))


def _funnel_columns() -> list[ColumnElement[int]]:
    task = AdviserTask
    late = task.state.in_(UNFINISHED) & ((task.state == TaskState.ESCALATED) | (task.due_on < today()))
    conditions: list[ColumnElement[bool]] = [
        task.state != TaskState.WITHDRAWN,
        task.tried_at.is_not(None),
        task.reached_at.is_not(None),
        task.result.in_(("interested", "appointment", "opened")),
        task.result.in_(("appointment", "opened")),
        task.result == "opened",
        task.state.in_(UNFINISHED),
        late,
        task.state == TaskState.NOT_CONTACTED,
    ]
    return [func.count().filter(condition) for condition in conditions]


def _overview_where(user: User, since: date, campaign_id: int | None) -> list[ColumnElement[bool]]:
    start = datetime.combine(since, time(), ZoneInfo(settings().time_zone))
    conditions = [visible_clients(user), AdviserTask.created_at >= start]
    if campaign_id is not None:
        conditions.append(AdviserTask.campaign_id == campaign_id)
    return conditions


@dataclass(frozen=True, slots=True)
class OverdueLine:
    """A task that waits for a decision, or that nobody has."""

    task: AdviserTask
    number: str
    name: str | None
    branch: str
    campaign: str
    adviser: str | None
    product: bool


def waiting_for_decision(user: User) -> list[OverdueLine]:
    """Overdue tasks, the longest waiting first."""
    return _lines(user, AdviserTask.state == TaskState.ESCALATED)


def without_adviser(user: User) -> list[OverdueLine]:
    """Tasks in the queues of branches: the client has no owner, or none who may do this."""
    return _lines(user, AdviserTask.adviser_id.is_(None) & AdviserTask.state.in_((TaskState.OPEN, TaskState.AGAIN)))


def _lines(user: User, condition: ColumnElement[bool]) -> list[OverdueLine]:
    rows = db.session.execute(
        select(
            AdviserTask, Client.number, Client.name, Branch.name, Campaign.name, User.name,
            Campaign.product_risk.is_not(None),
        )
        .join(Client, Client.id == AdviserTask.client_id)
        .join(Branch, Branch.id == Client.branch_id)
        .join(Campaign, Campaign.id == AdviserTask.campaign_id)
        .outerjoin(User, User.id == AdviserTask.adviser_id)
        .where(condition, visible_clients(user))
        .order_by(AdviserTask.due_on, AdviserTask.id)
        .limit(SHOWN)
    )  # fmt: skip
    return [OverdueLine(*row) for row in rows]


def campaigns_with_tasks(user: User) -> list[tuple[int, str]]:
    """Campaigns that gave tasks about clients the person may see, newest first."""
    rows = db.session.execute(
        select(Campaign.id, Campaign.name)
        .where(
            Campaign.id.in_(
                select(AdviserTask.campaign_id)
                .join(Client, Client.id == AdviserTask.client_id)
                .where(visible_clients(user))
            )
        )
        .order_by(Campaign.id.desc())
        .limit(100)
    )
    return [(row.id, row.name) for row in rows]


def task_in_scope(task_id: int, *, user: User) -> AdviserTask:
    """The task, where the person may see its client; else NotFound."""
    found = db.session.scalar(
        select(AdviserTask)
        .join(Client, Client.id == AdviserTask.client_id)
        .where(AdviserTask.id == task_id, visible_clients(user))
    )
    if found is None:
        raise NotFound
    return found


# ---- Files and people -----------------------------------------------------------------------------------------------


def imports_of(user: User) -> Sequence[ResultImport]:
    """The files that a person uploaded, newest first."""
    return db.session.scalars(
        select(ResultImport).where(ResultImport.created_by_id == user.id).order_by(ResultImport.id.desc()).limit(20)
    ).all()


def import_of(import_id: int, *, user: User) -> ResultImport:
    """The file, where the person uploaded it; else NotFound."""
    found = db.session.get(ResultImport, import_id)
    if found is None or found.created_by_id != user.id:
        raise NotFound
    return found


def answered_for(user: User, *, decides: bool) -> ColumnElement[bool]:
    """For WHERE on user joined with branch: whose absences a person may note. Oneself, and those one answers for."""
    whose: ColumnElement[bool] = User.id == user.id
    if decides and set(user.roles) != {"adviser"}:
        whose = whose | in_subtree(user.branch)
    if decides and user.leads_team and user.team is not None:
        whose = whose | User.team_id.in_(team_subtree(user.team))
    return whose
