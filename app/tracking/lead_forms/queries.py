"""Reads of lead forms: whether one is open, what was sent in, and the client's time line."""

from collections.abc import Sequence
from datetime import datetime

from flask_babel import gettext as _
from sqlalchemy import func, or_, select

from app.campaigns.models import Campaign, State
from app.clients.models import Client
from app.clients.queries import sees_whole_book, visible_clients
from app.clients.timeline import TimelineEntry
from app.core.clock import today
from app.core.errors import NotFound
from app.core.extensions import db
from app.core.paging import Page, newest_first
from app.core.permissions import Role
from app.tracking.lead_forms.models import LeadForm, LeadSubmission
from app.users.models import User
from app.users.queries import in_subtree


def form_of(campaign: Campaign) -> LeadForm | None:
    return db.session.scalar(select(LeadForm).where(LeadForm.campaign_id == campaign.id))


def is_open(form: LeadForm) -> bool:
    """It is switched on, its campaign was launched and is not cancelled, and its last day has not passed."""
    campaign = db.session.get_one(Campaign, form.campaign_id)
    running = campaign.launched_at is not None and State(campaign.state) != State.CANCELLED
    return form.enabled and running and (form.closes_on is None or today() <= form.closes_on)


def submissions_page(form: LeadForm, *, user: User, newer_than: int | None, older_than: int | None) -> Page:
    """What was sent in with a form, newest first, of the clients a person may see; what still waits for somebody to say
    whose it is, for those who see the whole book."""
    seen = visible_clients(user)
    query = (
        select(
            LeadSubmission.id, LeadSubmission.received_at, LeadSubmission.name, LeadSubmission.email,
            LeadSubmission.mobile, LeadSubmission.message, LeadSubmission.consent, LeadSubmission.consent_version,
            LeadSubmission.matched_by, LeadSubmission.client_id, Client.number, Client.name.label("client"),
            User.name.label("adviser"),
        )
        .outerjoin(Client, Client.id == LeadSubmission.client_id)
        .outerjoin(User, User.id == LeadSubmission.adviser_id)
        .where(
            LeadSubmission.form_id == form.id,
            or_(LeadSubmission.client_id.is_(None), seen) if sees_whole_book(user) else seen,
        )
    )  # fmt: skip
    return newest_first(query, LeadSubmission.id.expression, newer_than=newer_than, older_than=older_than)


def submission_count(form: LeadForm, *, user: User) -> int:
    """How many were sent in by clients the person may see."""
    count = (
        select(func.count())
        .select_from(LeadSubmission)
        .join(Client, Client.id == LeadSubmission.client_id)
        .where(LeadSubmission.form_id == form.id, visible_clients(user))
    )
    return db.session.scalar(count) or 0


def find_submission(form: LeadForm, submission_id: int, *, user: User) -> LeadSubmission:
    """One that waits for a person to say whose it is; NotFound for who does not see the whole book."""
    found = db.session.get(LeadSubmission, submission_id)
    if found is None or found.form_id != form.id or not sees_whole_book(user):
        raise NotFound
    return found


def advisers_for_links(user: User) -> list[tuple[int, str]]:
    """Advisers of the person's part of the firm, for links of their own."""
    rows = db.session.execute(
        select(User.id, User.name)
        .join(User.branch)
        .where(User.active, User.roles.contains([Role.ADVISER]), in_subtree(user.branch))
        .order_by(User.name, User.id)
    )
    return [(row.id, row.name) for row in rows]


def lead_timeline(client_ids: Sequence[int], limit: int, until: datetime) -> list[TimelineEntry]:
    """Forms the client sent in."""
    rows = db.session.execute(
        select(LeadSubmission.received_at, Campaign.name)
        .join(LeadForm, LeadForm.id == LeadSubmission.form_id)
        .join(Campaign, Campaign.id == LeadForm.campaign_id)
        .where(LeadSubmission.client_id.in_(client_ids), LeadSubmission.received_at <= until)
        .order_by(LeadSubmission.received_at.desc(), LeadSubmission.id.desc())
        .limit(limit)
    )
    return [
        TimelineEntry(at=row.received_at, kind="note", text=_("Sent in the form of %(campaign)s", campaign=row.name))
        for row in rows
    ]
