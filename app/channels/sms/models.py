"""The local mailbox of SMS: where they go while no provider is configured."""

from datetime import datetime

from sqlalchemy import Index, func
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp


class MailboxSms(Model):
    """An SMS as it would have left. `parts` is how many a network would count."""

    __tablename__ = "mailbox_sms"
    __table_args__ = (Index("ix_mailbox_sms_recipient", "recipient"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    recipient: Mapped[str]
    text: Mapped[str]
    parts: Mapped[int]
    received_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
