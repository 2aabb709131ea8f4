"""The summary that audience rules ask about; the ledger and the events behind it belong to later features."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp

KINDS = ("contacted", "opened", "clicked", "replied")


class Engagement(Model):
    """First and last time that a client was contacted by a campaign, or opened, clicked, replied (people only, no
    machines). `campaign_id` is a number of a later feature, so no foreign key."""

    __tablename__ = "engagement"
    __table_args__ = (
        CheckConstraint(f"kind IN ({', '.join(repr(kind) for kind in KINDS)})", name="kind"),
        Index("ix_engagement_kind", "kind", "last_at"),
        Index("ix_engagement_campaign_id", "campaign_id", "kind"),
    )

    client_id: Mapped[int] = mapped_column(ForeignKey("client.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str]
    first_at: Mapped[datetime] = mapped_column(Timestamp)
    last_at: Mapped[datetime] = mapped_column(Timestamp)
