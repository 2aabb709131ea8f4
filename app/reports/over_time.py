"""When clients responded: each counted once, at the first time, so that a picture adds up to the figure beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any

from flask_babel import get_timezone
from pyroaring import BitMap64
from sqlalchemy import (
    Date,
    Integer,
    Select,
    Text,
    case,
    cast,
    column,
    func,
    literal,
    select,
    union_all,
    values,
)

from app.audiences.snapshots import packed, read_set
from app.campaigns.models import Campaign
from app.campaigns.queries import visible_to
from app.core.clock import now
from app.core.extensions import Timestamp, db
from app.delivery.models import Message, MessageState, Run
from app.reports.response import Outcome, campaign_runs
from app.reports.scope import message_scope
from app.tracking.models import AccountOpening, Attribution
from app.users.models import User

TIMED = (Outcome.OPENED, Outcome.CLICKED, Outcome.REPLIED, Outcome.ACCOUNTS_OPENED)
HOURS_SHOWN = 7 * 24
RECENT_DAYS = 30
RECENT_LAUNCHES = timedelta(days=90)

_Firsts = Select[str, int, datetime]
"""(outcome, client_id, at): the first time each client had each outcome."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Clients by when they first responded: `counts[outcome][n]` in the n-th hour or day since `start`.

    The numbers of an outcome add up to the clients that the report counts for it.
    """

    unit: str
    start: datetime
    counts: dict[Outcome, list[int]]

    @property
    def length(self) -> int:
        return max((len(series) for series in self.counts.values()), default=0)


def timeline(campaign: Campaign, viewer: User | None = None) -> Timeline | None:
    """First responses by hour since launch, by day once they span more than seven days; None before the launch.

    One pass over the messages that something came back for.
    """
    runs = campaign_runs(campaign)
    if not runs:
        return None
    start = min(run.created_at for run in runs)
    first = union_all(
        _first_hits([run.id for run in runs], viewer, one_each=len(runs) == 1 and len(campaign.steps) == 1),
        _first_openings(viewer).where(Attribution.campaign_id == campaign.id),
    ).subquery()
    hour = cast(func.floor(func.extract("epoch", first.c.at - start) / 3600), Integer)
    rows = db.session.execute(
        select(first.c.outcome, hour.label("hour"), func.count().label("clients")).group_by(first.c.outcome, "hour")
    )
    found = [(Outcome(row.outcome), max(0, row.hour), row.clients) for row in rows]
    last = max((hour for _outcome, hour, _clients in found), default=0)
    unit, width = ("hour", 1) if last < HOURS_SHOWN else ("day", 24)
    counts = {outcome: [0] * (last // width + 1) for outcome in TIMED}
    for outcome, at, clients in found:
        counts[outcome][at // width] += clients
    return Timeline(unit, start, counts)


def _first_hits(
    run_ids: Sequence[int], viewer: User | None, *, since: datetime | None = None, one_each: bool = False
) -> _Firsts:
    """What came back for messages. A click proves an open. `one_each`: no client has two messages of these runs."""
    times: dict[Outcome, Any] = {
        Outcome.OPENED: func.least(Message.opened_at, Message.clicked_at),
        Outcome.CLICKED: Message.clicked_at,
        Outcome.REPLIED: Message.replied_at,
    }
    if since is not None:
        times = {outcome: case((at >= since, at)) for outcome, at in times.items()}
    # Grouped once by client and taken apart after; one message each is its client's first, which halves the work.
    first = func.min if not one_each else (lambda at: at)
    clients = select(Message.client_id, *(first(at).label(outcome.value) for outcome, at in times.items())).where(
        Message.run_id.in_(run_ids),
        func.coalesce(Message.opened_at, Message.clicked_at, Message.replied_at).is_not(None),
        *message_scope(viewer),
    )
    client = (clients if one_each else clients.group_by(Message.client_id)).subquery()
    hit = (
        values(column("outcome", Text), column("at", Timestamp), name="hit")
        .data([(outcome.value, client.c[outcome.value]) for outcome in times])
        .lateral()
    )
    return select(hit.c.outcome, client.c.client_id, hit.c.at).select_from(client).join(hit, hit.c.at.is_not(None))


def _first_openings(viewer: User | None) -> _Firsts:
    """Account openings that campaigns claim."""
    return (
        select(
            literal(Outcome.ACCOUNTS_OPENED.value, Text),
            Message.client_id,
            func.min(AccountOpening.opened_at).label("at"),
        )
        .select_from(Attribution)
        .join(AccountOpening, AccountOpening.id == Attribution.opening_id)
        .join(Message, Message.id == Attribution.message_id)
        .where(*message_scope(viewer))
        .group_by(Message.client_id)
    )


# ---- The last 30 days ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recent:
    """The last 30 days, all campaigns together: clients sent to, and clients by the day of their first response in that
    time, by the reader's calendar. However many campaigns a client answered, they count once."""

    days: list[date]
    sent: int
    counts: dict[Outcome, list[int]]

    def total(self, outcome: Outcome) -> int:
        return self.sent if outcome is Outcome.SENT else sum(self.counts[outcome])


def recent_response(viewer: User) -> Recent:
    """Responses of the last 30 days to what was launched in the last 90."""
    days, since, zone = _recent_days()
    counts = {outcome: [0] * RECENT_DAYS for outcome in TIMED}
    first = _recent_firsts(viewer, since).subquery()
    day = cast(func.timezone(str(zone), first.c.at), Date)
    rows: Any = db.session.execute(
        select(first.c.outcome, day.label("day"), func.count().label("clients")).group_by(first.c.outcome, "day")
    )
    for row in rows:
        if row.day in days:
            counts[Outcome(row.outcome)][(row.day - days[0]).days] += row.clients
    return Recent(days, len(_recently_sent(viewer, since)), counts)


def recent_clients(outcome: Outcome, viewer: User) -> BitMap64:
    """The clients that a figure of the last 30 days counts: SENT, or one of TIMED."""
    days, since, zone = _recent_days()
    if outcome is Outcome.SENT:
        return _recently_sent(viewer, since)
    first = _recent_firsts(viewer, since).subquery()
    day = cast(func.timezone(str(zone), first.c.at), Date)
    counted = select(packed(first.c.client_id)).where(first.c.outcome == outcome.value, day <= days[-1])
    return read_set(counted)


def _recent_days() -> tuple[list[date], datetime, tzinfo]:
    """The days, the moment the first one began, and the reader's zone."""
    zone = get_timezone()
    today = now().astimezone(zone).date()
    days = [today - timedelta(days=back) for back in range(RECENT_DAYS - 1, -1, -1)]
    return days, datetime.combine(days[0], time(), zone), zone


def _recent_firsts(viewer: User, since: datetime) -> Any:
    openings = _first_openings(viewer).join(Campaign, Campaign.id == Attribution.campaign_id)
    return union_all(
        _first_hits(_recent_runs(viewer), viewer, since=since),
        openings.where(AccountOpening.opened_at >= since, visible_to(viewer)),
    )


def _recently_sent(viewer: User, since: datetime) -> BitMap64:
    sent = select(packed(Message.client_id.expression)).where(
        Message.run_id.in_(_recent_runs(viewer)),
        Message.state == MessageState.SENT,
        Message.sent_at >= since,
        *message_scope(viewer),
    )
    return read_set(sent)


def _recent_runs(viewer: User) -> Sequence[int]:
    query = select(Run.id).join(Campaign).where(Run.created_at >= now() - RECENT_LAUNCHES, visible_to(viewer))
    return db.session.scalars(query).all()
