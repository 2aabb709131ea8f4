"""Sets of clients by what became of their message, and the clients whose message changed since they were counted."""

from datetime import datetime
from enum import StrEnum

from pyroaring import BitMap64
from sqlalchemy import ForeignKey, LargeBinary, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import BigInteger

from app.core.extensions import Model, Timestamp


class Fact(StrEnum):
    """What a message row says by itself: what became of it, then what came back. One row may have several."""

    WAITING = "waiting"
    SENT = "sent"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"
    CANCELLED = "cancelled"
    RECEIPT = "receipt"
    OPENED = "opened"
    CLICKED = "clicked"
    REPLIED = "replied"
    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    MACHINE_OPENED = "machine_opened"
    MACHINE_CLICKED = "machine_clicked"


class OutcomeSet(Model):
    """The clients whose message of a run and step has a fact, as a serialised Roaring bitmap of their ids.

    `reason` tells apart why messages were skipped or failed, and by its id through which account they were sent; it is
    empty where there is none, and for what earlier versions counted as sent. Together the sets of `Fact`'s first group
    are all clients with a message.
    """

    __tablename__ = "outcome_set"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    step_id: Mapped[int] = mapped_column(ForeignKey("step.id", ondelete="CASCADE"), primary_key=True)
    fact: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(primary_key=True, default="", server_default="")
    bitmap: Mapped[bytes] = mapped_column(LargeBinary)
    size: Mapped[int]
    counted_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())

    @property
    def clients(self) -> BitMap64:
        return BitMap64.deserialize(self.bitmap)


class UncountedClients(Model):
    """Clients whose message of a run and step was written, changed or removed by one statement since `at`.

    Written by triggers on `message` and only ever added to, so that no writer waits for another. Without foreign keys:
    they would be checked on the way of every send.
    """

    __tablename__ = "uncounted_clients"

    run_id: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    step_id: Mapped[int]
    client_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
