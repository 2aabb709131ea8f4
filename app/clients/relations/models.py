"""Households. Who was referred by whom stands on the client's own row (`referred_by_id`)."""

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp


class Household(Model):
    """People who live and decide together. It exists as long as it has at least two members."""

    __tablename__ = "household"

    id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())


class HouseholdMember(Model):
    """A client belongs to one household at most; one of its members is the head."""

    __tablename__ = "household_member"
    __table_args__ = (
        Index("ix_household_member_household_id", "household_id"),
        Index("uq_household_member_head", "household_id", unique=True, postgresql_where=text("is_head")),
    )

    client_id: Mapped[int] = mapped_column(ForeignKey("client.id"), primary_key=True, autoincrement=False)
    household_id: Mapped[int] = mapped_column(ForeignKey("household.id"))
    is_head: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    joined_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
