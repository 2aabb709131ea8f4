"""Pairs of clients who may be the same person, and merges that were made."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp

# What two clients have in common, and how much it weighs. A shared e-mail or mobile may be a family's.
SIGNS = {"identity": 4, "mobile": 2, "email": 2, "name_birth": 1}
STATES = ("open", "dismissed", "merged")


class DuplicatePair(Model):
    """Two clients with something in common; `first_id` is the smaller id. `strength` is the sum of its SIGNS.

    States: open > dismissed ("not the same person", remembered with its reason) | merged.
    """

    __tablename__ = "duplicate_pair"
    __table_args__ = (
        CheckConstraint("first_id < second_id", name="order"),
        CheckConstraint(f"state IN ({', '.join(repr(state) for state in STATES)})", name="state"),
        Index("ix_duplicate_pair_second_id", "second_id"),
        Index("ix_duplicate_pair_open", "strength", "first_id", "second_id", postgresql_where=text("state = 'open'")),
    )

    first_id: Mapped[int] = mapped_column(ForeignKey("client.id"), primary_key=True, autoincrement=False)
    second_id: Mapped[int] = mapped_column(ForeignKey("client.id"), primary_key=True, autoincrement=False)
    signs: Mapped[list[str]] = mapped_column(ARRAY(Text))
    strength: Mapped[int] = mapped_column(SmallInteger)
    state: Mapped[str] = mapped_column(default="open", server_default="open")
    found_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    decided_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    decided_at: Mapped[datetime | None] = mapped_column(Timestamp)
    reason: Mapped[str | None]


class ClientMerge(Model):
    """One record was merged into another. `moved` counts the rows that went over, by table."""

    __tablename__ = "client_merge"
    __table_args__ = (
        CheckConstraint("loser_id <> survivor_id", name="two"),
        Index("ix_client_merge_survivor_id", "survivor_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    loser_id: Mapped[int] = mapped_column(ForeignKey("client.id"), unique=True)
    survivor_id: Mapped[int] = mapped_column(ForeignKey("client.id"))
    at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    moved: Mapped[dict[str, Any]] = mapped_column(JSONB)
