"""The funnel of contacts by adviser and by team, over clients of campaigns.

What is counted is a client in a campaign, once, however many steps asked for a contact. An account counts where the
campaign claims an opening of the client, an effective one by the campaign's own rule; so both come from the core
systems and not from what advisers note.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, Subquery, Text, cast, func, null, select, true

from app.advising.models import AdviserTask, TaskState
from app.campaigns.models import Campaign
from app.campaigns.queries import visible_to
from app.clients.models import Client
from app.clients.queries import visible_clients
from app.core.extensions import db
from app.statistics.intervals import Interval, wilson
from app.tracking.models import AccountOpening, Attribution
from app.tracking.openings.models import CountedOpening
from app.users.models import Branch, Team, User

STEPS = ("assigned", "tried", "reached", "interested", "appointment", "opened", "effective")
# What each step is a share of.
WHOLES = {
    "tried": "assigned",
    "reached": "tried",
    "interested": "reached",
    "appointment": "reached",
    "opened": "assigned",
    "effective": "opened",
}
FEWEST = 20
"""Who was given fewer clients is not ranked by a share: luck would decide."""


@dataclass(frozen=True, slots=True)
class Funnel:
    """How far the clients of one adviser or team came. `id` None: nobody's, in the queues of branches, or no team.

    `ranked` is False for those whose post is not a marketing one: they are listed and not ranked.
    """

    id: int | None
    name: str | None
    group: str | None
    ranked: bool
    assigned: int
    tried: int
    reached: int
    interested: int
    appointment: int
    opened: int
    effective: int

    def count(self, step: str) -> int:
        return int(getattr(self, step))

    def share(self, step: str) -> float | None:
        """The step as a share of what it is a share of; None where there is nothing to divide by."""
        whole = self.count(WHOLES[step])
        return self.count(step) / whole if whole else None

    def interval(self, step: str) -> Interval | None:
        """Of the share, 95 % (Wilson). An opening may come without a contact, so the parts need not be nested."""
        whole = self.count(WHOLES[step])
        return wilson(min(self.count(step), whole), whole) if whole else None


def funnels(viewer: User, *, since: datetime, campaign: Campaign | None = None, teams: bool = False) -> list[Funnel]:
    """The funnel of each adviser (or each team's advisers together), over tasks made since then of visible clients."""
    pairs = _pairs(viewer, since, campaign)
    counts = [func.count().filter(pairs.c[step]) for step in STEPS]
    adviser = pairs.outerjoin(User, User.id == pairs.c.adviser_id)
    query: Select[*tuple[Any, ...]]
    if teams:
        query = (
            select(Team.id, Team.name, cast(null(), Text), true(), *counts)
            .select_from(adviser.outerjoin(Team, Team.id == User.team_id))
            .group_by(Team.id, Team.name)
        )
    else:
        query = (
            select(User.id, User.name, Branch.name, func.coalesce(User.marketing_post, False), *counts)
            .select_from(adviser.outerjoin(Branch, Branch.id == User.branch_id))
            .group_by(User.id, User.name, Branch.name)
        )
    return [Funnel(*row) for row in db.session.execute(query)]


def _pairs(viewer: User, since: datetime, campaign: Campaign | None) -> Subquery:
    """One row for each adviser, campaign and client, with a flag for each step."""
    claims = (
        select(
            Attribution.campaign_id,
            AccountOpening.client_id,
            func.bool_or(CountedOpening.effective_on.is_not(None)).label("effective"),
        )
        .join(AccountOpening, AccountOpening.id == Attribution.opening_id)
        .outerjoin(
            CountedOpening,
            (CountedOpening.opening_id == Attribution.opening_id)
            & (CountedOpening.campaign_id == Attribution.campaign_id),
        )
        .where(AccountOpening.client_id.is_not(None))
        .group_by(Attribution.campaign_id, AccountOpening.client_id)
    )
    if campaign is not None:
        claims = claims.where(Attribution.campaign_id == campaign.id)
    claim = claims.subquery()
    task = AdviserTask
    flags = {
        "assigned": true(),
        "tried": func.bool_or(task.tried_at.is_not(None)),
        "reached": func.bool_or(task.reached_at.is_not(None)),
        "interested": func.bool_or(func.coalesce(task.result.in_(("interested", "appointment", "opened")), False)),
        "appointment": func.bool_or(func.coalesce(task.result.in_(("appointment", "opened")), False)),
        "opened": func.bool_or(claim.c.client_id.is_not(None)),
        "effective": func.bool_or(func.coalesce(claim.c.effective, False)),
    }
    query = (
        select(task.adviser_id, task.campaign_id, task.client_id, *(flag.label(name) for name, flag in flags.items()))
        .join(Client, Client.id == task.client_id)
        .join(Campaign, Campaign.id == task.campaign_id)
        .outerjoin(claim, (claim.c.campaign_id == task.campaign_id) & (claim.c.client_id == task.client_id))
        .where(
            visible_clients(viewer),
            visible_to(viewer),
            task.created_at >= since,
            # Who was tried before it was withdrawn has been worked on.
            (task.state != TaskState.WITHDRAWN) | task.tried_at.is_not(None),
        )
        .group_by(task.adviser_id, task.campaign_id, task.client_id)
    )
    if campaign is not None:
        query = query.where(task.campaign_id == campaign.id)
    return query.subquery()


@dataclass(frozen=True, slots=True)
class Ranked:
    """A line of the ranking; `place` None: not ranked (no marketing post, nobody's, or too few for a share)."""

    place: int | None
    funnel: Funnel


def ranking(lines: Sequence[Funnel], *, by: str, share: bool) -> list[Ranked]:
    """The lines by a step, the most first, as a count or as a share; equal ones share a place. The unranked follow."""

    def value(line: Funnel) -> float:
        return (line.share(by) or 0.0) if share else float(line.count(by))

    def may(line: Funnel) -> bool:
        return line.ranked and line.id is not None and (not share or line.count(WHOLES[by]) >= FEWEST)

    ranked = sorted(filter(may, lines), key=lambda line: (-value(line), (line.name or "").lower()))
    values = [value(line) for line in ranked]
    placed = [Ranked(values.index(value(line)) + 1, line) for line in ranked]
    rest = sorted((line for line in lines if not may(line)), key=lambda line: (-value(line), (line.name or "").lower()))
    return [*placed, *(Ranked(None, line) for line in rest)]


def total(lines: Sequence[Funnel]) -> Funnel:
    """All lines together."""
    return Funnel(None, None, None, False, *(sum(line.count(step) for line in lines) for step in STEPS))
