"""Feeds (saved definitions of files that arrive again and again) and their runs."""

from datetime import datetime, time
from typing import Any

from sqlalchemy import Boolean, CheckConstraint, ForeignKey, Index, Text, Time, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp

KINDS = ("clients", "accounts", "balances", "transactions", "positions")
SCHEDULES = ("hourly", "daily")
STATES = ("waiting", "running", "done", "repeated", "failed")


def _words(words: tuple[str, ...]) -> str:
    return ", ".join(repr(word) for word in words)


class Feed(Model):
    """How files of one kind from one source are read. `name` is also the folder they are collected from.

    `definition` is that of docs/importing.md; `version` counts its changes. `sample` holds the columns and first rows
    of a file, for the page on which the columns are chosen. `next_at` is when the folder is looked at next.
    """

    __tablename__ = "feed"
    __table_args__ = (
        CheckConstraint(f"kind IN ({_words(KINDS)})", name="kind"),
        CheckConstraint(f"schedule IN ({_words(SCHEDULES)})", name="schedule"),
        CheckConstraint("schedule <> 'daily' OR daily_at IS NOT NULL", name="daily_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    source: Mapped[str]
    definition: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    version: Mapped[int] = mapped_column(default=1)
    sample: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    enabled: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")
    schedule: Mapped[str | None]
    daily_at: Mapped[time | None] = mapped_column(Time)
    next_at: Mapped[datetime | None] = mapped_column(Timestamp)
    collecting_job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"))
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())


class FeedRun(Model):
    """One file on its way in: waiting > running > done | repeated (the same file was loaded before) | failed.

    A run is all or nothing: its counts are committed together with what it loaded. `created`, `changed` and
    `unchanged` count rows of the feed's kind; `left_out` those the definition passes over and older statements.
    The content of the file is kept until it is loaded.
    """

    __tablename__ = "feed_run"
    __table_args__ = (
        CheckConstraint(f"state IN ({_words(STATES)})", name="state"),
        Index("ix_feed_run_feed_id", "feed_id", "id"),
        Index("ix_feed_run_sha256", "feed_id", "sha256", postgresql_where=text("state = 'done'")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    feed_id: Mapped[int] = mapped_column(ForeignKey("feed.id"))
    version: Mapped[int]
    file_name: Mapped[str]
    file_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id", ondelete="SET NULL"))
    size: Mapped[int]
    sha256: Mapped[str | None]
    ends_with_line_end: Mapped[bool | None] = mapped_column(Boolean)
    again: Mapped[bool] = mapped_column(Boolean, default=False)
    columns: Mapped[list[Any] | None] = mapped_column(JSONB)
    state: Mapped[str] = mapped_column(Text, default="waiting")
    job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"))
    repeats_id: Mapped[int | None] = mapped_column(ForeignKey("feed_run.id"))
    rows_read: Mapped[int] = mapped_column(default=0)
    left_out: Mapped[int] = mapped_column(default=0)
    created: Mapped[int] = mapped_column(default=0)
    changed: Mapped[int] = mapped_column(default=0)
    unchanged: Mapped[int] = mapped_column(default=0)
    refused: Mapped[int] = mapped_column(default=0)
    clients_created: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    started_at: Mapped[datetime | None] = mapped_column(Timestamp)
    finished_at: Mapped[datetime | None] = mapped_column(Timestamp)


class FeedRefusal(Model):
    """A row that was not taken, with the reason, for the downloadable file of refused rows."""

    __tablename__ = "feed_refusal"

    run_id: Mapped[int] = mapped_column(ForeignKey("feed_run.id", ondelete="CASCADE"), primary_key=True)
    row_number: Mapped[int] = mapped_column(primary_key=True)
    reason: Mapped[str]
    cells: Mapped[list[Any]] = mapped_column(JSONB)
