"""Whether a client may be called now for a campaign: what holds for every message holds for a call, looked at when the
card is opened and once more when the adviser taps to call."""

from datetime import datetime

from sqlalchemy import ColumnElement, case, select

from app.advising.channel import CALL
from app.advising.models import UNFINISHED, AdviserTask
from app.campaigns.gates import gates, reason_against
from app.campaigns.models import Campaign, State
from app.campaigns.sending_rules import rules_in_force
from app.clients.models import Client
from app.core.clock import now
from app.core.extensions import db, settings
from app.delivery.rules import marketing_is_stopped
from app.delivery.timing import Timing

# A campaign that is paused, held or cancelled asks nobody to call; one whose tasks are all written is complete.
OFFERED_STATES = (State.RUNNING, State.COMPLETE)


def barred(campaign: Campaign) -> ColumnElement[str | None]:
    """Over client: the first reason for which the client must not be called for this campaign, or NULL."""
    return reason_against(gates(campaign), channel=CALL, purpose=campaign.purpose)


def offered_campaigns() -> ColumnElement[bool]:
    """For WHERE on campaign: those for which clients may be called at all now."""
    runs = Campaign.state.in_(OFFERED_STATES)
    return runs & (Campaign.purpose != "marketing") if marketing_is_stopped() else runs


def quiet_until(client_id: int, *, purposes: set[str]) -> datetime | None:
    """When the client may be called, where that is not now: calls keep the quiet hours of the client's own clock.

    A statutory notice alone may ring at any time.
    """
    rules = rules_in_force()
    if CALL not in rules.quiet_channels or purposes <= {"statutory"}:
        return None
    opens, closes = rules.awake
    moment = now()
    timing = Timing(zone=settings().time_zone, started_at=moment, opens=opens, closes=closes)
    return db.session.scalar(select(timing.wait_until(moment)).select_from(Client).where(Client.id == client_id))


def barred_tasks(client_id: int) -> dict[int, str]:
    """The client's unfinished tasks that must not be done, by id, with the reason."""
    campaigns = db.session.scalars(
        select(Campaign)
        .join(AdviserTask, AdviserTask.campaign_id == Campaign.id)
        .where(AdviserTask.client_id == client_id, AdviserTask.state.in_(UNFINISHED))
        .distinct()
    ).all()
    if not campaigns:
        return {}
    found = db.session.execute(
        select(AdviserTask.id, case(*((Campaign.id == one.id, barred(one)) for one in campaigns)))
        .join(Client, Client.id == AdviserTask.client_id)
        .join(Campaign, Campaign.id == AdviserTask.campaign_id)
        .where(AdviserTask.client_id == client_id, AdviserTask.state.in_(UNFINISHED))
    )
    return {task_id: reason for task_id, reason in found if reason is not None}
