"""What was changed about a client, field by field, and corrections that wait for a second person."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp

CORRECTED = ("email", "mobile")  # contact data: an adviser's change of them waits for confirmation
CORRECTION_STATES = ("open", "confirmed", "refused", "superseded")


class ClientChange(Model):
    """Facts of a client that were changed at once. `changes` maps each field to [before, after]: words as shown,
    contact data masked, null where there is no value; of flags those taken off and those put on.

    A field is a key of `editing.fields`, or "custom." and the key of a field of the firm. `source` says how: by a
    person ("page", "correction", "merge") or by a file ("import", "feed"), which `import_id` or `feed_run_id` names.
    """

    __tablename__ = "client_change"
    __table_args__ = (Index("ix_client_change_client_id", "client_id", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("client.id"))
    at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    changes: Mapped[dict[str, list[str | None]]] = mapped_column(JSONB)
    source: Mapped[str] = mapped_column(default="page")
    reason: Mapped[str | None]
    import_id: Mapped[int | None] = mapped_column(ForeignKey("client_import.id"))
    feed_run_id: Mapped[int | None] = mapped_column(ForeignKey("feed_run.id"))


class ClientArrival(Model):
    """A transaction that brought new clients out of a file: they are those whose `created_at` is `at`, the time that
    PostgreSQL gives all rows of a transaction. So a million new clients cost a hundred rows here."""

    __tablename__ = "client_arrival"

    at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now(), primary_key=True)
    import_id: Mapped[int | None] = mapped_column(ForeignKey("client_import.id"))
    feed_run_id: Mapped[int | None] = mapped_column(ForeignKey("feed_run.id"))


class ClientCorrection(Model):
    """Contact data that an adviser says is wrong, with what is right; nothing changes until somebody confirms it.

    States: open > confirmed | refused | superseded (a newer correction of the same field, or a merge). `before` is
    the value that was corrected: where the client has another one by now, the correction is out of date.
    """

    __tablename__ = "client_correction"
    __table_args__ = (
        CheckConstraint(f"field IN ({', '.join(repr(field) for field in CORRECTED)})", name="field"),
        CheckConstraint(f"state IN ({', '.join(repr(state) for state in CORRECTION_STATES)})", name="state"),
        Index("ix_client_correction_client_id", "client_id"),
        Index("uq_client_correction_open", "client_id", "field", unique=True, postgresql_where=text("state = 'open'")),
        Index("ix_client_correction_waiting", "id", postgresql_where=text("state = 'open'")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("client.id"))
    field: Mapped[str]
    before: Mapped[str | None]
    after: Mapped[str | None]
    note: Mapped[str | None]
    state: Mapped[str] = mapped_column(default="open", server_default="open")
    proposed_by_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"))
    proposed_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    decided_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    decided_at: Mapped[datetime | None] = mapped_column(Timestamp)
    reason: Mapped[str | None]
