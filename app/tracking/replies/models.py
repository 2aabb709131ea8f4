"""What staff wrote back to clients."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.extensions import Model, Timestamp
from app.users.models import User

ANSWER_STATES = ("waiting", "handing", "sent", "failed", "unconfirmed")


class ReplyAnswer(Model):
    """A person's answer to a reply, by the channel it came on, to the address that wrote.

    Waiting > handing (in a commit of its own before anything leaves) > sent, failed with a reason, or unconfirmed:
    nobody knows, and it is never sent again by itself.
    """

    __tablename__ = "reply_answer"
    __table_args__ = (
        CheckConstraint(f"state IN ({', '.join(repr(state) for state in ANSWER_STATES)})", name="state"),
        Index("ix_reply_answer_reply_id", "reply_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    reply_id: Mapped[int] = mapped_column(ForeignKey("reply.id"))
    author_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"))
    channel: Mapped[str]
    recipient: Mapped[str]
    text: Mapped[str]
    state: Mapped[str] = mapped_column(default="waiting", server_default="waiting")
    reason: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    sent_at: Mapped[datetime | None] = mapped_column(Timestamp)

    author: Mapped[User] = relationship()
