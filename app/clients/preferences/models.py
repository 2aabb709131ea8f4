"""What clients chose on the preference page, as far as it is not a column of the client."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp


class Topic(Model):
    """What a marketing campaign is about, in words that clients read; they may refuse it and keep the rest.

    An archived one is on no page any more; who refused it stays refused.
    """

    __tablename__ = "topic"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    name_zh: Mapped[str | None]
    position: Mapped[int] = mapped_column(default=0, server_default="0")
    archived_at: Mapped[datetime | None] = mapped_column(Timestamp)


class TopicRefusal(Model):
    """A client wants no marketing about a topic. The evidence is in `consent`."""

    __tablename__ = "topic_refusal"
    __table_args__ = (Index("ix_topic_refusal_topic_id", "topic_id"),)

    client_id: Mapped[int] = mapped_column(ForeignKey("client.id"), primary_key=True)
    topic_id: Mapped[int] = mapped_column(ForeignKey("topic.id"), primary_key=True)
    at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())


class MarketingPause(Model):
    """A client wants no marketing on any channel for a while. A table of its own, because few ever do."""

    __tablename__ = "marketing_pause"

    client_id: Mapped[int] = mapped_column(ForeignKey("client.id"), primary_key=True)
    until: Mapped[datetime] = mapped_column(Timestamp)
    at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
