"""Frequency caps: how many marketing messages a client may get by a channel in a day, a week and a month.

What was sent, is being handed over or may have arrived counts. A campaign of higher priority that still waits for the
same client goes first: where it will use up the cap, the other gives way.
"""

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, case, func, literal, or_, select, text
from sqlalchemy.orm import aliased

from app.campaigns.models import Campaign, State, Step
from app.campaigns.sending_rules import PERIOD_DAYS
from app.core.extensions import Timestamp, db, settings
from app.delivery.models import Batch, Message, MessageState, Run

CAPPED, OUTRANKED = "capped", "outranked"
_HIGHEST = 3


def cap_reason(*, channel: str, caps: Mapping[str, int], priority: int, at: datetime) -> ColumnElement[str | None]:
    """Over message: why the client may get no more of it now (`caps` are {period: messages}), or NULL."""
    other, campaign, batch = aliased(Message), aliased(Campaign), aliased(Batch)
    today = datetime.combine(at.astimezone(ZoneInfo(settings().time_zone)), time(), ZoneInfo(settings().time_zone))
    begins = {period: today - timedelta(days=PERIOD_DAYS[period] - 1) for period in caps}
    ends = {period: today + timedelta(days=PERIOD_DAYS[period]) for period in caps}
    # A row that is unconfirmed has no time of its own; its batch was due when it was worked on.
    gone_at = func.coalesce(other.sent_at, batch.due_at)
    on_its_way = other.state == MessageState.HANDING
    gone = other.state.in_((MessageState.SENT, MessageState.UNCONFIRMED))
    waits = other.state == MessageState.PLANNED

    def reached(period: str, limit: int, *, ahead: bool) -> ColumnElement[bool]:
        counts = on_its_way | gone & (gone_at >= literal(begins[period], Timestamp))
        if ahead:
            counts = counts | waits & (batch.due_at < literal(ends[period], Timestamp))
        return func.count().filter(counts) >= limit

    earliest = literal(min(begins.values()), Timestamp)
    considered = [on_its_way, and_(gone, gone_at >= earliest)]
    reasons = [(or_(*(reached(period, limit, ahead=False) for period, limit in caps.items())), CAPPED)]
    if priority < _HIGHEST:
        considered.append(and_(waits, campaign.state == State.RUNNING, campaign.priority > priority))
        reasons.append((or_(*(reached(period, limit, ahead=True) for period, limit in caps.items())), OUTRANKED))
    return (
        select(case(*((condition, literal(reason)) for condition, reason in reasons)))
        .select_from(other)
        .join(campaign, campaign.id == other.campaign_id)
        .join(batch, batch.id == other.batch_id)
        .where(
            other.client_id == Message.client_id,
            other.id != Message.id,
            other.channel == channel,
            campaign.purpose == "marketing",
            or_(*considered),
        )
        .correlate(Message)
        .scalar_subquery()
    )


def keep_caps_strict(channel: str) -> None:
    """Until the end of the transaction nobody else hands over marketing messages of this channel, where it matters.

    Two runs could each see the client's last free place. One that is alone (and its clients once each in it) shares
    the lock with itself and waits for nobody; where others send too they take turns. The lock is held for the handing
    over in the database, not while the channel talks to the network.
    """
    sends_too = (
        select(literal(1))
        .select_from(Run)
        .join(Campaign, Campaign.id == Run.campaign_id)
        .join(Step, Step.campaign_id == Campaign.id)
        .where(
            Run.state.in_(("planning", "sending")),
            Campaign.purpose == "marketing",
            Step.channel == channel,
        )
    )
    steps = db.session.scalar(select(func.count()).select_from(sends_too.limit(2).subquery())) or 0
    lock = "pg_advisory_xact_lock" if steps > 1 else "pg_advisory_xact_lock_shared"
    db.session.execute(text(f"SELECT {lock}(hashtextextended(:name, 0))"), {"name": f"marketing by {channel}"})
