"""What came back: raw events first, what they mean afterwards, and account openings."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Computed,
    ForeignKey,
    Index,
    LargeBinary,
    Numeric,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp

EVENT_KINDS = (
    "open", "click", "unsubscribe", "accepted", "delivered", "bounce", "blocked", "deferred", "dropped",
    "complaint", "reply", "refused", "other",
)  # fmt: skip


class Event(Model):
    """A raw hit or report, kept as it came, partitioned by its own time (`at`, monthly).

    `source` and `external_id` make a redelivered report the same row. `interpreted_at` is set once its meaning
    has been written to the message; clearing it makes the interpretation run again. `acted_at` is set once what
    follows for the client (consent withdrawn, address suppressed) is done; it is never cleared. `message_id` is
    NULL where a vendor reports on something that is not a message of ours.
    """

    __tablename__ = "event"
    __table_args__ = (
        UniqueConstraint("source", "external_id", "at"),
        Index("ix_event_pending", "id", postgresql_where=text("interpreted_at IS NULL")),
        Index("ix_event_message_id", "message_id"),
        {"postgresql_partition_by": "RANGE (at)"},
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(Timestamp, primary_key=True)
    kind: Mapped[str]
    message_id: Mapped[int | None]
    source: Mapped[str]
    external_id: Mapped[str | None]
    link: Mapped[str | None]
    user_agent: Mapped[str | None]
    ip: Mapped[str | None]
    method: Mapped[str | None]
    payload: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    received_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    machine: Mapped[bool | None] = mapped_column(Boolean)
    machine_reasons: Mapped[str | None]
    interpreted_at: Mapped[datetime | None] = mapped_column(Timestamp)
    acted_at: Mapped[datetime | None] = mapped_column(Timestamp)


TOPICS = ("question", "interested", "complaint", "fault", "suggestion", "opt_out")


class Reply(Model):
    """Something a client wrote back. `text` is the new part, without quote and signature.

    `kind` is what it is, `topic` what it is about: guessed by words until somebody sets it (`topic_by_id`).
    `matched_by` tells how the message it answers was found: its own address, a reference to it, a person, or only the
    address of the sender (guessed). `flagged`: as a complaint it keeps the client out of marketing while it is open.
    `search` holds its words for the full-text search, Chinese as pairs of characters.
    """

    __tablename__ = "reply"
    __table_args__ = (
        UniqueConstraint("message_id_header"),
        Index("ix_reply_received_at", "received_at"),
        Index("ix_reply_message_id", "message_id"),
        Index("ix_reply_client_id", "client_id"),
        Index("ix_reply_open", "due_at", postgresql_where=text("state = 'open'")),
        Index("ix_reply_search", "search", postgresql_using="gin"),
        CheckConstraint("kind IN ('reply', 'auto_reply', 'opt_out')", name="kind"),
        CheckConstraint(f"topic IN ({', '.join(repr(topic) for topic in TOPICS)})", name="topic"),
        CheckConstraint("state IN ('open', 'closed')", name="state"),
        CheckConstraint("matched_by IN ('address', 'reference', 'sender', 'person')", name="matched_by"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[int] = mapped_column(ForeignKey("message.id"))
    client_id: Mapped[int] = mapped_column(ForeignKey("client.id"))
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"))
    message_id_header: Mapped[str]
    channel: Mapped[str] = mapped_column(default="email", server_default="email")
    kind: Mapped[str] = mapped_column(default="reply")
    topic: Mapped[str | None]
    topic_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    matched_by: Mapped[str] = mapped_column(default="address", server_default="address")
    sender: Mapped[str] = mapped_column(default="", server_default="")
    subject: Mapped[str]
    text: Mapped[str]
    language: Mapped[str | None]
    charset: Mapped[str | None]
    raw: Mapped[bytes | None] = mapped_column(LargeBinary)
    mail_id: Mapped[int | None] = mapped_column(ForeignKey("inbound_mail.id"))
    received_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    state: Mapped[str] = mapped_column(default="open", server_default="open")
    due_at: Mapped[datetime | None] = mapped_column(Timestamp)
    assigned_to_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    answered_at: Mapped[datetime | None] = mapped_column(Timestamp)
    closed_at: Mapped[datetime | None] = mapped_column(Timestamp)
    closed_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    flagged: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    search: Mapped[Any] = mapped_column(
        TSVECTOR, Computed("array_to_tsvector(search_tokens(subject || ' ' || text))", persisted=True), nullable=True
    )


class ParkedSms(Model):
    """An SMS that came in and answers nothing we sent: from a number without a message, for a person to look at.

    `acted` says what was done at once (an opt-out suppresses the number). `settled_at` is when somebody put it aside.
    """

    __tablename__ = "parked_sms"
    __table_args__ = (
        UniqueConstraint("source", "external_id"),
        Index("ix_parked_sms_open", "id", postgresql_where=text("settled_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str]
    external_id: Mapped[str]
    sender: Mapped[str]
    text: Mapped[str]
    acted: Mapped[str | None]
    received_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    settled_at: Mapped[datetime | None] = mapped_column(Timestamp)
    settled_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))


class AccountOpening(Model):
    """An account a client opened, or assets they moved to us, however we learned of it.

    Unique by source and the source's own id. `email`, `mobile` (E.164) and `tracking_code` are what the source said
    besides the number; `matched_by` says which of them, or who, led to the client. `set_aside_at`: a person decided
    that it is nobody's.
    """

    __tablename__ = "account_opening"
    __table_args__ = (
        UniqueConstraint("source", "external_id"),
        Index("ix_account_opening_client_id", "client_id"),
        Index("ix_account_opening_opened_at", "opened_at"),
        Index("ix_account_opening_pending", "id", postgresql_where=text("attributed_at IS NULL")),
        Index(
            "ix_account_opening_unmatched",
            "id",
            postgresql_where=text("client_id IS NULL AND set_aside_at IS NULL"),
        ),
        CheckConstraint("kind IN ('opening', 'transfer_in')", name="kind"),
        CheckConstraint(
            "matched_by IN ('number', 'tracking_code', 'email', 'mobile', 'person')",
            name="matched_by",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str]
    external_id: Mapped[str]
    client_number: Mapped[str | None]
    client_id: Mapped[int | None] = mapped_column(ForeignKey("client.id"))
    kind: Mapped[str] = mapped_column(default="opening", server_default="opening")
    email: Mapped[str | None]
    mobile: Mapped[str | None]
    tracking_code: Mapped[str | None]
    matched_by: Mapped[str | None]
    account_number: Mapped[str | None]
    product: Mapped[str | None]
    opened_at: Mapped[datetime] = mapped_column(Timestamp)
    amount: Mapped[Decimal | None] = mapped_column(Numeric(18, 2))
    received_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    attributed_at: Mapped[datetime | None] = mapped_column(Timestamp)
    set_aside_at: Mapped[datetime | None] = mapped_column(Timestamp)
    set_aside_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    set_aside_reason: Mapped[str | None]


class Attribution(Model):
    """A campaign claims an opening for this message of it, by its own window and model.

    Each campaign claims on its own, so an opening may be claimed by several: totals over campaigns count openings, not
    claims. `weight` is the message's part of the opening; within a campaign the parts add up to 1. `client_id` is whom
    the message went to, kept here so that a report of a million messages reads none of them.
    """

    __tablename__ = "attribution"
    __table_args__ = (
        Index("ix_attribution_campaign_id", "campaign_id", "client_id"),
        CheckConstraint("weight > 0 AND weight <= 1", name="weight"),
    )

    opening_id: Mapped[int] = mapped_column(ForeignKey("account_opening.id", ondelete="CASCADE"), primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"), primary_key=True)
    message_id: Mapped[int] = mapped_column(ForeignKey("message.id"), primary_key=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("client.id"))
    weight: Mapped[Decimal] = mapped_column(Numeric(7, 6), default=Decimal(1), server_default="1")
    at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())


class OpeningImport(Model):
    """One file of account openings: what it held and what became of its rows."""

    __tablename__ = "opening_import"

    id: Mapped[int] = mapped_column(primary_key=True)
    file_id: Mapped[int] = mapped_column(ForeignKey("stored_file.id"))
    file_name: Mapped[str]
    rows: Mapped[int] = mapped_column(default=0)
    taken: Mapped[int] = mapped_column(default=0)
    known: Mapped[int] = mapped_column(default=0)
    refused: Mapped[list[Any]] = mapped_column(JSONB, default=list)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
