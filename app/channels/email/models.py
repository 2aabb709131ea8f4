"""The local mailbox: where mail goes while no provider is configured."""

from datetime import datetime

from sqlalchemy import Index, LargeBinary, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp


class MailboxMessage(Model):
    """A message as it would have left: the whole of it, as sent."""

    __tablename__ = "mailbox_message"
    __table_args__ = (Index("ix_mailbox_message_recipient", text("lower(recipient)")),)

    id: Mapped[int] = mapped_column(primary_key=True)
    recipient: Mapped[str]
    sender: Mapped[str]
    subject: Mapped[str]
    mime: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
