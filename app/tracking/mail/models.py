"""Tables of incoming mail: the mail itself, what bounced, the mailbox that is polled, and the firm's rules."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, LargeBinary, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp

MAIL_STATES = ("waiting", "read", "parked", "settled")
BOUNCE_CLASSES = ("hard", "soft", "full", "block", "unknown")


class InboundMail(Model):
    """A message that came in, kept before it is read, once by its `digest` (of its recipients and bytes).

    Waiting > read, or parked with a `reason` for a person to look at > settled. `meaning` is what it was taken to be.
    Its bytes are in `raw`, or where they are many in the file; of one too large to be taken (`size` in bytes) only the
    head. `source` is webhook, mailbox, or the polled mailbox.
    """

    __tablename__ = "inbound_mail"
    __table_args__ = (
        UniqueConstraint("digest"),
        CheckConstraint(f"state IN ({', '.join(repr(state) for state in MAIL_STATES)})", name="state"),
        Index("ix_inbound_mail_parked", "id", postgresql_where=text("state = 'parked'")),
        Index("ix_inbound_mail_waiting", "id", postgresql_where=text("state = 'waiting'")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str]
    digest: Mapped[str]
    recipients: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default="{}")
    sender: Mapped[str] = mapped_column(default="", server_default="")
    subject: Mapped[str] = mapped_column(default="", server_default="")
    raw: Mapped[bytes | None] = mapped_column(LargeBinary)
    file_id: Mapped[int | None] = mapped_column(ForeignKey("stored_file.id"))
    size: Mapped[int]
    state: Mapped[str] = mapped_column(default="waiting", server_default="waiting")
    meaning: Mapped[str | None]
    reason: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    received_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    read_at: Mapped[datetime | None] = mapped_column(Timestamp)
    settled_at: Mapped[datetime | None] = mapped_column(Timestamp)
    settled_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))


class Bounce(Model):
    """What an event of a refused or returned e-mail was taken to mean; written anew when it is interpreted again.

    `status` is the enhanced status code (RFC 3463) where there is one, `words` what the other side said.
    """

    __tablename__ = "bounce"
    __table_args__ = (
        CheckConstraint(f"class IN ({', '.join(repr(one) for one in BOUNCE_CLASSES)})", name="class"),
        Index("ix_bounce_address", "address", "at"),
        Index("ix_bounce_message_id", "message_id"),
    )

    event_id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(Timestamp, primary_key=True)
    message_id: Mapped[int | None]
    source: Mapped[str]
    address: Mapped[str]
    bounce_class: Mapped[str] = mapped_column("class")
    status: Mapped[str | None]
    words: Mapped[str | None]


class RefusalsNoted(Model):
    """How many refusals of a batch have become events, so that each is noted once."""

    __tablename__ = "refusals_noted"

    batch_id: Mapped[int] = mapped_column(ForeignKey("batch.id"), primary_key=True)
    failed: Mapped[int]


class PolledMailbox(Model):
    """How far an IMAP mailbox was read: the last UID taken, good while the mailbox has this UIDVALIDITY (RFC 3501).

    `problem` is why the last poll did not work; None: it did, at `worked_at`.
    """

    __tablename__ = "polled_mailbox"
    __table_args__ = (UniqueConstraint("name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    uid_validity: Mapped[int] = mapped_column(default=0, server_default="0")
    last_uid: Mapped[int] = mapped_column(default=0, server_default="0")
    taken: Mapped[int] = mapped_column(default=0, server_default="0")
    polled_at: Mapped[datetime | None] = mapped_column(Timestamp)
    worked_at: Mapped[datetime | None] = mapped_column(Timestamp)
    problem: Mapped[str | None]


class InboxRules(Model):
    """The firm's figures, one row: an address is suppressed after so many soft bounces in so many days, and a reply is
    due after so many working days."""

    __tablename__ = "inbox_rules"
    __table_args__ = (
        CheckConstraint("id = 1", name="one_row"),
        CheckConstraint("soft_bounces BETWEEN 1 AND 100", name="soft_bounces"),
        CheckConstraint("soft_days BETWEEN 1 AND 365", name="soft_days"),
        CheckConstraint("answer_days BETWEEN 0 AND 30", name="answer_days"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    soft_bounces: Mapped[int] = mapped_column(Integer)
    soft_days: Mapped[int] = mapped_column(Integer)
    answer_days: Mapped[int] = mapped_column(Integer)
