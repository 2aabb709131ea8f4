"""Asking for the digest, and writing down once which one is due."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from flask_babel import lazy_gettext as _l
from sqlalchemy import literal, select
from sqlalchemy.dialects.postgresql import insert

from app.advising.trading_days import is_trading_day, rules_in_force
from app.audit.service import record
from app.core.errors import AppError
from app.core.extensions import db, settings
from app.core.jobs import Job, enqueue
from app.core.permissions import Permission, require
from app.core.queues import REPORT
from app.reports.digest.models import PERIODS, Digest, DigestIssue
from app.reports.digest.queries import MOST, choosable
from app.users.models import User

SEND = "reports.send_digest"
GIVEN_UP_AFTER = timedelta(minutes=15)
SENT_FROM = time(8)
"""By the firm's clock: before the morning sheet is talked through."""


def ask_for(*, period: str | None, campaign_ids: Sequence[int] | None, actor: User) -> None:
    """Get the digest daily or weekly, about these campaigns or (None) about whatever runs; `period` None ends it."""
    require(actor, Permission.VIEW_REPORTS)
    digest = db.session.get(Digest, actor.id)
    before = digest.period if digest else None
    if period is None:
        if digest is not None:
            db.session.delete(digest)
    else:
        if period not in PERIODS:
            raise AppError(_l("A digest is daily or weekly."))
        if campaign_ids is not None:
            known = {campaign.id for campaign in choosable(actor)}
            if not campaign_ids or len(campaign_ids) > MOST or not set(campaign_ids) <= known:
                raise AppError(_l("Choose 1 to %(most)s campaigns of the list.", most=MOST))
        if digest is None:
            digest = Digest(user_id=actor.id)
            db.session.add(digest)
        digest.period = period
        digest.campaign_ids = None if campaign_ids is None else sorted(set(campaign_ids))
    record(actor=actor, action="user.digest", subject="user", subject_id=actor.id, changes={"digest": [before, period]})


def periods_due(at: datetime) -> list[str]:
    """What is due at a time: nothing before the morning; daily on trading days, weekly on Mondays."""
    local = at.astimezone(ZoneInfo(settings().time_zone))
    if local.time() < SENT_FROM:
        return []
    due = ["daily"] if is_trading_day(local.date(), rules_in_force().holidays) else []
    return [*due, "weekly"] if local.weekday() == 0 else due


def write_due(at: datetime) -> int:
    """Write down, once a person and period, which digests are due, and give them to the workers. Returns how many."""
    on_date = at.astimezone(ZoneInfo(settings().time_zone)).date()
    found = [issue_id for period in periods_due(at) for issue_id in _write(period, on_date)]
    found += _stranded(at, on_date)
    for issue_id in found:
        enqueue(SEND, queue=REPORT, issue_id=issue_id)
    return len(found)


def _stranded(at: datetime, on_date: date) -> Sequence[int]:
    """Today's digests that no account took and whose job was given up: the relay may be back by now."""
    under_way = select(Job.id).where(
        Job.name == SEND,
        Job.state.in_(("due", "running")),
        Job.args["issue_id"].as_integer() == DigestIssue.id,
    )
    return db.session.scalars(
        select(DigestIssue.id).where(
            DigestIssue.state == "due",
            DigestIssue.on_date == on_date,
            DigestIssue.created_at < at - GIVEN_UP_AFTER,
            ~under_way.exists(),
        )
    ).all()


def _write(period: str, on_date: date) -> Sequence[int]:
    people = (
        select(Digest.user_id, literal(period), literal(on_date))
        .join(User, User.id == Digest.user_id)
        .where(Digest.period == period, User.active, User.frozen_at.is_(None))
    )
    rows = insert(DigestIssue).from_select(["user_id", "period", "on_date"], people)
    return db.session.scalars(rows.on_conflict_do_nothing().returning(DigestIssue.id)).all()
