"""Reads of households and referrals. Names of relatives outside the reader's part of the firm are not told."""

from dataclasses import dataclass

from sqlalchemy import func, select

from app.clients.models import Client
from app.clients.queries import visible_clients
from app.clients.relations.models import HouseholdMember
from app.core.extensions import db
from app.users.models import User

REFERRED_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Relative:
    """Somebody the client belongs to, as the reader may see them."""

    number: str
    name: str | None
    status: str
    is_head: bool = False


@dataclass(frozen=True, slots=True)
class Relations:
    """`hidden` counts those the reader may not see: members, and the one who referred."""

    members: list[Relative]
    is_head: bool
    referred_by: Relative | None
    referred: list[Relative]
    referred_count: int
    hidden: int


def relations_of(client: Client, *, user: User) -> Relations:
    """The client's household (without the client), who brought them and whom they brought."""
    own = db.session.get(HouseholdMember, client.id)
    members: list[Relative] = []
    hidden = 0
    if own is not None:
        others = (
            select(
                Client.number, Client.name, Client.status, HouseholdMember.is_head, visible_clients(user).label("seen")
            )
            .join(HouseholdMember, HouseholdMember.client_id == Client.id)
            .where(HouseholdMember.household_id == own.household_id, Client.id != client.id)
            .order_by(HouseholdMember.is_head.desc(), HouseholdMember.joined_at, Client.id)
        )
        for row in db.session.execute(others):
            if row.seen:
                members.append(Relative(row.number, row.name, row.status, row.is_head))
            else:
                hidden += 1
    referrer = None
    if client.referred_by_id is not None:
        found = db.session.execute(
            select(Client.number, Client.name, Client.status).where(
                Client.id == client.referred_by_id, visible_clients(user)
            )
        ).one_or_none()
        referrer = Relative(*found) if found else None
        hidden += found is None
    brought = select(Client).where(Client.referred_by_id == client.id, visible_clients(user))
    count = db.session.scalar(select(func.count()).select_from(brought.subquery())) or 0
    referred = [
        Relative(one.number, one.name, one.status)
        for one in db.session.scalars(brought.order_by(Client.id.desc()).limit(REFERRED_SHOWN))
    ]
    return Relations(members, bool(own and own.is_head), referrer, referred, count, hidden)
