"""Clients of an age at which a second person looks before a product of higher risk is offered to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from app.audiences.snapshots import in_any
from app.campaigns.gates import awaiting_second_check, suitable
from app.campaigns.models import Campaign, SecondCheck
from app.campaigns.queries import segments_of
from app.campaigns.service import OwnCampaign, note_act
from app.clients.models import Client
from app.clients.queries import visible_clients
from app.core.errors import AppError, Conflict
from app.core.extensions import db
from app.core.permissions import Permission, require
from app.users.models import User

SHOWN = 100


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A client of the audience for whom the product is suitable, and whom nobody has looked at for it."""

    id: int
    number: str
    name: str | None
    birth_date: date | None
    risk_level: int | None


def unchecked_clients(campaign: Campaign, *, viewer: User) -> tuple[Sequence[Unchecked], int]:
    """The first of them by number, and how many there are."""
    waiting = awaiting_second_check(campaign)
    if waiting is None:
        return (), 0
    where = waiting & _in_audience(campaign) & suitable(campaign) & visible_clients(viewer)
    columns = (Client.id, Client.number, Client.name, Client.birth_date, Client.risk_level)
    rows = db.session.execute(select(*columns).where(where).order_by(Client.number).limit(SHOWN)).all()
    total = db.session.scalar(select(func.count()).select_from(Client).where(where)) or 0
    return [Unchecked(*row) for row in rows], total


def confirm_clients(*, campaign: Campaign, client_ids: Sequence[int], reason: str, actor: User) -> int:
    """A second person found the product right for these clients. Returns for how many.

    By a checker who did not submit the campaign; clients that do not wait for it (any more) are left out.
    """
    require(actor, Permission.APPROVE_CAMPAIGNS)
    if actor.id in (campaign.submitted_by_id, campaign.owner_id):
        raise OwnCampaign
    reason = reason.strip()
    if not reason or "\0" in reason:
        raise AppError(_l("Say what you looked at."))
    waiting = awaiting_second_check(campaign)
    if waiting is None:
        raise Conflict
    where = waiting & suitable(campaign) & visible_clients(actor) & Client.id.in_(client_ids)
    ids = db.session.scalars(select(Client.id).where(where)).all()
    if not ids:
        raise AppError(_l("Choose at least one client."))
    statement = upsert(SecondCheck).values(
        [
            {
                "campaign_id": campaign.id,
                "client_id": client_id,
                "product_risk": campaign.product_risk,
                "reason": reason,
                "checked_by_id": actor.id,
            }
            for client_id in ids
        ]
    )
    db.session.execute(
        statement.on_conflict_do_update(
            index_elements=["campaign_id", "client_id"],
            set_={
                "product_risk": statement.excluded.product_risk,
                "reason": statement.excluded.reason,
                "checked_by_id": statement.excluded.checked_by_id,
                "checked_at": func.now(),
            },
        )
    )
    note_act(campaign, "clients_checked", actor, changes={"clients": [None, len(ids)]}, reason=reason)
    return len(ids)


def _in_audience(campaign: Campaign) -> ColumnElement[bool]:
    scope = visible_clients(campaign.owner)
    included = [segment.rule for segment in segments_of(campaign, "include")]
    excluded = [segment.rule for segment in segments_of(campaign, "exclude")]
    return in_any(included, scope=scope) & ~in_any(excluded, scope=scope) & scope
