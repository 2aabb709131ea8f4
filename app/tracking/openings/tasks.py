"""What workers do for account openings: match them, credit them, judge and follow them."""

from datetime import datetime, timedelta

from sqlalchemy import Integer, cast, exists, func, select

from app.campaigns.models import Campaign
from app.core.clock import now
from app.core.extensions import db
from app.core.jobs import Job, Lease, enqueue, job
from app.core.keeping import kept
from app.core.queues import TRACK, tick
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Run
from app.tracking.models import Attribution
from app.tracking.openings.attribution import credit_late, credit_pending
from app.tracking.openings.judging import LATE_FEED
from app.tracking.openings.matching import match_waiting
from app.tracking.openings.models import FOLLOWED_DAYS, CountedOpening
from app.tracking.openings.service import judge_campaign

JUDGE_ALL, JUDGE_ONE = "tracking.judge_openings", "tracking.judge_campaign"
EVERY = timedelta(hours=6)


@tick("tracking.credit_openings", every=1, queue=TRACK)
def credit_openings() -> None:
    """Credit new openings to messages."""
    credit_pending()


@tick("tracking.match_openings", every=60, queue=TRACK)
def match_openings() -> None:
    """Match openings whose client was not in the client book when they came."""
    match_waiting()


@tick("tracking.judge_new_openings", every=300, queue=TRACK)
def judge_new() -> None:
    """Judge what was claimed since, and four times a day everything that may still change."""
    newest = _newest(JUDGE_ALL)
    if newest is None or now() - newest >= EVERY:
        enqueue(JUDGE_ALL, queue=TRACK)
        return
    uncounted = ~exists().where(
        CountedOpening.campaign_id == Attribution.campaign_id, CountedOpening.opening_id == Attribution.opening_id
    )
    for campaign_id in db.session.scalars(select(Attribution.campaign_id).where(uncounted).distinct()):
        enqueue(JUDGE_ONE, queue=TRACK, campaign_id=campaign_id)


def _newest(name: str) -> datetime | None:
    newest: datetime | None = db.session.scalar(select(func.max(Job.created_at)).where(Job.name == name))
    return newest


@job(JUDGE_ALL)
def judge_all(lease: Lease) -> None:
    """Take late clicks and receipts into account, then judge and follow the openings of every campaign that may."""
    with kept(lease), unit_of_work():
        credit_late()
        credit_pending()
        lease.renew()
    days = cast(Campaign.window_days + max(FOLLOWED_DAYS) + LATE_FEED.days, Integer)
    over = Run.created_at + func.make_interval(0, 0, 0, days)
    live = select(Run.campaign_id).join(Campaign, Campaign.id == Run.campaign_id).where(over > now()).distinct()
    for campaign_id in db.session.scalars(live.order_by(Run.campaign_id)).all():
        judge_one(lease, campaign_id=campaign_id)


@job(JUDGE_ONE)
def judge_one(lease: Lease, *, campaign_id: int) -> None:
    """Judge and follow the openings of one campaign. Running twice changes nothing."""
    with kept(lease), unit_of_work():
        judge_campaign(db.session.get_one(Campaign, campaign_id))
        lease.renew()
