"""Who gets the figures by e-mail, and each one that was sent."""

from datetime import date, datetime

from sqlalchemy import CheckConstraint, Date, ForeignKey, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import BigInteger

from app.core.extensions import Model, Timestamp

PERIODS = ("daily", "weekly")


class Digest(Model):
    """What one member of staff wants to get: every trading day or every week, about these campaigns (None: all those
    they may see that run or were launched lately)."""

    __tablename__ = "digest"
    __table_args__ = (CheckConstraint(f"period IN ({', '.join(repr(one) for one in PERIODS)})", name="period"),)

    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True)
    period: Mapped[str]
    campaign_ids: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    changed_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now(), onupdate=func.now())


class DigestIssue(Model):
    """One e-mail of figures: at most one a person, kind of period and day. `on_date` is the day it is due.

    States: due > handing > sent | failed | unconfirmed, or skipped where there was nothing to tell. What was handed
    over and not settled is never sent again by itself.
    """

    __tablename__ = "digest_issue"
    __table_args__ = (
        UniqueConstraint("user_id", "period", "on_date"),
        CheckConstraint(f"period IN ({', '.join(repr(one) for one in PERIODS)})", name="period"),
        CheckConstraint("state IN ('due', 'handing', 'sent', 'failed', 'unconfirmed', 'skipped')", name="state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"))
    period: Mapped[str]
    on_date: Mapped[date] = mapped_column(Date)
    state: Mapped[str] = mapped_column(default="due", server_default="due")
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    settled_at: Mapped[datetime | None] = mapped_column(Timestamp)
