"""What openings came to for each campaign, and reports of openings that could not be taken."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Numeric,
    SmallInteger,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp

FOLLOWED_DAYS = (30, 90, 180)


class CountedOpening(Model):
    """An opening that counts for a campaign: claimed by it, or made by one of those it was launched for.

    The latter are both arms, from a run's launch to `window_days` later, whatever was sent. `effective_on` is the first
    day on which the campaign's rule held (None: not, or not yet). `assets_before` is what the client held here on the
    day before the opening, `brought_in` how much more it was 30 days after it (so far, until then), never below zero;
    both None where no balance of the client is known and the report of the opening named no amount.
    """

    __tablename__ = "counted_opening"
    __table_args__ = (Index("ix_counted_opening_opening_id", "opening_id"),)

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"), primary_key=True)
    opening_id: Mapped[int] = mapped_column(ForeignKey("account_opening.id", ondelete="CASCADE"), primary_key=True)
    effective_on: Mapped[date | None] = mapped_column(Date)
    assets_before: Mapped[Decimal | None] = mapped_column(Numeric(18, 2))
    brought_in: Mapped[Decimal | None] = mapped_column(Numeric(18, 2))
    judged_at: Mapped[datetime | None] = mapped_column(Timestamp)


class OpeningFollowUp(Model):
    """How an effective opening stood `days` after it: whether the rule still held, and the client's assets then."""

    __tablename__ = "opening_follow_up"
    __table_args__ = (
        ForeignKeyConstraint(
            ["campaign_id", "opening_id"],
            ["counted_opening.campaign_id", "counted_opening.opening_id"],
            ondelete="CASCADE",
        ),
        CheckConstraint(f"days IN {FOLLOWED_DAYS}", name="days"),
    )

    campaign_id: Mapped[int] = mapped_column(primary_key=True)
    opening_id: Mapped[int] = mapped_column(primary_key=True)
    days: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    on_date: Mapped[date] = mapped_column(Date)
    still_effective: Mapped[bool]
    assets: Mapped[Decimal | None] = mapped_column(Numeric(18, 2))


class ParkedOpening(Model):
    """A report of an opening that could not be taken, as it came, with the reason, for a person to look at.

    `digest` is of the row, so that the same report again is the same row.
    """

    __tablename__ = "parked_opening"
    __table_args__ = (
        UniqueConstraint("source", "digest"),
        Index("ix_parked_opening_open", "id", postgresql_where=text("settled_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str]
    digest: Mapped[str]
    row: Mapped[Any] = mapped_column(JSONB)
    reason: Mapped[str]
    received_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    settled_at: Mapped[datetime | None] = mapped_column(Timestamp)
    settled_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
