"""The data of webhook steps. Immutable like every content: an edit is a new row, so what was approved stays."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp

CONTACTS = ("email", "sms", "call")


class WebhookContent(Model):
    """One version of what is posted.

    `data` is JSON whose texts may hold merge fields. `contact` is the channel whose consent, address and suppressions
    decide whom it may be about: what the receiver does with it in the end.
    """

    __tablename__ = "webhook_content"
    __table_args__ = (
        CheckConstraint(f"contact IN ({', '.join(repr(contact) for contact in CONTACTS)})", name="contact"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    contact: Mapped[str]
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
