"""The figures of a morning or evening sheet: a day of a branch or a team, against its targets.

A day is one of the firm's time zone. Contacts are the clients of whom advisers noted one that day, accounts the
openings of that day that at least one campaign claims (each once), both of the clients the reader may see. Figures are
sizes of sets, so that who is in two lines is once in the last.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from pyroaring import BitMap64
from sqlalchemy import ColumnElement, case, func, or_, select

from app.advising.models import UNFINISHED, AdviserTask, ContactResult, TaskState
from app.advising.trading_days import before, is_trading_day, rules_in_force
from app.audiences.snapshots import packed, unpacked
from app.campaigns.models import Campaign, State
from app.campaigns.queries import visible_to
from app.clients.models import Client
from app.clients.queries import sees_whole_book, visible_clients
from app.core.errors import NotFound
from app.core.extensions import db, settings
from app.core.permissions import Role
from app.reports.targets.models import CampaignTarget, Measure
from app.reports.targets.queries import period_of
from app.tracking.models import AccountOpening, Attribution, Reply
from app.tracking.openings.models import CountedOpening
from app.users.models import Branch, Team, User
from app.users.queries import branch_in_scope, in_subtree, team_subtree

SHOWN = 8  # so that the sheet stays one printed page
RUNNING = (State.RUNNING, State.PAUSED, State.COMPLETE)


@dataclass(frozen=True, slots=True)
class Place:
    """Whose sheet it is: a branch with those below it, or a team with the teams below it."""

    branch: Branch | None = None
    team: Team | None = None

    @property
    def name(self) -> str:
        place = self.team or self.branch
        return place.name if place else ""


CLIENTS = ("due", "overdue", "contacts", "reached", "interested", "appointments")
OPENINGS = ("opened", "effective")


@dataclass(slots=True)
class AdviserDay:
    """What one adviser has to do and did on a day (`adviser_id` None: nobody's, in the queues of branches).

    `sets` are the clients by `CLIENTS` and the account openings by `OPENINGS`; due and overdue are clients with such a
    task as it stands now. `brought_in` is {account opening: amount}. `contacts_before` and `opened_before` are the
    numbers of the trading day before, which tell who has moved.
    """

    adviser_id: int | None
    name: str | None
    ranked: bool = True
    sets: dict[str, BitMap64] = field(default_factory=lambda: {name: BitMap64() for name in (*CLIENTS, *OPENINGS)})
    brought_in: dict[int, Decimal] = field(default_factory=dict)
    contacts_before: int = 0
    opened_before: int = 0

    def count(self, name: str) -> int:
        return len(self.sets[name])

    @property
    def assets(self) -> Decimal:
        return sum(self.brought_in.values(), Decimal())

    @property
    def moved(self) -> tuple[int, int]:
        """How many more accounts and contacts than the trading day before."""
        return self.count("opened") - self.opened_before, self.count("contacts") - self.contacts_before


@dataclass(frozen=True, slots=True)
class ReplyLine:
    number: str
    client: str | None
    campaign: str
    code: str
    adviser: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class AppointmentLine:
    number: str
    client: str | None
    campaign: str
    adviser: str | None
    at: datetime | None


@dataclass(slots=True)
class Sheet:
    """`day` is what is looked back on (yesterday's trading day in the morning, today in the evening); `targets` are the
    day's share of the targets of its week or period, by measure; `wrote` are the clients with a new reply."""

    place: Place
    day: date
    day_before: date
    lines: list[AdviserDay]
    targets: dict[Measure, float]
    replies: list[ReplyLine]
    wrote: BitMap64
    appointments: list[AppointmentLine]
    movers: list[AdviserDay] = field(default_factory=list)

    def together(self, name: str) -> BitMap64:
        """The set of all lines, each client or opening once."""
        return BitMap64().union(*(line.sets[name] for line in self.lines))

    def total(self, name: str) -> int:
        return len(self.together(name))

    @property
    def brought_in(self) -> dict[int, Decimal]:
        return {opening: amount for line in self.lines for opening, amount in line.brought_in.items()}

    @property
    def assets(self) -> Decimal:
        return sum(self.brought_in.values(), Decimal())

    def share(self, measure: Measure, reached: int | Decimal) -> float | None:
        """How much of the day's target was reached; None without one."""
        target = self.targets.get(measure)
        return float(reached) / target if target else None


def places(viewer: User) -> list[tuple[str, str]]:
    """(value, name) of the branches and teams whose sheet the person may read."""
    found: list[tuple[str, str]] = []
    if set(viewer.roles) != {Role.ADVISER}:
        branches = select(Branch.id, Branch.name).where(in_subtree(viewer.branch)).order_by(Branch.path)
        found += [(f"branch:{row.id}", row.name) for row in db.session.execute(branches)]
    teams = select(Team.id, Team.name).order_by(Team.path)
    if not sees_whole_book(viewer):
        own = viewer.team if viewer.leads_team else None
        teams = teams.where(Team.id.in_(team_subtree(own)) if own is not None else Team.id.is_(None))
    return found + [(f"team:{row.id}", row.name) for row in db.session.execute(teams)]


def place_of(value: str, *, viewer: User) -> Place:
    """The place that a choice names; "" is the person's own. NotFound where it is not theirs to read."""
    allowed = [choice for choice, _name in places(viewer)]
    value = value or next(iter(allowed), "")
    if value not in allowed:
        raise NotFound
    kind, _colon, key = value.partition(":")
    if kind == "team":
        return Place(team=db.session.get_one(Team, int(key)))
    return Place(branch=branch_in_scope(int(key), actor=viewer))


def looked_back_on(kind: str, today: date) -> tuple[date, date]:
    """The day a sheet looks back on, and the trading day before that."""
    holidays = rules_in_force().holidays
    day = today if kind == "evening" else before(today, 1, holidays)
    return day, before(day, 1, holidays)


def sheet(kind: str, place: Place, *, viewer: User, today: date) -> Sheet:
    """The morning or evening sheet of a place."""
    day, day_before = looked_back_on(kind, today)
    lines: dict[int | None, AdviserDay] = {}
    _add_tasks(lines, place, viewer, today)
    _add_contacts(lines, place, viewer, day, day_before)
    _add_openings(lines, place, viewer, day, day_before)
    _name(lines)
    listed = sorted(lines.values(), key=_most_first)
    since = _start(day)
    replies, wrote = _replies(place, viewer, since)
    movers = [line for line in listed if line.adviser_id is not None and line.ranked and line.moved > (0, 0)]
    return Sheet(
        place=place,
        day=day,
        day_before=day_before,
        lines=listed,
        targets=_targets(place, day, viewer),
        replies=replies,
        wrote=wrote,
        appointments=_appointments(place, viewer, today if kind == "morning" else today + timedelta(days=1)),
        movers=sorted(movers, key=lambda line: line.moved, reverse=True)[:3],
    )


def _most_first(line: AdviserDay) -> tuple[int, int, str]:
    return -line.count("opened"), -line.count("contacts"), (line.name or "").lower()


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(settings().time_zone))


def _of_place(place: Place, viewer: User) -> ColumnElement[bool]:
    """For WHERE on client: those of the place whom the viewer may see."""
    if place.team is not None:
        advisers = select(User.id).where(User.team_id.in_(team_subtree(place.team)))
        return visible_clients(viewer) & Client.adviser_id.in_(advisers)
    branches = select(Branch.id).where(Branch.path.startswith(place.branch.path if place.branch else "/"))
    return visible_clients(viewer) & Client.branch_id.in_(branches)


def _line(lines: dict[int | None, AdviserDay], adviser_id: int | None) -> AdviserDay:
    return lines.setdefault(adviser_id, AdviserDay(adviser_id, None))


def _add_tasks(lines: dict[int | None, AdviserDay], place: Place, viewer: User, today: date) -> None:
    late = (AdviserTask.state == TaskState.ESCALATED) | (AdviserTask.due_on < today)
    due = or_(AdviserTask.planned_on <= today, AdviserTask.due_on <= today)
    rows = db.session.execute(
        select(
            AdviserTask.adviser_id,
            packed(case((~late & due, AdviserTask.client_id))),
            packed(case((late, AdviserTask.client_id))),
        )
        .join(Client, Client.id == AdviserTask.client_id)
        .join(Campaign, Campaign.id == AdviserTask.campaign_id)
        .where(AdviserTask.state.in_(UNFINISHED), Campaign.state.in_(RUNNING), late | due, _of_place(place, viewer))
        .group_by(AdviserTask.adviser_id)
    )
    for adviser_id, *clients in rows:
        _keep(_line(lines, adviser_id), ("due", "overdue"), clients)


def _keep(line: AdviserDay, names: Sequence[str], found: Sequence[bytes | None]) -> None:
    line.sets |= {name: unpacked(ids) for name, ids in zip(names, found, strict=True)}


def _add_contacts(lines: dict[int | None, AdviserDay], place: Place, viewer: User, day: date, day_before: date) -> None:
    """By who made the contact. A client who was contacted twice on a day counts once."""
    on_day = (ContactResult.at >= _start(day)) & (ContactResult.at < _start(day + timedelta(days=1)))
    earlier = (ContactResult.at >= _start(day_before)) & (ContactResult.at < _start(day_before + timedelta(days=1)))
    client, outcome = ContactResult.client_id, ContactResult.outcome
    rows = db.session.execute(
        select(
            ContactResult.actor_id,
            func.count(client.distinct()).filter(earlier),
            packed(case((on_day, client))),
            packed(case((on_day & outcome.not_in(("no_answer", "wrong_number")), client))),
            packed(case((on_day & outcome.in_(("interested", "appointment", "opened")), client))),
            packed(case((on_day & (outcome == "appointment"), client))),
        )
        .join(Client, Client.id == ContactResult.client_id)
        .where(on_day | earlier, _of_place(place, viewer))
        .group_by(ContactResult.actor_id)
    )
    for actor_id, contacts_before, *clients in rows:
        line = _line(lines, actor_id)
        line.contacts_before = contacts_before
        _keep(line, ("contacts", "reached", "interested", "appointments"), clients)


def _add_openings(lines: dict[int | None, AdviserDay], place: Place, viewer: User, day: date, day_before: date) -> None:
    """By who looks after the client. Claimed by a campaign that the viewer may see; each opening once."""
    claim = (
        select(
            Attribution.opening_id,
            func.bool_or(CountedOpening.effective_on.is_not(None)).label("effective"),
            func.max(CountedOpening.brought_in).label("brought_in"),
        )
        .join(Campaign, Campaign.id == Attribution.campaign_id)
        .outerjoin(
            CountedOpening,
            (CountedOpening.opening_id == Attribution.opening_id)
            & (CountedOpening.campaign_id == Attribution.campaign_id),
        )
        .where(visible_to(viewer))
        .group_by(Attribution.opening_id)
        .subquery()
    )
    opened = AccountOpening.opened_at
    on_day = (opened >= _start(day)) & (opened < _start(day + timedelta(days=1)))
    earlier = (opened >= _start(day_before)) & (opened < _start(day_before + timedelta(days=1)))
    rows = db.session.execute(
        select(Client.adviser_id, AccountOpening.id, on_day, claim.c.effective, claim.c.brought_in)
        .select_from(AccountOpening)
        .join(claim, claim.c.opening_id == AccountOpening.id)
        .join(Client, Client.id == AccountOpening.client_id)
        .where(on_day | earlier, _of_place(place, viewer))
    )
    for adviser_id, opening_id, today, effective, brought_in in rows:
        line = _line(lines, adviser_id)
        if not today:
            line.opened_before += 1
            continue
        line.sets["opened"].add(opening_id)
        if effective:
            line.sets["effective"].add(opening_id)
        if brought_in:
            line.brought_in[opening_id] = brought_in


def _name(lines: dict[int | None, AdviserDay]) -> None:
    known = [adviser_id for adviser_id in lines if adviser_id is not None]
    for row in db.session.execute(select(User.id, User.name, User.marketing_post).where(User.id.in_(known))):
        lines[row.id].name, lines[row.id].ranked = row.name, row.marketing_post


def _replies(place: Place, viewer: User, since: datetime) -> tuple[list[ReplyLine], BitMap64]:
    """What clients wrote since the day that is looked back on began, the newest first, and the clients who did."""
    query = (
        select(Client.number, Client.name, Campaign.name, Campaign.code, User.name, Reply.received_at)
        .join(Client, Client.id == Reply.client_id)
        .join(Campaign, Campaign.id == Reply.campaign_id)
        .outerjoin(User, User.id == Client.adviser_id)
        .where(Reply.kind == "reply", Reply.received_at >= since, visible_to(viewer), _of_place(place, viewer))
    )
    wrote = db.session.scalar(query.with_only_columns(packed(Client.id.expression)))
    rows = db.session.execute(query.order_by(Reply.received_at.desc()).limit(SHOWN))
    return [ReplyLine(*row) for row in rows], unpacked(wrote)


def _appointments(place: Place, viewer: User, day: date) -> list[AppointmentLine]:
    """Appointments of a day, in the order of time."""
    rows = db.session.execute(
        select(Client.number, Client.name, Campaign.name, User.name, AdviserTask.again_at)
        .join(Client, Client.id == AdviserTask.client_id)
        .join(Campaign, Campaign.id == AdviserTask.campaign_id)
        .outerjoin(User, User.id == AdviserTask.adviser_id)
        .where(
            AdviserTask.result == "appointment",
            AdviserTask.state.in_(UNFINISHED),
            AdviserTask.again_at >= _start(day),
            AdviserTask.again_at < _start(day + timedelta(days=1)),
            _of_place(place, viewer),
        )
        .order_by(AdviserTask.again_at)
        .limit(SHOWN)
    )
    return [AppointmentLine(*row) for row in rows]


def _targets(place: Place, day: date, viewer: User) -> dict[Measure, float]:
    """The day's share of what campaigns ask of the place: the target of the week by its trading days, else that of the
    whole period by its own. A team's is the sum over its advisers."""
    monday = day - timedelta(days=day.weekday())
    query = (
        select(CampaignTarget, Campaign)
        .join(Campaign, Campaign.id == CampaignTarget.campaign_id)
        .where(
            Campaign.state.in_(RUNNING),
            visible_to(viewer),
            CampaignTarget.measure != Measure.PARTNER,
            or_(CampaignTarget.week.is_(None), CampaignTarget.week == monday),
        )
    )
    if place.team is not None:
        advisers = select(User.id).where(User.team_id.in_(team_subtree(place.team)))
        query = query.where(CampaignTarget.adviser_id.in_(advisers))
    else:
        query = query.where(CampaignTarget.branch_id == (place.branch.id if place.branch else None))
    found: dict[Measure, float] = {}
    rows: Sequence[tuple[CampaignTarget, Campaign]] = [(row[0], row[1]) for row in db.session.execute(query)]
    of_week = {
        (target.campaign_id, target.measure, target.adviser_id) for target, _campaign in rows if target.week is not None
    }
    for target, campaign in rows:
        if target.week is None and (target.campaign_id, target.measure, target.adviser_id) in of_week:
            continue
        share = _share_of_day(target, campaign, day, monday)
        if share:
            measure = Measure(target.measure)
            found[measure] = found.get(measure, 0.0) + float(target.amount) * share
    return found


def _share_of_day(target: CampaignTarget, campaign: Campaign, day: date, monday: date) -> float:
    """1 / the number of trading days that share a target with this one; 0 where it is not among them."""
    period = period_of(campaign)
    if target.week is not None:
        first, last = monday, monday + timedelta(days=6)
    elif period is not None:
        first, last = period.first, period.last
    else:
        return 0.0
    holidays = rules_in_force().holidays
    if not first <= day <= last or not is_trading_day(day, holidays):
        return 0.0
    days = (first + timedelta(days=after) for after in range((last - first).days + 1))
    return 1 / sum(is_trading_day(one, holidays) for one in days)
