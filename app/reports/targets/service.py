"""Setting the targets of a campaign: one by one, or all of a file or none of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from app.audit.service import record
from app.campaigns.models import Campaign
from app.clients.queries import sees_whole_book
from app.core.errors import AppError, NotFound
from app.core.extensions import db
from app.core.permissions import Permission, Role, require
from app.reports.targets.models import CampaignTarget, Measure, TargetPlan
from app.reports.targets.queries import visible_targets
from app.users.models import Branch, User
from app.users.queries import contains

MOST_AMOUNT = Decimal(10) ** 14
LONGEST_ITEM = 60
LONGEST_PERIOD = timedelta(days=731)
EARLIEST, LATEST = date(2000, 1, 1), date(2100, 1, 1)


class NotYours(AppError):
    message = _l("Targets may be set for the part of the firm you work for only.")
    status = 403


class NoTargetsForPost(AppError):
    message = _l("Who is not in a marketing post gets no targets.")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A target to be set. At most one of branch, adviser and tier; none is the whole campaign. `amount` None or 0 takes
    the target away. `week` is any day of it."""

    measure: Measure
    amount: Decimal | None
    partner_item: str | None = None
    branch: Branch | None = None
    adviser: User | None = None
    tier: str | None = None
    week: date | None = None
    reported: Decimal | None = None


def check(wanted: Wanted, *, actor: User) -> None:
    """Raise AppError with the sentence where the target makes no sense or is not this person's to set."""
    if sum(one is not None for one in (wanted.branch, wanted.adviser, wanted.tier)) > 1:
        raise AppError(_l("A target is of a branch, an adviser or a tier, not of two of them."))
    if (wanted.measure is Measure.PARTNER) != bool(wanted.partner_item):
        raise AppError(_l("A target of the partner names what is counted (cards, e-banking…); the others do not."))
    if wanted.partner_item and len(wanted.partner_item) > LONGEST_ITEM:
        raise AppError(_l("What is counted has %(most)s characters at most.", most=LONGEST_ITEM))
    if wanted.reported is not None and wanted.measure is not Measure.PARTNER:
        raise AppError(_l("Only the partner’s own results are entered; the others are counted."))
    for amount in (wanted.amount, wanted.reported):
        if amount is not None and not 0 <= amount < MOST_AMOUNT:
            raise AppError(_l("A target is a number from 0 to 99,999,999,999,999."))
    counted = wanted.measure in (Measure.ACCOUNTS, Measure.EFFECTIVE, Measure.CONTACTS)
    if counted and wanted.amount is not None and wanted.amount != int(wanted.amount):
        raise AppError(_l("Accounts and contacts are counted: the target is a whole number."))
    if wanted.week is not None and not EARLIEST <= wanted.week <= LATEST:
        raise AppError(_l("The week is out of range."))
    person = wanted.adviser
    if person is not None and (Role.ADVISER not in person.roles or not person.marketing_post):
        raise NoTargetsForPost
    _check_scope(wanted, actor)


def _check_scope(wanted: Wanted, actor: User) -> None:
    branch = wanted.adviser.branch if wanted.adviser is not None else wanted.branch
    if branch is None:
        if not sees_whole_book(actor):
            raise NotYours
    elif not contains(actor.branch, branch):
        raise NotYours


def set_targets(*, campaign: Campaign, wanted: Sequence[Wanted], actor: User) -> int:
    """Set, change or take away these targets, all of them or, where one raises AppError, none. Returns how many."""
    require(actor, Permission.SET_TARGETS)
    for one in wanted:
        check(one, actor=actor)
    if wanted:
        _write(campaign, wanted, actor)
        record(
            actor=actor,
            action="campaign.targets_changed",
            subject="campaign",
            subject_id=campaign.id,
            changes={"targets": [None, len(wanted)]},
        )
    return len(wanted)


def _write(campaign: Campaign, wanted: Sequence[Wanted], actor: User) -> None:
    rows = [
        {
            "campaign_id": campaign.id,
            "measure": one.measure.value,
            "partner_item": one.partner_item or None,
            "branch_id": one.branch.id if one.branch else None,
            "adviser_id": one.adviser.id if one.adviser else None,
            "tier": one.tier,
            "week": one.week - timedelta(days=one.week.weekday()) if one.week else None,
        }
        for one in wanted
    ]
    kept = []
    for row, one in zip(rows, wanted, strict=True):
        if one.amount:
            kept.append(row | {"amount": one.amount, "reported": one.reported, "changed_by_id": actor.id})
            continue
        same = (getattr(CampaignTarget, name).is_not_distinct_from(value) for name, value in row.items())
        db.session.execute(delete(CampaignTarget).where(*same))
    if not kept:
        return
    insertion = insert(CampaignTarget)
    changed = {name: insertion.excluded[name] for name in ("amount", "reported", "changed_by_id")}
    db.session.execute(
        insertion.on_conflict_do_update(
            constraint="uq_campaign_target_what_and_whose", set_=changed | {"changed_at": func.now()}
        ),
        kept,
    )


def remove_target(*, campaign: Campaign, target_id: int, actor: User) -> None:
    """Take one target away. NotFound where it is not of this campaign, or not this person's."""
    require(actor, Permission.SET_TARGETS)
    found = db.session.scalar(
        select(CampaignTarget).where(
            CampaignTarget.id == target_id, CampaignTarget.campaign_id == campaign.id, visible_targets(actor)
        )
    )
    if found is None:
        raise NotFound
    record(
        actor=actor,
        action="campaign.targets_changed",
        subject="campaign",
        subject_id=campaign.id,
        changes={found.measure: [str(found.amount), None]},
    )
    db.session.delete(found)


def set_period(*, campaign: Campaign, first: date, last: date, actor: User) -> None:
    """From when to when the targets are to be reached. For those who see the whole campaign."""
    require(actor, Permission.SET_TARGETS)
    if not sees_whole_book(actor):
        raise NotYours
    if not EARLIEST <= first <= last <= LATEST or last - first > LONGEST_PERIOD:
        raise AppError(_l("The period ends after it begins and lasts two years at most."))
    plan = db.session.get(TargetPlan, campaign.id)
    before = [str(plan.starts_on), str(plan.ends_on)] if plan else None
    if plan is None:
        plan = TargetPlan(campaign_id=campaign.id)
        db.session.add(plan)
    plan.starts_on, plan.ends_on = first, last
    record(
        actor=actor,
        action="campaign.targets_changed",
        subject="campaign",
        subject_id=campaign.id,
        changes={"period": [before, [str(first), str(last)]]},
    )
