"""The summary that audience rules ask about; the ledger and the events behind it belong to later features."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, PrimaryKeyConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp

KINDS = ("contacted", "opened", "clicked", "replied")


class Engagement(Model):
    """First and last time that a client was contacted by a campaign on a channel, or opened, clicked, replied (people
    only, no machines). No foreign keys: `campaign_id` is a number of a later feature, and whom `client_id` names stands
    in a message, which has the key, or was merged into by one; checking it again would lock, and so write, a row of the
    client for each message sent.

    The order of the key is for its size: both texts together fill what one number does.
    """

    __tablename__ = "engagement"
    __table_args__ = (
        PrimaryKeyConstraint("client_id", "kind", "channel", "campaign_id"),
        CheckConstraint(f"kind IN ({', '.join(repr(kind) for kind in KINDS)})", name="kind"),
        Index("ix_engagement_kind", "kind", "last_at"),
        Index("ix_engagement_campaign_id", "campaign_id", "kind"),
    )

    client_id: Mapped[int]
    kind: Mapped[str]
    campaign_id: Mapped[int]
    channel: Mapped[str]
    first_at: Mapped[datetime] = mapped_column(Timestamp)
    last_at: Mapped[datetime] = mapped_column(Timestamp)
