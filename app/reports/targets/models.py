"""Targets of campaigns, and the period they are for."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from flask_babel import lazy_gettext as _l
from sqlalchemy import CheckConstraint, Date, ForeignKey, Numeric, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp


class Measure(StrEnum):
    """What a target is of. The partner's own results are theirs to tell; all others are counted here."""

    ACCOUNTS = "accounts"
    EFFECTIVE = "effective"
    ASSETS = "assets"
    CONTACTS = "contacts"
    PARTNER = "partner"


MEASURE_LABELS = {
    Measure.ACCOUNTS: _l("Accounts opened"),
    Measure.EFFECTIVE: _l("Effective accounts"),
    Measure.ASSETS: _l("Assets brought in"),
    Measure.CONTACTS: _l("Clients contacted"),
    Measure.PARTNER: _l("Of the partner"),
}


class TargetPlan(Model):
    """From when to when a campaign's targets are to be reached (both days included), where somebody said so."""

    __tablename__ = "target_plan"
    __table_args__ = (CheckConstraint("starts_on <= ends_on", name="days_in_order"),)

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id", ondelete="CASCADE"), primary_key=True)
    starts_on: Mapped[date] = mapped_column(Date)
    ends_on: Mapped[date] = mapped_column(Date)


class CampaignTarget(Model):
    """So much of a measure: of the whole campaign, of one branch with those below it, one adviser or one tier; in the
    week that begins on the Monday `week`, or over the whole period.

    What is counted of a partner bank's own (cards, e-banking...) is named in `partner_item`; `reported` is how far the
    partner says it has come.
    """

    __tablename__ = "campaign_target"
    __table_args__ = (
        UniqueConstraint(
            "campaign_id", "measure", "partner_item", "branch_id", "adviser_id", "tier", "week",
            name="uq_campaign_target_what_and_whose", postgresql_nulls_not_distinct=True,
        ),
        CheckConstraint(f"measure IN ({', '.join(repr(one.value) for one in Measure)})", name="measure"),
        CheckConstraint("num_nonnulls(branch_id, adviser_id, tier) <= 1", name="of_one_kind"),
        CheckConstraint("(measure = 'partner') = (partner_item IS NOT NULL)", name="partner_item"),
        CheckConstraint("measure = 'partner' OR reported IS NULL", name="reported"),
        CheckConstraint("amount > 0 AND reported >= 0", name="amounts"),
        CheckConstraint("extract(isodow FROM week) = 1", name="week_begins_on_monday"),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id", ondelete="CASCADE"))
    measure: Mapped[str]
    partner_item: Mapped[str | None]
    branch_id: Mapped[int | None] = mapped_column(ForeignKey("branch.id"))
    adviser_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    tier: Mapped[str | None]
    week: Mapped[date | None] = mapped_column(Date)
    amount: Mapped[Decimal] = mapped_column(Numeric(18, 2))
    reported: Mapped[Decimal | None] = mapped_column(Numeric(18, 2))
    changed_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    changed_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now(), onupdate=func.now())
