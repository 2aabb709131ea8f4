"""Complaints by account: the rate above which somebody should look, and the one at which marketing stops by itself.

Bulk mail rules of large mailbox providers: stay below 0.1 %, never reach 0.3 %. Counted over the marketing messages of
the last days, once enough have arrived for a rate to mean something.
"""

from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import func, or_, select, update

from app.audit.service import record
from app.campaigns.models import Campaign
from app.channels.models import ChannelAccount
from app.core.clock import now, today
from app.core.extensions import db
from app.delivery.deliverability.models import Arrival, DeliverabilitySettings
from app.delivery.models import Run

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Complaints:
    """Of an account's marketing messages of the last days. `level` is "", "alarm" or "pause"."""

    account_id: int
    delivered: int
    complained: int
    level: str

    @property
    def rate(self) -> float:
        return self.complained / self.delivered if self.delivered else 0.0


def deliverability_settings() -> DeliverabilitySettings:
    """The firm's figures; the defaults while nobody changed them."""
    return db.session.get(DeliverabilitySettings, 1) or DeliverabilitySettings.defaults()


def complaints_by_account() -> dict[int, Complaints]:
    """{account id: its complaints in the window}, of the accounts that marketing left through."""
    figures = deliverability_settings()
    since = today() - timedelta(days=figures.window_days - 1)
    rows = db.session.execute(
        select(Arrival.account_id, func.sum(Arrival.delivered), func.sum(Arrival.complained))
        .join(Run, Run.id == Arrival.run_id)
        .join(Campaign, Campaign.id == Run.campaign_id)
        .join(ChannelAccount, ChannelAccount.id == Arrival.account_id)
        .where(
            Campaign.purpose == "marketing",
            Arrival.day >= since,
            or_(ChannelAccount.complaints_from.is_(None), Arrival.day >= ChannelAccount.complaints_from),
        )
        .group_by(Arrival.account_id)
    )
    return {
        account_id: Complaints(account_id, delivered, complained, _level(figures, delivered, complained))
        for account_id, delivered, complained in rows
    }


def _level(figures: DeliverabilitySettings, delivered: int, complained: int) -> str:
    if delivered < figures.minimum_sent or not delivered:
        return ""
    rate = complained / delivered
    return "pause" if rate >= figures.pause_rate else "alarm" if rate >= figures.alarm_rate else ""


def pause_where_too_many_complain() -> list[int]:
    """Stop the marketing of accounts above the second rate, in the caller's transaction. Returns their ids.

    The system's own act, audited with the figures; a person starts it again.
    """
    days = deliverability_settings().window_days
    paused = []
    for complaints in complaints_by_account().values():
        if complaints.level != "pause":
            continue
        why = {"complained": complaints.complained, "delivered": complaints.delivered, "days": days}
        stopped = db.session.scalar(
            update(ChannelAccount)
            .where(ChannelAccount.id == complaints.account_id, ChannelAccount.marketing_paused_at.is_(None))
            .values(marketing_paused_at=now(), marketing_paused_for=why)
            .returning(ChannelAccount.id)
            .execution_options(synchronize_session=False)
        )
        if stopped is not None:
            paused.append(stopped)
            record(actor=None, action="pause_marketing", subject="channel_account", subject_id=stopped, changes=why)
            log.warning("marketing_of_account_paused", account=stopped, **why)
    return paused
