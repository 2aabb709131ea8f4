"""Frequency caps: how many marketing messages a client may get by a channel in a day, a week and a month.

What was sent, is being handed over or may have arrived counts. A campaign of higher priority that still waits for the
same client goes first: where it will use up the cap, the other gives way.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, case, func, literal, or_, select, text

from app.campaigns.models import Campaign, State, Step
from app.campaigns.sending_rules import CHANNEL_LABELS, PERIOD_DAYS
from app.campaigns.step_kinds import step_kind
from app.core.arrays import array_text
from app.core.clock import now
from app.core.extensions import Timestamp, db, settings
from app.delivery.models import Batch, Message, MessageState, Run

CAPPED, OUTRANKED = "capped", "outranked"
_HIGHEST = 3


def steps_of_other_channels(contact: str) -> frozenset[int]:
    """The steps that contact clients by `contact` though their own channel is called something else, such as a webhook
    to an SMS system: of runs that go on or ended within the longest period."""
    lately = now() - timedelta(days=max(PERIOD_DAYS.values()) + 1)
    steps = db.session.scalars(
        select(Step)
        .join(Run, Run.campaign_id == Step.campaign_id)
        .where(Step.channel.not_in(CHANNEL_LABELS), or_(Run.finished_at.is_(None), Run.finished_at > lately))
    ).unique()
    return frozenset(step.id for step in steps if step_kind(step.channel).contact_of(step) == contact)


def cap_reason(
    *, contact: str, other_steps: Collection[int] = (), caps: Mapping[str, int], priority: int, at: datetime
) -> ColumnElement[str | None]:
    """Over message: why the client may get no more of it now (`caps` are {period: messages}), or NULL.

    What counts is what went by the channel of contact itself and by the `other_steps`.
    """
    # Tables and not classes: the statement is written anew for each batch, and their columns are found a lot quicker.
    other, campaign, batch = (model.__table__.alias() for model in (Message, Campaign, Batch))
    today = datetime.combine(at.astimezone(ZoneInfo(settings().time_zone)), time(), ZoneInfo(settings().time_zone))
    begins = {period: today - timedelta(days=PERIOD_DAYS[period] - 1) for period in caps}
    ends = {period: today + timedelta(days=PERIOD_DAYS[period]) for period in caps}
    # A row that is unconfirmed has no time of its own; its batch was due when it was worked on.
    gone_at = func.coalesce(other.c.sent_at, batch.c.due_at)
    on_its_way = other.c.state == MessageState.HANDING
    gone = other.c.state.in_((MessageState.SENT, MessageState.UNCONFIRMED))
    waits = other.c.state == MessageState.PLANNED

    def reached(period: str, limit: int, *, ahead: bool) -> ColumnElement[bool]:
        counts = on_its_way | gone & (gone_at >= literal(begins[period], Timestamp))
        if ahead:
            counts = counts | waits & (batch.c.due_at < literal(ends[period], Timestamp))
        return func.count().filter(counts) >= limit

    by_contact = other.c.channel == contact
    if other_steps:
        by_contact = or_(by_contact, other.c.step_id.in_(sorted(other_steps)))
    earliest = literal(min(begins.values()), Timestamp)
    considered = [on_its_way, and_(gone, gone_at >= earliest)]
    reasons = [(or_(*(reached(period, limit, ahead=False) for period, limit in caps.items())), CAPPED)]
    if priority < _HIGHEST:
        considered.append(and_(waits, campaign.c.state == State.RUNNING, campaign.c.priority > priority))
        reasons.append((or_(*(reached(period, limit, ahead=True) for period, limit in caps.items())), OUTRANKED))
    return (
        select(case(*((condition, literal(reason)) for condition, reason in reasons)))
        .select_from(other)
        .join(campaign, campaign.c.id == other.c.campaign_id)
        .join(batch, batch.c.id == other.c.batch_id)
        .where(
            other.c.client_id == Message.client_id,
            other.c.id != Message.id,
            by_contact,
            campaign.c.purpose == "marketing",
            or_(*considered),
        )
        .correlate(Message)
        .scalar_subquery()
    )


def keep_caps_strict(contact: str, other_steps: Collection[int] = ()) -> None:
    """Until the end of the transaction nobody else hands over marketing messages of this contact, where it matters.

    Two runs could each see the client's last free place. One that is alone (and its clients once each in it) shares
    the lock with itself and waits for nobody; where others send too they take turns. The lock is held for the handing
    over in the database, not while the channel talks to the network.
    """
    db.session.execute(
        _TURNS, {"contact": contact, "others": array_text(other_steps), "name": f"marketing by {contact}"}
    )


# One statement, as it is on the way of every window.
_TURNS = text(
    """
    SELECT CASE WHEN count(*) > 1 THEN pg_advisory_xact_lock(hashtextextended(:name, 0))::text
                ELSE pg_advisory_xact_lock_shared(hashtextextended(:name, 0))::text END
    FROM (
        SELECT 1 FROM run JOIN campaign ON campaign.id = run.campaign_id JOIN step ON step.campaign_id = campaign.id
        WHERE run.state IN ('planning', 'sending') AND campaign.purpose = 'marketing'
          AND (step.channel = :contact OR step.id = ANY(CAST(:others AS bigint[])))
        LIMIT 2
    ) AS sends_too
    """
)
