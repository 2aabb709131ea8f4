"""The rules that are looked at once more at the last moment, in the statement that hands a window over.

Each is an SQL expression over the message's client: why it must not leave at all, and until when it has to wait.
"""

from datetime import datetime

from sqlalchemy import ColumnElement, cast, exists, literal, null, or_, select

from app.campaigns.models import Campaign, State
from app.clients.contactability import exclusion_reason
from app.core.extensions import Timestamp, db
from app.delivery.material import Material
from app.delivery.models import Batch, MarketingStop, Run


def skip_reason(*, material: Material, purpose: str) -> ColumnElement[str | None]:
    """The first reason for which the message is skipped for good, or NULL."""
    return exclusion_reason(channel=material.contact, purpose=purpose)


def wait_until(*, purpose: str) -> ColumnElement[datetime | None]:
    """When the message may leave, where that is later than now; else NULL."""
    return cast(null(), Timestamp)


def may_send() -> ColumnElement[bool]:
    """For WHERE on batch: its campaign runs, and marketing is not stopped."""
    running = (
        select(literal(1))
        .select_from(Run)
        .join(Campaign, Campaign.id == Run.campaign_id)
        .where(
            Run.id == Batch.run_id,
            Campaign.state == State.RUNNING,
            or_(Campaign.purpose != "marketing", ~_marketing_is_stopped()),
        )
        .correlate(Batch)
    )
    return exists(running)


def marketing_is_stopped() -> bool:
    """Whether somebody stopped all marketing and nobody started it again."""
    return bool(db.session.scalar(select(_marketing_is_stopped())))


def _marketing_is_stopped() -> ColumnElement[bool]:
    return exists(select(literal(1)).select_from(MarketingStop).where(MarketingStop.restarted_at.is_(None)))
