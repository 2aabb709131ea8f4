"""What stands in a digest: figures of campaigns as its reader may see them, and never a client."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, or_, select

from app.campaigns.models import Campaign, State
from app.campaigns.queries import visible_to
from app.core.extensions import db, settings
from app.delivery.models import Message
from app.reports.digest.models import Digest
from app.reports.response import Row, headlines
from app.reports.scope import message_scope
from app.tracking.models import AccountOpening, Attribution, Reply
from app.users.models import User

MOST = 20
LATELY = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class DigestLine:
    """A campaign: `row` since its launch; accounts and replies of the period that the digest is about."""

    campaign: Campaign
    row: Row
    new_accounts: int
    new_replies: int


@dataclass(frozen=True, slots=True)
class Figures:
    """`first` to `last` are the days that are new, both included."""

    period: str
    first: date
    last: date
    lines: list[DigestLine]


def digest_of(user: User) -> Digest | None:
    return db.session.get(Digest, user.id)


def choosable(user: User) -> Sequence[Campaign]:
    """Launched campaigns that the person may choose, the newest first."""
    return db.session.scalars(
        select(Campaign)
        .where(Campaign.launched_at.is_not(None), visible_to(user))
        .order_by(Campaign.launched_at.desc(), Campaign.id.desc())
        .limit(100)
    ).all()


def figures(user: User, *, period: str, campaign_ids: Sequence[int] | None, on_date: date) -> Figures:
    """The figures that somebody gets on a day: of the day before, or of the seven days before."""
    first, last = on_date - timedelta(days=7 if period == "weekly" else 1), on_date - timedelta(days=1)
    since, until = _start(first), _start(on_date)
    query = select(Campaign).where(visible_to(user), Campaign.launched_at.is_not(None))
    if campaign_ids is None:
        running = Campaign.state.in_((State.RUNNING, State.PAUSED))
        query = query.where(or_(running, Campaign.launched_at >= until - LATELY))
    else:
        query = query.where(Campaign.id.in_(campaign_ids))
    campaigns = db.session.scalars(query.order_by(Campaign.launched_at.desc(), Campaign.id.desc()).limit(MOST)).all()
    if not campaigns:
        return Figures(period, first, last, [])
    ids = [campaign.id for campaign in campaigns]
    rows, accounts, replies = (
        headlines(campaigns, user),
        _new_accounts(ids, user, since, until),
        _new_replies(ids, user, since, until),
    )
    return Figures(
        period,
        first,
        last,
        [
            DigestLine(campaign, rows[campaign.id], accounts.get(campaign.id, 0), replies.get(campaign.id, 0))
            for campaign in campaigns
        ],
    )


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(settings().time_zone))


def _new_accounts(ids: Sequence[int], user: User, since: datetime, until: datetime) -> dict[int, int]:
    rows = db.session.execute(
        select(Attribution.campaign_id, func.count(Attribution.opening_id.distinct()))
        .join(AccountOpening, AccountOpening.id == Attribution.opening_id)
        .join(Message, Message.id == Attribution.message_id)
        .where(
            Attribution.campaign_id.in_(ids),
            AccountOpening.opened_at >= since,
            AccountOpening.opened_at < until,
            *message_scope(user),
        )
        .group_by(Attribution.campaign_id)
    )
    return {row[0]: row[1] for row in rows}


def _new_replies(ids: Sequence[int], user: User, since: datetime, until: datetime) -> dict[int, int]:
    rows = db.session.execute(
        select(Reply.campaign_id, func.count())
        .join(Message, Message.id == Reply.message_id)
        .where(
            Reply.campaign_id.in_(ids),
            Reply.kind == "reply",
            Reply.received_at >= since,
            Reply.received_at < until,
            *message_scope(user),
        )
        .group_by(Reply.campaign_id)
    )
    return {row[0]: row[1] for row in rows}
