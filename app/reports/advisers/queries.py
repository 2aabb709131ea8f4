"""The funnel of contacts by adviser and by team: sets of clients, so that each of them counts once.

Once for an adviser, and once in all, however many campaigns and steps asked for a contact or claim the same account
opening. An account counts where a campaign that asked for the contact claims an opening of the client, an effective one
by that campaign's own rule; so both come from the core systems and not from what advisers note.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyroaring import BitMap64
from sqlalchemy import ColumnElement, Select, case, func, select, true

from app.advising.models import AdviserTask, TaskState
from app.audiences.snapshots import packed, unpacked
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


Steps = dict[str, BitMap64]
"""Clients by the step they came to."""


@dataclass(frozen=True, slots=True)
class Funnel:
    """How far the clients of one adviser or team came. `id` None: nobody's, in the queues of branches, or no team.

    `ranked` is False for those whose post is not a marketing one: they are listed and not ranked.
    """

    id: int | None
    name: str | None
    group: str | None
    ranked: bool
    clients: Steps

    def count(self, step: str) -> int:
        return len(self.clients[step])

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
    of_advisers = _steps(viewer, since, campaign)
    known = {row.id: row for row in db.session.execute(_advisers(list(filter(None, of_advisers))))}
    if not teams:
        return [
            Funnel(one, known[one].name, known[one].branch, known[one].marketing_post, steps)
            if one is not None
            else Funnel(None, None, None, False, steps)
            for one, steps in of_advisers.items()
        ]
    of_teams: dict[int | None, list[Steps]] = {}
    names: dict[int | None, str | None] = {}
    for one, steps in of_advisers.items():
        team_id = None if one is None else known[one].team_id
        names[team_id] = None if one is None else known[one].team
        of_teams.setdefault(team_id, []).append(steps)
    return [Funnel(team_id, names[team_id], None, True, _united(some)) for team_id, some in of_teams.items()]


def _advisers(ids: Sequence[int]) -> Select[*tuple[Any, ...]]:
    return (
        select(
            User.id, User.name, User.marketing_post, User.team_id, Branch.name.label("branch"), Team.name.label("team")
        )
        .join(Branch, Branch.id == User.branch_id)
        .outerjoin(Team, Team.id == User.team_id)
        .where(User.id.in_(ids))
    )


def _steps(viewer: User, since: datetime, campaign: Campaign | None) -> dict[int | None, Steps]:
    """The clients of each adviser by step, in one pass over the tasks."""
    claim = _claims(campaign).subquery()
    task = AdviserTask
    came_to: dict[str, ColumnElement[bool]] = {
        "assigned": true(),
        "tried": task.tried_at.is_not(None),
        "reached": task.reached_at.is_not(None),
        "interested": task.result.in_(("interested", "appointment", "opened")),
        "appointment": task.result.in_(("appointment", "opened")),
        "opened": claim.c.client_id.is_not(None),
        "effective": claim.c.effective,
    }
    query = (
        select(task.adviser_id, *(packed(case((came_to[step], task.client_id))) for step in STEPS))
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
        .group_by(task.adviser_id)
    )
    if campaign is not None:
        query = query.where(task.campaign_id == campaign.id)
    rows = db.session.execute(query)
    return {row[0]: {step: unpacked(ids) for step, ids in zip(STEPS, row[1:], strict=True)} for row in rows}


def _claims(campaign: Campaign | None) -> Select[int, int, bool]:
    """(campaign, client, whether effective) of the openings that campaigns claim."""
    query = (
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
    return query if campaign is None else query.where(Attribution.campaign_id == campaign.id)


def _united(some: Sequence[Steps]) -> Steps:
    return {step: BitMap64().union(*(steps[step] for steps in some)) for step in STEPS}


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
    """All lines together, each client once."""
    return Funnel(None, None, None, False, _united([line.clients for line in lines]))
