"""Targets against results: who has reached what, where it is going, and who is behind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, or_, select, true

from app.campaigns.models import Campaign
from app.clients.classes.queries import class_choices
from app.clients.queries import sees_whole_book
from app.core.clock import today
from app.core.extensions import db, settings
from app.core.permissions import Role
from app.reports.targets.forecasting import PACE_DAYS, Forecast, forecast
from app.reports.targets.models import CampaignTarget, Measure, TargetPlan
from app.reports.targets.results import Key, Results, results
from app.users.models import Branch, User
from app.users.queries import in_subtree, subtree_ids, team_subtree

KINDS = ("whole", "branch", "adviser", "tier")
WEEK = timedelta(days=6)


class Standing(StrEnum):
    """How a target stands: reached, missed at the end of its period, or where its forecast leads."""

    ATTAINED = "attained"
    MISSED = "missed"
    ON_COURSE = "on_course"
    BEHIND = "behind"
    OPEN = "open"  # the interval of the forecast holds both
    EARLY = "early"  # too few days to judge by, or nothing to judge by


BEHIND = (Standing.BEHIND, Standing.MISSED)


@dataclass(frozen=True, slots=True)
class Period:
    first: date
    last: date
    said: bool  # somebody set it; else it is from the launch to the end of the attribution window


@dataclass(frozen=True, slots=True)
class TargetLine:
    """A target with what was reached of it. `name` None: the whole campaign.

    `counted` is what the result was counted from, amounts by id: account openings, or clients for contacts.
    """

    target: CampaignTarget
    kind: str
    name: str | None
    result: Decimal
    forecast: Forecast | None
    standing: Standing
    counted: Mapping[int, Decimal] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """How much of the target is attained; may be more than 1."""
        return float(self.result / self.target.amount)

    @property
    def forecast_share(self) -> float | None:
        return None if self.forecast is None else self.forecast.expected / float(self.target.amount)


def period_of(campaign: Campaign) -> Period | None:
    """The days for which the targets are; None before the launch where nobody has said."""
    plan = db.session.get(TargetPlan, campaign.id)
    if plan is not None:
        return Period(plan.starts_on, plan.ends_on, True)
    if campaign.launched_at is None:
        return None
    first = campaign.launched_at.astimezone(ZoneInfo(settings().time_zone)).date()
    return Period(first, first + timedelta(days=campaign.window_days), False)


def visible_targets(viewer: User) -> ColumnElement[bool]:
    """For WHERE on target: a branch sees its own and those below it, with their advisers; a team leader the team's.

    Targets of the whole campaign and of tiers are for those who see the whole book.
    """
    if sees_whole_book(viewer):
        return true()
    conditions: list[ColumnElement[bool]] = []
    if set(viewer.roles) != {Role.ADVISER}:
        ids = subtree_ids(viewer.branch)
        conditions.append(CampaignTarget.branch_id.in_(ids))
        conditions.append(CampaignTarget.adviser_id.in_(select(User.id).where(User.branch_id.in_(ids))))
    if viewer.leads_team and viewer.team is not None:
        team = select(User.id).where(User.team_id.in_(team_subtree(viewer.team)))
        conditions.append(CampaignTarget.adviser_id.in_(team))
    conditions.append(CampaignTarget.adviser_id == viewer.id)
    return or_(*conditions)


def target_lines(campaign: Campaign, *, viewer: User, on: date | None = None) -> list[TargetLine]:
    """Every target the viewer may see, the whole first, then branches, advisers and tiers; weeks after the total."""
    rows = db.session.execute(
        select(CampaignTarget, Branch.name, User.name)
        .outerjoin(Branch, Branch.id == CampaignTarget.branch_id)
        .outerjoin(User, User.id == CampaignTarget.adviser_id)
        .where(CampaignTarget.campaign_id == campaign.id, visible_targets(viewer))
    ).all()
    if not rows:
        return []
    reached, period, day = results(campaign, viewer=viewer), period_of(campaign), on or today()
    tiers = dict(class_choices("aum_tier"))
    lines = []
    for target, branch, adviser in rows:
        kind, key = _whose(target)
        name = {"whole": None, "branch": branch, "adviser": adviser}.get(kind, tiers.get(key[1], key[1]))
        lines.append(_line(target, kind, key, name, reached, period, day))
    places = {measure.value: place for place, measure in enumerate(Measure)}
    return sorted(
        lines,
        key=lambda line: (
            KINDS.index(line.kind),
            (line.name or "").lower(),
            places[line.target.measure],
            line.target.partner_item or "",
            line.target.week or date.min,
        ),
    )


def _whose(target: CampaignTarget) -> tuple[str, Key]:
    if target.branch_id is not None:
        return "branch", ("branch", str(target.branch_id))
    if target.adviser_id is not None:
        return "adviser", ("adviser", str(target.adviser_id))
    return ("tier", ("tier", target.tier)) if target.tier is not None else ("whole", ("whole", ""))


def _line(
    target: CampaignTarget, kind: str, key: Key, name: str | None, reached: Results, period: Period | None, day: date
) -> TargetLine:
    measure = Measure(target.measure)
    if measure is Measure.PARTNER:
        told = target.reported or Decimal()
        standing = Standing.ATTAINED if told >= target.amount else Standing.EARLY
        return TargetLine(target, kind, name, told, None, standing)
    first, last = _days(target, period)
    if first is None or last is None:
        return TargetLine(target, kind, name, Decimal(), None, Standing.EARLY)
    counted = reached.counted(measure, key, first, min(last, day))
    result = sum(counted.values(), Decimal())
    looked_from = max(period.first if period else first, day - timedelta(days=PACE_DAYS))
    daily = reached.daily(measure, key, looked_from, day - timedelta(days=1))
    left = (last - day).days + 1 if first <= day else (last - first).days + 1
    ahead = None
    if day <= last:
        # What today has brought so far is within the forecast of today, so it is taken off first.
        before_today = reached.between(measure, key, first, day - timedelta(days=1))
        ahead = forecast(float(before_today), daily, left, counts=measure is not Measure.ASSETS)
    if ahead is not None and ahead.low < result:
        ahead = Forecast(max(ahead.expected, float(result)), float(result), max(ahead.high, float(result)))
    standing = _standing(target.amount, result, ahead, over=day > last)
    return TargetLine(target, kind, name, result, ahead, standing, counted)


def _days(target: CampaignTarget, period: Period | None) -> tuple[date | None, date | None]:
    if target.week is not None:
        return target.week, target.week + WEEK
    return (period.first, period.last) if period else (None, None)


def _standing(amount: Decimal, result: Decimal, ahead: Forecast | None, *, over: bool) -> Standing:
    if result >= amount:
        return Standing.ATTAINED
    if over:
        return Standing.MISSED
    if ahead is None:
        return Standing.EARLY
    if ahead.low >= amount:
        return Standing.ON_COURSE
    return Standing.BEHIND if ahead.high < amount else Standing.OPEN


@dataclass(frozen=True, slots=True)
class Choices:
    """To whom a target may be given, as (value of the form, words)."""

    branches: Sequence[tuple[str, str]]
    advisers: Sequence[tuple[str, str]]
    tiers: Sequence[tuple[str, str]]
    whole: bool


def choices(viewer: User) -> Choices:
    """The branches below and with the person's own, advisers there in a marketing post, tiers for the head office."""
    whole = sees_whole_book(viewer)
    branches = db.session.execute(
        select(Branch.id, Branch.name, Branch.code).where(in_subtree(viewer.branch)).order_by(Branch.path)
    )
    advisers = db.session.execute(
        select(User.id, User.name, Branch.name.label("branch"))
        .join(Branch, Branch.id == User.branch_id)
        .where(User.active, User.marketing_post, User.roles.contains([Role.ADVISER]), in_subtree(viewer.branch))
        .order_by(User.name, User.id)
        .limit(2_000)
    )
    return Choices(
        [(f"branch:{row.id}", f"{row.name} ({row.code})") for row in branches],
        [(f"adviser:{row.id}", f"{row.name} · {row.branch}") for row in advisers],
        [(f"tier:{code}", label) for code, label in class_choices("aum_tier")] if whole else [],
        whole,
    )
