"""Segments (rules with a name), snapshots (an audience frozen as a set of client ids), and the days of a segment."""

from datetime import date, datetime
from typing import Any

from pyroaring import BitMap64
from sqlalchemy import CheckConstraint, Date, ForeignKey, Index, LargeBinary, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.extensions import Model, Timestamp
from app.users.models import User


class Segment(Model):
    """A named rule. `rule` is the JSON grammar of `audiences/rules.py`; `version` rises with each change."""

    __tablename__ = "segment"
    __table_args__ = (
        Index("uq_segment_name", text("lower(name)"), unique=True, postgresql_where=text("archived_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    description: Mapped[str | None]
    rule: Mapped[dict[str, Any]] = mapped_column(JSONB)
    version: Mapped[int] = mapped_column(default=1)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    archived_at: Mapped[datetime | None] = mapped_column(Timestamp)
    last_count: Mapped[int | None]
    last_counted_at: Mapped[datetime | None] = mapped_column(Timestamp)

    owner: Mapped[User | None] = relationship()


class Snapshot(Model):
    """A frozen set of client ids as a serialised Roaring bitmap, with the rule it came from.

    `exclusions` counts, by channel and reason, those of the set whom marketing could not have reached at that moment;
    None where the set itself is what remained after exclusions. Sets frozen by the first versions have the reasons
    against e-mail only, without a channel around them: read them through `obstacles.by_channel`.
    """

    __tablename__ = "snapshot"
    __table_args__ = (CheckConstraint("size >= 0", name="size"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    segment_id: Mapped[int | None] = mapped_column(ForeignKey("segment.id"))
    name: Mapped[str]
    rule: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    sentence: Mapped[str | None]
    bitmap: Mapped[bytes] = mapped_column(LargeBinary)
    size: Mapped[int]
    exclusions: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())

    created_by: Mapped[User | None] = relationship()

    @property
    def client_ids(self) -> BitMap64:
        return BitMap64.deserialize(self.bitmap)


class SegmentDay(Model):
    """Who was in a segment on a day. The size stays for good; the bitmap for some weeks, and of first days of months
    for a year (see `history.py`). Both are None where the segment could not be counted that day."""

    __tablename__ = "segment_day"

    segment_id: Mapped[int] = mapped_column(ForeignKey("segment.id"), primary_key=True)
    on_date: Mapped[date] = mapped_column(Date, primary_key=True)
    version: Mapped[int]
    size: Mapped[int | None]
    bitmap: Mapped[bytes | None] = mapped_column(LargeBinary)
    counted_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())

    @property
    def client_ids(self) -> BitMap64 | None:
        return BitMap64.deserialize(self.bitmap) if self.bitmap is not None else None
