"""The ledger: runs, batches and one row per message that is to be sent.

Message states move through `NEXT` only; every statement that changes one takes it from `move(since, state)`:

    planned > handing > sent | failed | unconfirmed      planned > skipped | cancelled | failed (given up)
    unconfirmed > sent | failed                          (settled by later evidence or a person)
    failed > planned                                     (only by the verb that retries what was definitely refused)

A batch is what a worker claims (token and lease on the batch row, see ADR 0002); a window of its rows moves to
`handing` in a commit of its own before any byte leaves.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pyroaring import BitMap64
from sqlalchemy import (
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.audiences.models import Snapshot
from app.core.extensions import Model, Timestamp
from app.users.models import User


class MessageState(StrEnum):
    PLANNED = "planned"
    HANDING = "handing"
    SENT = "sent"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


NEXT: dict[MessageState, set[MessageState]] = {
    MessageState.PLANNED: {
        MessageState.HANDING,
        MessageState.SKIPPED,
        MessageState.CANCELLED,
        MessageState.FAILED,  # refused for now so often that it was given up
    },
    MessageState.HANDING: {
        MessageState.SENT,
        MessageState.FAILED,
        MessageState.UNCONFIRMED,
        MessageState.PLANNED,  # the channel said that it took nothing: safe to try again
    },
    MessageState.UNCONFIRMED: {MessageState.SENT, MessageState.FAILED},
    MessageState.SENT: set(),
    MessageState.FAILED: {MessageState.PLANNED},
    MessageState.SKIPPED: set(),
    MessageState.CANCELLED: set(),
}


def move(since: MessageState, state: MessageState) -> MessageState:
    """`state`, where a message may go there from `since`: every statement that changes a state names both.

    Raises ValueError where the table has no such move.
    """
    if state not in NEXT[since]:
        raise ValueError(f"a message never goes from {since} to {state}")
    return state


class Run(Model):
    """One launch of a campaign. `exclusions` is {reason: clients} counted at the freeze.

    States: planning > sending > complete | cancelled. matched - sum(exclusions) = eligible = control + treated.

    `audience` are the eligible, `control` those of them who are not contacted (None: nobody). Who is in it, and which
    variant a client gets, is decided by a stable hash of (`salt`, client id).
    """

    __tablename__ = "run"
    __table_args__ = (
        CheckConstraint("state IN ('planning', 'sending', 'complete', 'cancelled')", name="state"),
        UniqueConstraint("campaign_id", "number"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"))
    number: Mapped[int] = mapped_column(default=1)
    state: Mapped[str] = mapped_column(default="planning")
    audience_id: Mapped[int | None] = mapped_column(ForeignKey("snapshot.id"))
    control_id: Mapped[int | None] = mapped_column(ForeignKey("snapshot.id"))
    salt: Mapped[int] = mapped_column(default=0, server_default="0")
    matched: Mapped[int] = mapped_column(default=0)
    eligible: Mapped[int] = mapped_column(default=0)
    exclusions: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    planned_at: Mapped[datetime | None] = mapped_column(Timestamp)
    finished_at: Mapped[datetime | None] = mapped_column(Timestamp)

    audience: Mapped[Snapshot | None] = relationship(foreign_keys=[audience_id])
    control: Mapped[Snapshot | None] = relationship(foreign_keys=[control_id])

    @property
    def control_ids(self) -> BitMap64:
        """Whom nothing of this run contacts."""
        return self.control.client_ids if self.control else BitMap64()


class RunSplit(Model):
    """Eligible clients of a run who were drawn for the control group with the same share (0 to 1).

    A run has one of these, or several where its segments have shares of their own: then both arms differ in who is in
    them, and are compared share by share. `control_share` counts the firm's global control group in. `assigned` are the
    clients of both arms; together the splits are the audience.
    """

    __tablename__ = "run_split"
    __table_args__ = (CheckConstraint("control_share BETWEEN 0 AND 1", name="control_share"),)

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    control_share: Mapped[float] = mapped_column(Double, primary_key=True)
    assigned_id: Mapped[int] = mapped_column(ForeignKey("snapshot.id"))

    assigned: Mapped[Snapshot] = relationship()


LEFT_OUT = "left_out"
"""The dimension of a RunGroup of clients who matched and are not eligible; its key is the reason."""


class RunGroup(Model):
    """The eligible clients of a run who shared a property at the launch: what reports are broken down by.

    `dimension` is branch, adviser, tier, or `variant:<step id>`; `key` is the branch's or adviser's id, the class, the
    variant's letter, or "rest" for those who wait for the end of a test; "" where there was none. The groups of a
    dimension are apart and together the audience, control group included; those of `LEFT_OUT` are all who matched
    besides, by the first reason that kept them out. `name` is what it was called then. `bitmap` is a serialised Roaring
    bitmap of client ids.
    """

    __tablename__ = "run_group"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    dimension: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    bitmap: Mapped[bytes] = mapped_column(LargeBinary)
    size: Mapped[int]

    @property
    def client_ids(self) -> BitMap64:
        return BitMap64.deserialize(self.bitmap)


class RunTest(Model):
    """The comparison of a step's variants in a run. No verdict before `ends_at`.

    `rest` clients of the treated wait until somebody chose what they get: `chosen`, a variant's letter. `planned_at`:
    since then the messages of the rest are planned. What the arms are is in the RunGroups `variant:<step id>`.
    """

    __tablename__ = "run_test"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    step_id: Mapped[int] = mapped_column(primary_key=True)
    metric: Mapped[str]
    ends_at: Mapped[datetime] = mapped_column(Timestamp)
    rest: Mapped[int] = mapped_column(default=0, server_default="0")
    chosen: Mapped[str | None]
    chosen_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    chosen_at: Mapped[datetime | None] = mapped_column(Timestamp)
    planned_at: Mapped[datetime | None] = mapped_column(Timestamp)


class RunChannel(Model):
    """Whom a run may reach on one channel, frozen: matched - sum(exclusions) = eligible, as `exclusions` counts them.

    A client is in the run's audience where at least one channel of its steps may reach them.
    """

    __tablename__ = "run_channel"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    audience_id: Mapped[int] = mapped_column(ForeignKey("snapshot.id"))
    eligible: Mapped[int]
    exclusions: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)

    audience: Mapped[Snapshot] = relationship()


class RunSegment(Model):
    """A segment as it was at launch: the frozen set that the report counts by."""

    __tablename__ = "run_segment"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    segment_id: Mapped[int] = mapped_column(ForeignKey("segment.id"), primary_key=True)
    position: Mapped[int] = mapped_column(default=0)
    snapshot_id: Mapped[int] = mapped_column(ForeignKey("snapshot.id"))

    snapshot: Mapped[Snapshot] = relationship()


class Batch(Model):
    """Up to a thousand messages of one run and step that one worker sends in one go.

    `token`, `lease_until` and `account_id` (what it sends through) belong to the worker that has it; the counts are
    kept in the same transaction as the rows they count. `open` until no row is planned or handing. `content_id` is the
    version of the step's words (in the table of its channel) that its messages were sent with. `variant` is the letter
    of the one variant that all its messages are of; None where the step has none. Where `domain` is set, all of it
    waits for the rate of that receiving domain.
    """

    __tablename__ = "batch"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'done')", name="state"),
        Index("ix_batch_run_id", "run_id"),
        Index("ix_batch_open", "lease_until", postgresql_where=text("state = 'open'")),
        Index("ix_batch_domain", "domain", "due_at", postgresql_where=text("state = 'open' AND domain IS NOT NULL")),
        # The way to the few messages that wait for a person: the state of a message stands in no index.
        Index("ix_batch_failed", "run_id", postgresql_where=text("failed > 0")),
        Index("ix_batch_unconfirmed", "run_id", postgresql_where=text("unconfirmed > 0")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"))
    step_id: Mapped[int] = mapped_column(ForeignKey("step.id"))
    channel: Mapped[str]
    state: Mapped[str] = mapped_column(default="open", server_default="open")
    size: Mapped[int]
    token: Mapped[UUID | None] = mapped_column(PgUUID)
    lease_until: Mapped[datetime | None] = mapped_column(Timestamp)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("channel_account.id"))
    content_id: Mapped[int | None]
    variant: Mapped[str | None]
    domain: Mapped[str | None]
    due_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    sent: Mapped[int] = mapped_column(default=0, server_default="0")
    failed: Mapped[int] = mapped_column(default=0, server_default="0")
    skipped: Mapped[int] = mapped_column(default=0, server_default="0")
    unconfirmed: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())


class Message(Model):
    """One message to one client. The outcome times are written by tracking from raw events, never undone.

    run, campaign and step come from the batch, which has the foreign keys: checking them once more per row would
    double the cost of planning. `account_id` and `domain` (of the address) say which way it went, from handing on.
    `deferred_at`: the receiver refused it for now at first. `unconfirmed_at`: from then on nobody knew.
    `settled_by_id`: the person who decided what became of it. `opened_at` and `clicked_at` are people's; what only
    machines did is in `machine_opened_at` and `machine_clicked_at`, which nothing but reports may look at.
    """

    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint("run_id", "step_id", "client_id"),
        CheckConstraint(f"state IN ({', '.join(repr(s.value) for s in MessageState)})", name="state"),
        Index("ix_message_batch_id", "batch_id"),
        Index("ix_message_client_id", "client_id", "id"),
        # Room on the page for both later states of all its rows, as a window changes them at once: neither needs new
        # entries in the indexes.
        {"postgresql_with": {"fillfactor": "36"}},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int]
    campaign_id: Mapped[int]
    step_id: Mapped[int]
    client_id: Mapped[int] = mapped_column(ForeignKey("client.id"))
    batch_id: Mapped[int] = mapped_column(ForeignKey("batch.id"))
    channel: Mapped[str]
    branch_id: Mapped[int | None]
    adviser_id: Mapped[int | None]
    account_id: Mapped[int | None]
    domain: Mapped[str | None]
    state: Mapped[MessageState] = mapped_column(Text, default=MessageState.PLANNED, server_default="planned")
    reason: Mapped[str | None]
    reference: Mapped[str | None]
    sent_at: Mapped[datetime | None] = mapped_column(Timestamp)
    delivered_at: Mapped[datetime | None] = mapped_column(Timestamp)
    opened_at: Mapped[datetime | None] = mapped_column(Timestamp)
    clicked_at: Mapped[datetime | None] = mapped_column(Timestamp)
    replied_at: Mapped[datetime | None] = mapped_column(Timestamp)
    unsubscribed_at: Mapped[datetime | None] = mapped_column(Timestamp)
    bounced_at: Mapped[datetime | None] = mapped_column(Timestamp)
    complained_at: Mapped[datetime | None] = mapped_column(Timestamp)
    deferred_at: Mapped[datetime | None] = mapped_column(Timestamp)
    unconfirmed_at: Mapped[datetime | None] = mapped_column(Timestamp)
    settled_by_id: Mapped[int | None]
    machine_opened_at: Mapped[datetime | None] = mapped_column(Timestamp)
    machine_clicked_at: Mapped[datetime | None] = mapped_column(Timestamp)


class SeedMessage(Model):
    """A copy of the real send for a member of staff on the seed list; never counted."""

    __tablename__ = "seed_message"
    __table_args__ = (UniqueConstraint("run_id", "step_id", "email"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"))
    step_id: Mapped[int] = mapped_column(ForeignKey("step.id"))
    email: Mapped[str]
    state: Mapped[MessageState] = mapped_column(Text, default=MessageState.PLANNED, server_default="planned")
    sent_at: Mapped[datetime | None] = mapped_column(Timestamp)


class MarketingStop(Model):
    """Somebody stopped all marketing on every channel; somebody else has to start it again."""

    __tablename__ = "marketing_stop"
    __table_args__ = (
        CheckConstraint("restarted_by_id IS NULL OR restarted_by_id <> stopped_by_id", name="a_second_person_restarts"),
        Index(
            "uq_marketing_stop_in_force",
            text("(restarted_at IS NULL)"),
            unique=True,
            postgresql_where=text("restarted_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    reason: Mapped[str]
    stopped_by_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"))
    stopped_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    restarted_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    restarted_at: Mapped[datetime | None] = mapped_column(Timestamp)

    stopped_by: Mapped[User] = relationship(foreign_keys=[stopped_by_id])
    restarted_by: Mapped[User | None] = relationship(foreign_keys=[restarted_by_id])
