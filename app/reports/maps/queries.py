"""Clicks by link and responses by hour of the week, of the clients the reader may count."""

from dataclasses import dataclass
from typing import Any

from pyroaring import BitMap64
from sqlalchemy import CTE, Integer, case, cast, func, select

from app.audiences.snapshots import packed, read_set, unpacked
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
MOST_LINKS = 500


@dataclass(frozen=True, slots=True)
class LinkLine:
    """A link of a message: clients of whom people, and of whom only machines, followed it. `share` is of the clients
    who followed any link of the message; as one client may follow several, the shares need not add up to 1."""

    link: str
    by_people: BitMap64
    by_machines: BitMap64
    share: float | None

    @property
    def people(self) -> int:
        return len(self.by_people)

    @property
    def machines(self) -> int:
        return len(self.by_machines)


@dataclass(frozen=True, slots=True)
class LinkMap:
    """The links of one message (a step, or one of its variants), the most followed first, and who followed any."""

    by_people: BitMap64
    lines: list[LinkLine]

    @property
    def clickers(self) -> int:
        return len(self.by_people)


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
    by_people, by_machines = _clients_if(pairs.c.person, pairs), _clients_if(~pairs.c.person, pairs)
    clickers = read_set(select(by_people))
    rows = db.session.execute(
        select(pairs.c.link, by_people, by_machines)
        .group_by(pairs.c.link)
        .order_by(func.count().filter(pairs.c.person).desc(), pairs.c.link)
        .limit(MOST_LINKS)
    )
    lines = [(link, unpacked(people), unpacked(machines)) for link, people, machines in rows]
    share = 1 / len(clickers) if clickers else None
    return LinkMap(
        clickers,
        [LinkLine(link, people, machines, share and len(people) * share) for link, people, machines in lines],
    )


def _clients_if(condition: Any, pairs: CTE) -> Any:
    return packed(case((condition, pairs.c.client_id)))


Hours = list[list[BitMap64]]
"""Clients by day of the week, Monday first, and hour of the firm's clock."""


@dataclass(frozen=True, slots=True)
class WeekHours:
    """Clients by when they first opened, and first clicked: `opened[day][hour]`."""

    opened: Hours
    clicked: Hours


def week_hours(campaign: Campaign, *, viewer: User) -> WeekHours:
    """First opens and clicks by people, by day of the week and hour."""
    return WeekHours(
        _by_hour(campaign, viewer, func.least(Message.opened_at, Message.clicked_at)),
        _by_hour(campaign, viewer, Message.clicked_at),
    )


def _by_hour(campaign: Campaign, viewer: User, at: object) -> Hours:
    found = [[BitMap64() for _hour in range(HOURS)] for _day in range(DAYS)]
    first = (
        select(Message.client_id, func.min(at).label("at"))
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
    rows = db.session.execute(
        select(day, hour, packed(first.c.client_id)).where(first.c.at.is_not(None)).group_by(day, hour)
    )
    for weekday, clock, clients in rows:
        found[weekday - 1][clock] = unpacked(clients)
    return found
