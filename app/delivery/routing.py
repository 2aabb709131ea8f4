"""Which account a batch leaves through: one of those that may and can take it, by weight; away from trouble, and back.

Only rows that are planned, or that a channel definitely refused, are ever sent by another account: an account belongs
to a batch from its claim on, and a row that was being handed over is never offered to a second one.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import choices

import structlog
from sqlalchemy import ColumnElement, exists, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.channels.models import ChannelAccount
from app.channels.registry import vendors
from app.core.clock import now
from app.core.extensions import db, settings

FIRST_REST = timedelta(seconds=5)
LONGEST_REST = timedelta(minutes=15)
CONFIGURED = "default"

log = structlog.get_logger(__name__)


_only_accounts: dict[str, str] = {}


def register_only_account(channel: str, *, vendor: str) -> None:
    """The channel's account of its own, which needs no setting up: it is there, and used, while no other one is."""
    _only_accounts[channel] = vendor


def usable_accounts(channel: str, *, purpose: str = "service") -> Sequence[ChannelAccount]:
    """The channel's accounts that may take clients' data for this purpose and are neither paused nor resting."""
    if channel in _only_accounts:
        _keep_only_account(channel)
    conditions = [
        ChannelAccount.channel == channel,
        ChannelAccount.weight > 0,
        or_(ChannelAccount.state != "resting", ChannelAccount.resting_until <= now()),
        *may_take(purpose),
    ]
    if channel in _only_accounts:
        own = _only_accounts[channel]
        others = exists().where(ChannelAccount.channel == channel, ChannelAccount.vendor != own)
        conditions.append(or_(ChannelAccount.vendor != own, ~others.correlate(None)))
    usable = select(ChannelAccount).where(*conditions).order_by(ChannelAccount.id)
    accounts = db.session.scalars(usable).all()
    if channel == "email" and not any(map(_is_as_configured, accounts)) and _keep_configured_account():
        accounts = db.session.scalars(usable.execution_options(populate_existing=True)).all()
    return accounts


def may_take(purpose: str) -> list[ColumnElement[bool]]:
    """For WHERE on channel_account: neither paused nor archived, and allowed to have clients' data for this purpose."""
    conditions = [ChannelAccount.state != "paused", ChannelAccount.archived_at.is_(None)]
    if purpose == "marketing":
        conditions.append(ChannelAccount.marketing_paused_at.is_(None))
    if settings().market_profile == "mainland_china":
        conditions.append(or_(ChannelAccount.location == "domestic", ChannelAccount.legal_basis.is_not(None)))
    return conditions


def choose_account(channel: str, *, purpose: str = "service") -> ChannelAccount | None:
    """One of the usable accounts, drawn by weight; one that was in trouble lately gets less, until it proves itself."""
    accounts = usable_accounts(channel, purpose=purpose)
    if not accounts:
        return None
    return choices(accounts, weights=[account.weight / (1 + account.failures) for account in accounts])[0]


def rest_account(account_id: int, reason: str, *, until: datetime | None = None) -> None:
    """The account is in trouble: leave it alone for a while, longer each time; or `until` the vendor's word, which is
    no failure."""
    account = db.session.get_one(ChannelAccount, account_id, with_for_update=True, populate_existing=True)
    if account.state == "paused":
        return
    pause = min(FIRST_REST * 2 ** min(account.failures, 10), LONGEST_REST) if until is None else until - now()
    account.failures += until is None
    account.state, account.state_reason, account.resting_until = "resting", reason[:200], until or now() + pause
    log.warning("channel_account_rests", account=account_id, seconds=pause.total_seconds())


def account_works(account_id: int) -> None:
    """It took messages again."""
    db.session.execute(
        update(ChannelAccount)
        .where(ChannelAccount.id == account_id, ChannelAccount.failures > 0)
        .values(failures=ChannelAccount.failures // 2, state="active", state_reason=None, resting_until=None)
        .execution_options(synchronize_session=False)
    )


def _is_as_configured(account: ChannelAccount) -> bool:
    """Whether it is the account that the environment describes (EMAIL_CHANNEL), with the vendor of today."""
    return (
        account.name == CONFIGURED
        and account.vendor == settings().email_channel
        and _configured_location() in ("domestic", account.location)
    )


def _configured_location() -> str:
    config = settings()
    return "foreign" if vendors()[config.email_channel].abroad({}, config) else "domestic"


def _keep_configured_account() -> bool:
    """Make the account that the environment describes, or give it the vendor of today, where that is needed.

    A legal basis was recorded for the vendor it had then: with another one it has to be recorded again.
    """
    known = db.session.scalar(
        select(ChannelAccount).where(ChannelAccount.name == CONFIGURED).execution_options(populate_existing=True)
    )
    if known is not None and _is_as_configured(known):
        return False
    facts = {"vendor": settings().email_channel, "location": _configured_location()}
    anew = {"legal_basis": None, "legal_basis_by_id": None, "legal_basis_at": None, "changed_at": now()}
    db.session.execute(
        upsert(ChannelAccount)
        .values(name=CONFIGURED, channel="email", **facts)
        .on_conflict_do_update(index_elements=["name"], set_=facts | anew)
    )
    return True


def _keep_only_account(channel: str) -> None:
    if db.session.scalar(select(ChannelAccount.id).where(ChannelAccount.channel == channel).limit(1)) is None:
        db.session.execute(
            upsert(ChannelAccount)
            .values(name=channel, channel=channel, vendor=_only_accounts[channel])
            .on_conflict_do_nothing()
        )
