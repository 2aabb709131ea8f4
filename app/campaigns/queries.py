"""Reads about campaigns.

Who sees what: a campaign belongs to its owner's branch. People see those of their own part of the firm and those of the
branches above them, which reach their clients too.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, Row, func, literal, or_, select, true
from sqlalchemy.orm import joinedload

from app.audiences.choices import MOST_WORDS, Choice, Directory
from app.audiences.fields import load_catalogue
from app.audiences.models import Segment
from app.audiences.queries import understood
from app.audiences.sentence import sentence
from app.audiences.snapshots import AudienceCounts, reach
from app.audit.models import AuditEntry
from app.campaigns.gates import gates
from app.campaigns.models import Campaign, CampaignSegment, State
from app.campaigns.step_kinds import contacts_of
from app.clients.queries import visible_clients
from app.core.errors import NotFound
from app.core.extensions import db
from app.core.paging import newest_first
from app.users.models import Branch, User

PAGE = 50
OPEN_STATES = (State.DRAFT, State.IN_REVIEW, State.APPROVED, State.SCHEDULED, State.RUNNING, State.PAUSED)


def visible_to(viewer: User) -> ColumnElement[bool]:
    """For WHERE on campaign: those that the viewer may see."""
    path = (
        select(Branch.path).join(User, User.branch_id == Branch.id).where(User.id == Campaign.owner_id)
    ).scalar_subquery()
    own = literal(viewer.branch.path)
    return or_(Campaign.owner_id.is_(None), path.startswith(own), own.startswith(path))


def in_own_part(campaign: Campaign, user: User) -> bool:
    """Whether the campaign is one of the user's own part of the firm: a branch sees what head office sends to its
    clients as well, but changes only its own. One without an owner is head office's."""
    branch = campaign.owner.branch if campaign.owner else None
    return user.branch.parent_id is None or (branch is not None and branch.path.startswith(user.branch.path))


def _campaigns_named(ids: Collection[str | int]) -> list[Choice]:
    return _choices(Campaign.id.in_(ids), len(ids))


def _campaigns_matching(typed: str, user: User | None, limit: int) -> list[Choice]:
    return _choices(_with_words(typed) if user is None else visible_to(user) & _with_words(typed), limit)


def _choices(condition: ColumnElement[bool], limit: int) -> list[Choice]:
    query = select(Campaign.id, Campaign.code, Campaign.name).where(condition).order_by(Campaign.id.desc()).limit(limit)
    return [Choice(row.id, f"{row.name} ({row.code})") for row in db.session.execute(query)]


# For rules about what clients did with a campaign: newest first.
CAMPAIGN_CHOICES = Directory(_campaigns_named, _campaigns_matching)


def campaign_by_code(code: str, *, viewer: User | None) -> Campaign:
    """The campaign, where the viewer (None: the command line) may see it; else NotFound."""
    query = select(Campaign).where(func.lower(Campaign.code) == code.lower())
    if viewer is not None:
        query = query.where(visible_to(viewer))
    campaign = db.session.scalar(query)
    if campaign is None:
        raise NotFound
    return campaign


@dataclass(frozen=True, slots=True)
class CampaignPage:
    """One page of campaigns, newest first, with the ids to go on from in either direction (None at an end)."""

    campaigns: Sequence[Campaign]
    newer_than: int | None
    older_than: int | None


def campaign_page(
    *,
    viewer: User,
    state: str = "",
    tag: str = "",
    search: str = "",
    newer_than: int | None = None,
    older_than: int | None = None,
) -> CampaignPage:
    """50 campaigns a page by falling id. `state`: one of State, "open" or all; `search` is for code and name."""
    query = select(Campaign, Campaign.id).options(joinedload(Campaign.owner)).where(_wanted(viewer, state, tag, search))
    page = newest_first(query, Campaign.id.expression, newer_than=newer_than, older_than=older_than, size=PAGE)
    return CampaignPage([row[0] for row in page.rows], page.newer, page.older)


def campaign_counts(*, viewer: User) -> dict[str, int]:
    """How many visible campaigns there are in each state (states without any are left out)."""
    rows = db.session.execute(select(Campaign.state, func.count()).where(visible_to(viewer)).group_by(Campaign.state))
    return {State(state).value: count for state, count in rows}


