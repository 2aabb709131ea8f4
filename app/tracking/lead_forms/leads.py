"""Who sent a form in: a client of the book, or somebody new."""

from sqlalchemy import ColumnElement, func, select

from app.campaigns.models import Campaign
from app.clients.editing.service import create_lead
from app.clients.models import Client
from app.core.extensions import db
from app.users.models import Branch, User

MOST = 20


def matching_client(*, email: str | None, mobile: str | None) -> tuple[Client | None, str]:
    """The client with this e-mail address or mobile number and by what: "email" or "mobile".

    (None, "new") where there is none; (None, "several") where more than one fits, unless both address and number lead
    to the same one.
    """
    by_email = _owners(func.lower(Client.email) == email.lower()) if email else set()
    by_mobile = _owners(Client.mobile == mobile) if mobile else set()
    fitting = (by_email & by_mobile) or (by_email | by_mobile)
    if not fitting:
        return None, "new"
    if len(fitting) > 1:
        return None, "several"
    (client_id,) = fitting
    return db.session.get_one(Client, client_id), "email" if client_id in by_email else "mobile"


def _owners(condition: ColumnElement[bool]) -> set[int]:
    owner = func.coalesce(Client.merged_into_id, Client.id)
    return set(db.session.scalars(select(owner).where(condition).distinct().limit(MOST)))


def new_lead(
    *, campaign: Campaign, adviser: User | None, name: str | None, email: str | None, mobile: str | None
) -> Client:
    """A lead of the adviser whose link it was; else of the branch that the campaign belongs to."""
    branch_id = adviser.branch_id if adviser else None
    if branch_id is None:
        branch_id = db.session.scalar(select(User.branch_id).where(User.id == campaign.owner_id))
    if branch_id is None:
        branch_id = db.session.scalars(select(Branch.id).where(Branch.parent_id.is_(None))).one()
    return create_lead(
        name=name,
        email=email,
        mobile=mobile,
        source=f"form of {campaign.code}",
        branch_id=branch_id,
        adviser_id=adviser.id if adviser and adviser.active else None,
    )
