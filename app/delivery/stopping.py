"""Stopping all marketing on every channel at once, and starting it again by a second person.

Nothing has to be told to the workers: each asks before every window (`rules.may_send`), and no batch is sent out while
it is stopped.
"""

from collections.abc import Sequence

from flask_babel import lazy_gettext as _l
from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import joinedload

from app.audit.service import record
from app.campaigns.models import Campaign
from app.core.clock import now
from app.core.errors import AppError, Conflict, Forbidden
from app.core.extensions import db
from app.core.permissions import Actor, Permission, require
from app.delivery.models import MarketingStop
from app.delivery.sweeping import dispatch_due_batches

LONGEST_REASON = 500


class AlreadyStopped(Conflict):
    message = _l("All marketing is stopped already.")


class NotStopped(Conflict):
    message = _l("Marketing is not stopped.")


class OwnStop(Forbidden):
    message = _l("You stopped marketing yourself. Somebody else has to start it again.")


def stop_marketing(*, reason: str, actor: Actor) -> MarketingStop:
    """Nothing of marketing leaves any more, on any channel, after the messages being handed over right now."""
    require(actor, Permission.STOP_MARKETING)
    reason = reason.strip()
    if not reason or "\0" in reason:
        raise AppError(_l("Say why marketing has to stop."))
    if len(reason) > LONGEST_REASON:
        raise AppError(_l("The reason may have %(most)s characters at most.", most=LONGEST_REASON))
    made: MarketingStop | None = db.session.scalar(
        upsert(MarketingStop)
        .values(reason=reason, stopped_by_id=actor.id, stopped_at=now())
        .on_conflict_do_nothing()
        .returning(MarketingStop)
    )
    if made is None:
        raise AlreadyStopped
    record(actor=actor, action="marketing.stop", subject="marketing", subject_id=made.id, reason=reason)
    return made


def restart_marketing(*, actor: Actor) -> MarketingStop:
    """Go on where it was stopped: by somebody else than who stopped it."""
    require(actor, Permission.STOP_MARKETING)
    stop = db.session.scalar(
        select(MarketingStop).where(MarketingStop.restarted_at.is_(None)).with_for_update(of=MarketingStop)
    )
    if stop is None:
        raise NotStopped
    if stop.stopped_by_id == actor.id:
        raise OwnStop
    stop.restarted_at, stop.restarted_by_id = now(), actor.id
    db.session.flush()
    record(actor=actor, action="marketing.restart", subject="marketing", subject_id=stop.id)
    dispatch_due_batches()
    return stop


def stop_in_force() -> MarketingStop | None:
    """The stop that holds now, with who gave the order."""
    return db.session.scalar(_newest_first().where(MarketingStop.restarted_at.is_(None)))


def past_stops(*, limit: int = 50) -> Sequence[MarketingStop]:
    """The stops that were, newest first."""
    return db.session.scalars(_newest_first().where(MarketingStop.restarted_at.is_not(None)).limit(limit)).all()


def _newest_first() -> Select[MarketingStop]:
    return (
        select(MarketingStop)
        .options(joinedload(MarketingStop.stopped_by), joinedload(MarketingStop.restarted_by))
        .order_by(MarketingStop.id.desc())
    )


def refuse_launch(campaign_id: int) -> object | None:
    """The refusal for "launch campaign": its seed list and its clients would get nothing now."""
    if db.session.get_one(Campaign, campaign_id).purpose != "marketing" or stop_in_force() is None:
        return None
    refusal: object = _l("All marketing is stopped. It can be launched once somebody has started marketing again.")
    return refusal
