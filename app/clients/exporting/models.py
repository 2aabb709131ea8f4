"""Requests to take clients' data out of the house."""

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, CheckConstraint, ForeignKey, Index, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.types import Text

from app.core.extensions import Model, Timestamp
from app.users.models import User

# asked: waits for a second person, also when the list grew past what was allowed before it was written. The file of a
# ready export is deleted when it expires; the row stays as evidence.
NEXT = {
    "asked": {"writing", "refused"},
    "writing": {"ready", "failed", "asked"},
    "ready": {"expired"},
    "refused": set(),
    "failed": set(),
    "expired": set(),
}


class ClientExport(Model):
    """A list of clients as a file: what of whom, what for, who allowed it, and until when it can be fetched.

    `source` and `source_id` (or `filters` of the client list) say which clients; the list is made when the file is
    written, of the clients that `requested_by` may see then.
    """

    __tablename__ = "client_export"
    __table_args__ = (
        CheckConstraint(f"state IN ({', '.join(repr(state) for state in NEXT)})", name="state"),
        CheckConstraint("format IN ('csv', 'xlsx')", name="format"),
        CheckConstraint("decided_by_id IS DISTINCT FROM requested_by_id", name="maker_is_not_checker"),
        Index("ix_client_export_requested_by_id", "requested_by_id", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str]
    source: Mapped[str]
    source_id: Mapped[int | None]
    filters: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")
    title: Mapped[str]
    columns: Mapped[list[str]] = mapped_column(ARRAY(Text))
    format: Mapped[str]
    unmasked: Mapped[bool] = mapped_column(Boolean)
    purpose: Mapped[str]
    rows: Mapped[int | None]
    file_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id", ondelete="SET NULL"))
    requested_by_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"))
    requested_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    decided_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    decided_at: Mapped[datetime | None] = mapped_column(Timestamp)
    decision: Mapped[str | None]
    ready_at: Mapped[datetime | None] = mapped_column(Timestamp)
    expires_at: Mapped[datetime | None] = mapped_column(Timestamp)
    downloads: Mapped[int] = mapped_column(default=0, server_default="0")

    requested_by: Mapped[User] = relationship(foreign_keys=[requested_by_id])
    decided_by: Mapped[User | None] = relationship(foreign_keys=[decided_by_id])