def campaign_tags(*, viewer: User) -> list[str]:
    """The tags in use, by name."""
    tag = func.unnest(Campaign.tags).label("tag")
    return list(db.session.scalars(select(tag).where(visible_to(viewer)).distinct().order_by(tag).limit(200)))


def _wanted(viewer: User, state: str, tag: str, search: str) -> ColumnElement[bool]:
    condition = visible_to(viewer)
    if state == "open":
        condition &= Campaign.state.in_(OPEN_STATES)
    elif state in set(State):
        condition &= Campaign.state == state
    if tag:
        condition &= Campaign.tags.contains([tag])
    return condition & _with_words(search)


def _with_words(search: str) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = true()
    for word in search.split()[:MOST_WORDS]:
        condition &= Campaign.name.icontains(word, autoescape=True) | Campaign.code.icontains(word, autoescape=True)
    return condition


def due_campaigns(now: datetime) -> list[Campaign]:
    """Scheduled campaigns whose time has come, the longest waiting first."""
    return list(
        db.session.scalars(
            select(Campaign)
            .where(Campaign.state == State.SCHEDULED, Campaign.send_at <= now)
            .order_by(Campaign.send_at, Campaign.id)
            .limit(100)
        )
    )


def segments_of(campaign: Campaign, role: str) -> list[Segment]:
    """The campaign's segments in one role, in their order."""
    return [link.segment for link in campaign.segments if link.role == role]


def segment_sentences(segments: Iterable[Segment]) -> dict[int, str]:
    """Each segment's rule in words, by id; a rule about a field that is gone says so."""
    catalogue = load_catalogue()
    rules = {segment.id: understood(segment, catalogue) for segment in segments}
    gone = _("This rule asks about a field that no longer exists.")
    return {key: sentence(rule, catalogue) if rule else gone for key, rule in rules.items()}


def campaigns_using(segment_ids: Sequence[int]) -> Sequence[Row[int, str, str]]:
    """(segment id, campaign code, campaign name) of every campaign with one of these segments, newest first."""
    return db.session.execute(
        select(CampaignSegment.segment_id, Campaign.code, Campaign.name)
        .join(Campaign)
        .where(CampaignSegment.segment_id.in_(segment_ids))
        .group_by(CampaignSegment.segment_id, Campaign.id)
        .order_by(Campaign.id.desc())
    ).all()


def audience_preview(campaign: Campaign, *, viewer: User | None = None) -> AudienceCounts:
    """Matched, excluded by reason and left to send to, as of now; the launch counts again and freezes.

    A campaign reaches the clients of its owner's part of the firm; a viewer is told of those they may see (None: all).
    """
    return reach(
        included=[segment.rule for segment in segments_of(campaign, "include")],
        excluded=[segment.rule for segment in segments_of(campaign, "exclude")],
        channels=contacts_of(campaign),
        purpose=campaign.purpose,
        visible=visible_clients(campaign.owner) & visible_clients(viewer),
        gates=gates(campaign, of_many=True),
    ).counts()


def people_of(campaign: Campaign) -> dict[int, str]:
    """The names of those who submitted and approved it, by id."""
    ids = (campaign.submitted_by_id, campaign.approved_by_id)
    return {row.id: row.name for row in db.session.execute(select(User.id, User.name).where(User.id.in_(ids)))}


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One act in a campaign's life. `actor` None is the system itself."""

    at: datetime
    actor: str | None
    action: str
    changes: dict[str, Any]
    reason: str | None


def history(campaign: Campaign, *, limit: int = 100) -> list[HistoryLine]:
    """What was done to the campaign, newest first."""
    rows = db.session.execute(
        select(AuditEntry, User.name)
        .outerjoin(User, User.id == AuditEntry.actor_id)
        .where(AuditEntry.subject == "campaign", AuditEntry.subject_id == campaign.id)
        .order_by(AuditEntry.id.desc())
        .limit(limit)
    )
    return [HistoryLine(entry.at, name, entry.action, entry.changes, entry.reason) for entry, name in rows]
