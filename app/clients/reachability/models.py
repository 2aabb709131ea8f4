"""The work of repairing an address."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp

CHANNELS = ("email", "phone")
REASONS = ("missing", "bounced", "wrong")


class RepairTask(Model):
    """Somebody should find a usable address of a client. At most one is open per client and channel.

    States: open > done (the address works again; nobody has to say so) | dismissed (with a reason; not asked again
    for the same reason).
    """

    __tablename__ = "repair_task"
    __table_args__ = (
        CheckConstraint(f"channel IN ({', '.join(repr(one) for one in CHANNELS)})", name="channel"),
        CheckConstraint(f"reason IN ({', '.join(repr(one) for one in REASONS)})", name="reason"),
        CheckConstraint("state IN ('open', 'done', 'dismissed')", name="state"),
        Index("uq_repair_task_open", "client_id", "channel", unique=True, postgresql_where=text("state = 'open'")),
        Index("ix_repair_task_client_id", "client_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("client.id"))
    channel: Mapped[str]
    reason: Mapped[str]
    state: Mapped[str] = mapped_column(default="open", server_default="open")
    note: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    closed_at: Mapped[datetime | None] = mapped_column(Timestamp)
    closed_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
