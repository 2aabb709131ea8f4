"""Reads about accounts: how each is doing, and what it may still take today."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select

from app.audit.models import AuditEntry
from app.channels.limits import daily_allowance
from app.channels.models import ChannelAccount, ChannelLimit
from app.channels.registry import vendors
from app.core.clock import now, today
from app.core.errors import NotFound
from app.core.extensions import db, settings
from app.delivery.deliverability.alarms import Complaints, complaints_by_account
from app.delivery.deliverability.models import Arrival
from app.users.models import User

HISTORY_SHOWN = 30
SUBJECT = "channel_account"  # of the audit trail


@dataclass(frozen=True, slots=True)
class AccountLine:
    """An account as it is now. `state` is one of STATES of `words.py`; `sent_today` of `allowance` (None: no bound)."""

    account: ChannelAccount
    state: str
    sent_today: int
    allowance: int | None
    complaints: Complaints | None

    @property
    def vendor_label(self) -> object:
        vendor = vendors().get(self.account.vendor)
        return vendor.label if vendor else self.account.vendor


def account_lines() -> list[AccountLine]:
    """Every account: those in use first, by channel and name."""
    accounts = db.session.scalars(
        select(ChannelAccount).order_by(
            ChannelAccount.archived_at.is_not(None), ChannelAccount.channel, func.lower(ChannelAccount.name)
        )
    ).all()
    counted = _counted_today()
    limits = select(ChannelLimit.account_id, ChannelLimit.used).where(
        ChannelLimit.account_id.is_not(None), ChannelLimit.domain == "", ChannelLimit.day == today()
    )
    used = {row.account_id: row.used for row in db.session.execute(limits)}
    complaints = complaints_by_account()
    return [
        AccountLine(
            account,
            state_of(account),
            used.get(account.id, counted.get(account.id, 0)),
            daily_allowance(account, today()),
            complaints.get(account.id),
        )
        for account in accounts
    ]


def _counted_today() -> dict[int, int]:
    sent = func.sum(Arrival.sent).label("sent")
    query = select(Arrival.account_id, sent).where(Arrival.day == today()).group_by(Arrival.account_id)
    return {row.account_id: row.sent for row in db.session.execute(query)}


def state_of(account: ChannelAccount) -> str:
    """archived, paused, resting, unused (weight 0), barred (clients' data may not go there yet), marketing_paused or
    active."""
    if account.archived_at is not None:
        return "archived"
    if account.state == "paused":
        return "paused"
    if account.state == "resting" and account.resting_until and account.resting_until > now():
        return "resting"
    if account.weight == 0:
        return "unused"
    if settings().market_profile == "mainland_china" and account.location == "foreign" and not account.legal_basis:
        return "barred"
    return "marketing_paused" if account.marketing_paused_at else "active"


def find_account(account_id: int) -> ChannelAccount:
    account = db.session.get(ChannelAccount, account_id)
    if account is None:
        raise NotFound
    return account


def line_of(account: ChannelAccount) -> AccountLine:
    return next(line for line in account_lines() if line.account.id == account.id)


@dataclass(frozen=True, slots=True)
class Act:
    """Something a person, or the system (None), did with an account."""

    at: datetime
    actor: str | None
    action: str
    changes: dict[str, Any]
    reason: str | None


def history(account_id: int) -> list[Act]:
    """Newest first."""
    rows = db.session.execute(
        select(AuditEntry.at, User.name, AuditEntry.action, AuditEntry.changes, AuditEntry.reason)
        .outerjoin(User, User.id == AuditEntry.actor_id)
        .where(AuditEntry.subject == SUBJECT, AuditEntry.subject_id == account_id)
        .order_by(AuditEntry.id.desc())
        .limit(HISTORY_SHOWN)
    )
    return [Act(*row) for row in rows]


def throttles() -> Sequence[ChannelLimit]:
    """Receiving domains with a rate of their own."""
    return db.session.scalars(
        select(ChannelLimit)
        .where(ChannelLimit.account_id.is_(None), ChannelLimit.rate_per_second.is_not(None))
        .order_by(ChannelLimit.domain)
    ).all()


def find_throttle(limit_id: int) -> ChannelLimit:
    limit = db.session.get(ChannelLimit, limit_id)
    if limit is None or limit.account_id is not None:
        raise NotFound
    return limit


def name_of(user_id: int | None) -> str | None:
    return db.session.scalar(select(User.name).where(User.id == user_id)) if user_id else None


Named = Row[int, str]


def account_names() -> Sequence[Named]:
    """Ids and names, for filters."""
    return db.session.execute(select(ChannelAccount.id, ChannelAccount.name).order_by(ChannelAccount.name)).all()
