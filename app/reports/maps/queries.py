"""Clicks by link and responses by hour of the week, of the clients the reader may count."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Integer, cast, func, select

from app.campaigns.models import Campaign, Step
from app.campaigns.step_kinds import all_words
from app.content.models import EmailContent
from app.core.errors import NotFound
from app.core.extensions import db, settings
from app.delivery.models import Batch, Message
from app.reports.response import campaign_runs
from app.reports.scope import message_scope
from app.tracking.models import Event
from app.users.models import User

DAYS, HOURS = 7, 24


@dataclass(frozen=True, slots=True)
class LinkLine:
    """A link of a message: clients of whom people, and of whom only machines, followed it. `share` is of the clients
    who followed any link of the message; as one client may follow several, the shares need not add up to 1."""

    link: str
    people: int
    machines: int
    share: float | None


@dataclass(frozen=True, slots=True)
class LinkMap:
    """The links of one message (a step, or one of its variants), the most followed first."""

    clickers: int
    lines: list[LinkLine]


@dataclass(frozen=True, slots=True)
class Worded:
    """A message of the campaign whose links are counted: a step with the letter of its variant (None: it has none)."""

    step: Step
    letter: str | None
    content: EmailContent


def messages_of(campaign: Campaign) -> list[Worded]:
    """Every e-mail of the campaign, each variant apart, in the order of the steps."""
    return [
        Worded(step, letter, words.content)
        for step in campaign.steps
        if step.channel == "email"
        for letter, words in all_words(step)
        if words.content is not None
    ]


def message_of(campaign: Campaign, step_id: int | None, letter: str | None) -> Worded:
    """The message that an address names; the first where it names none. NotFound where there is none such."""
    for worded in messages_of(campaign):
        if step_id is None or (worded.step.id == step_id and worded.letter == letter):
            return worded
    raise NotFound


def link_map(campaign: Campaign, worded: Worded, *, viewer: User) -> LinkMap:
    """Who followed which link. A hit that is not judged yet counts as nobody's."""
    of_message = (
        select(Event.link, Message.client_id, func.bool_or(Event.machine.is_(False)).label("person"))
        .join(Message, Message.id == Event.message_id)
        .where(
            Event.kind == "click",
            Event.link.is_not(None),
            Event.machine.is_not(None),
            Message.campaign_id == campaign.id,
            Message.run_id.in_([run.id for run in campaign_runs(campaign)]),
            Message.step_id == worded.step.id,
            *message_scope(viewer),
        )
        .group_by(Event.link, Message.client_id)
    )
    if campaign.launched_at is not None:
        of_message = of_message.where(Event.at >= campaign.launched_at)  # leaves older partitions alone
    if worded.letter is not None:
        of_message = of_message.join(Batch, Batch.id == Message.batch_id).where(
            func.coalesce(Batch.variant, "A") == worded.letter
        )
    pairs = of_message.cte("pairs")
    clickers = db.session.scalar(select(func.count(pairs.c.client_id.distinct())).where(pairs.c.person)) or 0
    rows = db.session.execute(
        select(
            pairs.c.link,
            func.count().filter(pairs.c.person).label("people"),
            func.count().filter(~pairs.c.person).label("machines"),
        )
        .group_by(pairs.c.link)
        .order_by(func.count().filter(pairs.c.person).desc(), pairs.c.link)
        .limit(500)
    )
    return LinkMap(
        clickers,
        [LinkLine(row.link, row.people, row.machines, row.people / clickers if clickers else None) for row in rows],
    )


@dataclass(frozen=True, slots=True)
class WeekHours:
    """Clients by when they first opened, and first clicked: `opened[day][hour]`, Monday first, by the firm's clock."""

    opened: list[list[int]]
    clicked: list[list[int]]


def week_hours(campaign: Campaign, *, viewer: User) -> WeekHours:
    """First opens and clicks by people, by day of the week and hour."""
    return WeekHours(
        _by_hour(campaign, viewer, func.least(Message.opened_at, Message.clicked_at)),
        _by_hour(campaign, viewer, Message.clicked_at),
    )


def _by_hour(campaign: Campaign, viewer: User, at: object) -> list[list[int]]:
    found = [[0] * HOURS for _day in range(DAYS)]
    first = (
        select(func.min(at).label("at"))
        .where(
            Message.run_id.in_([run.id for run in campaign_runs(campaign)]),
            func.coalesce(Message.opened_at, Message.clicked_at).is_not(None),
            *message_scope(viewer),
        )
        .group_by(Message.client_id)
        .subquery()
    )
    local = func.timezone(settings().time_zone, first.c.at)
    day, hour = cast(func.extract("isodow", local), Integer), cast(func.extract("hour", local), Integer)
    rows: Sequence[tuple[int, int, int]] = [
        (row[0], row[1], row[2])
        for row in db.session.execute(
            select(day, hour, func.count()).where(first.c.at.is_not(None)).group_by(day, hour)
        )
    ]
    for weekday, clock, clients in rows:
        found[weekday - 1][clock] = clients
    return found
