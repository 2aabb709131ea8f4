"""Who looked after a client and who was paid for it, since when and until when; the firm's capacity of an adviser."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp

OWNER, SECOND, CREDIT = "owner", "second", "credit"
ROLES = (OWNER, SECOND, CREDIT)


class Ownership(Model):
    """One stretch of time in which somebody was a client's owner, its second adviser, or credited with it.

    Written when something changes: an owner that nobody has changed yet has no row and owns the client since it was
    created, so that an import of a million new clients does not write a million rows twice. `until` NULL is now.
    No stretch with the role "credit" means that the owner is paid.
    """

    __tablename__ = "ownership"
    __table_args__ = (
        CheckConstraint(f"role IN ({', '.join(repr(role) for role in ROLES)})", name="role"),
        Index("ix_ownership_client_id", "client_id"),
        Index("ix_ownership_adviser_id", "adviser_id", postgresql_where=text("until IS NULL")),
        Index("uq_ownership_present", "client_id", "role", unique=True, postgresql_where=text("until IS NULL")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("client.id"))
    adviser_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"))
    role: Mapped[str]
    since: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    until: Mapped[datetime | None] = mapped_column(Timestamp)
    by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    reason: Mapped[str | None]


class OwnershipSettings(Model):
    """The firm's own figures; a single row, made when somebody first changes them."""

    __tablename__ = "ownership_settings"
    __table_args__ = (
        CheckConstraint("id = 1", name="single"),
        CheckConstraint("default_capacity BETWEEN 1 AND 100000", name="default_capacity"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    default_capacity: Mapped[int] = mapped_column(Integer)
