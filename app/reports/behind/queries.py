"""The lines of a list behind a figure, cut down to the clients the reader may see. Contact data is not masked yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pyroaring import BitMap64
from sqlalchemy import func, select

from app.campaigns.models import Campaign
from app.campaigns.queries import visible_to
from app.clients.models import Client
from app.clients.queries import visible_clients
from app.core.extensions import db
from app.tracking.models import AccountOpening, Attribution
from app.users.models import Branch, User


@dataclass(frozen=True, slots=True)
class Line:
    """A client, or an account opening with its client and the campaigns that claim it ({code: name})."""

    id: int
    number: str
    name: str | None
    email: str | None
    branch: str
    adviser: str | None
    opened_at: datetime | None = None
    claimed_by: dict[str, str] | None = None


def client_rows(ids: Sequence[int], *, viewer: User) -> list[Line]:
    """By rising id."""
    rows = db.session.execute(
        select(Client.id, Client.number, Client.name, Client.email, Branch.name, User.name)
        .join(Branch, Branch.id == Client.branch_id)
        .outerjoin(User, User.id == Client.adviser_id)
        .where(Client.id.in_(ids), visible_clients(viewer))
        .order_by(Client.id)
    )
    return [Line(*row) for row in rows]


def opening_rows(ids: Sequence[int], *, viewer: User) -> list[Line]:
    """By rising id; of campaigns those the reader may see."""
    claimed_by = (
        select(func.jsonb_object_agg(Campaign.code, Campaign.name))
        .join(Attribution, Attribution.campaign_id == Campaign.id)
        .where(Attribution.opening_id == AccountOpening.id, visible_to(viewer))
        .correlate(AccountOpening)
        .scalar_subquery()
    )
    opening = (AccountOpening.opened_at, claimed_by)
    rows = db.session.execute(
        select(AccountOpening.id, Client.number, Client.name, Client.email, Branch.name, User.name, *opening)
        .join(Client, Client.id == AccountOpening.client_id)
        .join(Branch, Branch.id == Client.branch_id)
        .outerjoin(User, User.id == Client.adviser_id)
        .where(AccountOpening.id.in_(ids), visible_clients(viewer))
        .order_by(AccountOpening.id)
    )
    return [Line(*row) for row in rows]


def clients_of_openings(ids: BitMap64) -> int:
    """How many clients these account openings are of."""
    count = select(func.count(AccountOpening.client_id.distinct())).where(AccountOpening.id.in_(list(ids)))
    return db.session.scalar(count) or 0
