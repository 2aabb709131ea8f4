"""Reads of how messages arrive. Sums are of the whole firm, for the head office; clients are within scope."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, cast, func, select
from sqlalchemy.types import Date

from app.campaigns.models import Campaign
from app.channels.models import ChannelAccount
from app.clients.models import Client
from app.clients.queries import sees_whole_book, visible_clients
from app.core.clock import today
from app.core.errors import NotFound
from app.core.extensions import db, settings
from app.core.paging import Page, newest_first
from app.delivery.deliverability.models import Arrival, DnsCheck
from app.delivery.models import Message, MessageState, Run
from app.users.models import User

DOMAINS_SHOWN = 50
OUTCOMES = ("sent", "delivered", "deferred", "refused", "bounced", "complained")
PERIODS = (7, 30, 90)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is looked at: the last days, one account, one receiving domain."""

    days: int = 30
    account_id: int | None = None
    domain: str = ""

    @property
    def since(self) -> date:
        return today() - timedelta(days=self.days - 1)

    def condition(self) -> ColumnElement[bool]:
        found: ColumnElement[bool] = Arrival.day >= self.since
        if self.account_id is not None:
            found &= Arrival.account_id == self.account_id
        if self.domain:
            found &= Arrival.domain == self.domain
        return found


def require_whole_firm(user: User) -> None:
    """The figures count every client: they are for those who see every client. Raises NotFound."""
    if not sees_whole_book(user):
        raise NotFound


def _sums() -> list[Any]:
    return [func.coalesce(func.sum(getattr(Arrival, name)), 0).label(name) for name in OUTCOMES]


def totals(chosen: Chosen) -> Row[*tuple[Any, ...]]:
    return db.session.execute(select(*_sums()).where(chosen.condition())).one()


def by_account(chosen: Chosen) -> Sequence[Row[*tuple[Any, ...]]]:
    """(id, name, then OUTCOMES), most first."""
    query = select(ChannelAccount.id, ChannelAccount.name, *_sums()).join(
        Arrival, Arrival.account_id == ChannelAccount.id
    )
    return db.session.execute(
        query.where(chosen.condition()).group_by(ChannelAccount.id).order_by(func.sum(Arrival.sent).desc())
    ).all()


def by_domain(chosen: Chosen) -> Sequence[Row[*tuple[Any, ...]]]:
    """(domain, then OUTCOMES) of the 50 that got most."""
    return db.session.execute(
        select(Arrival.domain, *_sums())
        .where(chosen.condition())
        .group_by(Arrival.domain)
        .order_by(func.sum(Arrival.sent).desc(), Arrival.domain)
        .limit(DOMAINS_SHOWN)
    ).all()


def by_day(chosen: Chosen) -> list[tuple[date, dict[str, int]]]:
    """Every day of the period with its OUTCOMES, 0 where nothing left."""
    rows = db.session.execute(select(Arrival.day, *_sums()).where(chosen.condition()).group_by(Arrival.day)).all()
    found = {row.day: {name: int(getattr(row, name)) for name in OUTCOMES} for row in rows}
    days = [chosen.since + timedelta(days=n) for n in range(chosen.days)]
    return [(day, found.get(day, dict.fromkeys(OUTCOMES, 0))) for day in days]


_CONDITIONS: dict[str, ColumnElement[bool]] = {
    "sent": Message.state == MessageState.SENT,
    "delivered": (Message.state == MessageState.SENT) & Message.bounced_at.is_(None),
    "deferred": Message.deferred_at.is_not(None),
    "refused": (Message.state == MessageState.FAILED) & Message.settled_by_id.is_(None),
    "bounced": (Message.state == MessageState.SENT) & Message.bounced_at.is_not(None),
    "complained": Message.complained_at.is_not(None),
}


def clients_page(user: User, outcome: str, chosen: Chosen, *, newer: int | None, older: int | None) -> Page:
    """The messages behind a figure, of the clients the person may see, newest first."""
    if outcome not in OUTCOMES:
        raise NotFound
    runs = select(Arrival.run_id).where(chosen.condition(), getattr(Arrival, outcome) > 0).distinct()
    sent_on = cast(
        func.timezone(settings().time_zone, func.coalesce(Message.sent_at, Run.planned_at, Run.created_at)), Date
    )
    query = (
        select(
            Message.id, Message.channel, Message.domain, Message.reason, Message.sent_at, Message.bounced_at,
            Message.complained_at, Client.number, Client.name, Campaign.code, Campaign.name.label("campaign"),
            ChannelAccount.name.label("account"),
        )
        .join(Client, Client.id == Message.client_id)
        .join(Run, Run.id == Message.run_id)
        .join(Campaign, Campaign.id == Message.campaign_id)
        .join(ChannelAccount, ChannelAccount.id == Message.account_id)
        .where(Message.run_id.in_(runs), _CONDITIONS[outcome], sent_on >= chosen.since, visible_clients(user))
    )  # fmt: skip
    if chosen.account_id is not None:
        query = query.where(Message.account_id == chosen.account_id)
    if chosen.domain:
        query = query.where(Message.domain == chosen.domain)
    return newest_first(query, Message.id.expression, newer_than=newer, older_than=older)


def newest_checks(domains: Sequence[str]) -> list[tuple[str, DnsCheck | None]]:
    """Each domain with what was found last."""
    newest = select(func.max(DnsCheck.id)).where(DnsCheck.domain.in_(domains)).group_by(DnsCheck.domain)
    checks = db.session.scalars(select(DnsCheck).where(DnsCheck.id.in_(newest)))
    found = {check.domain: check for check in checks}
    return [(domain, found.get(domain)) for domain in domains]
