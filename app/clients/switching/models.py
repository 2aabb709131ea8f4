"""The files of another product that somebody brought."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp

STATES = ("looking", "ready", "running", "done", "failed")


class ClientSwitch(Model):
    """One export file of another product.

    States: looking (a job counts what the file says) > ready > running > done; failed from either job. `counts` hold
    what was found, then what was changed, by the names in `service`. `rows_done` counts the rows of both passes and is
    committed with each chunk. Consents are taken over only where `wording` and `legal_basis` are stated.
    """

    __tablename__ = "client_switch"
    __table_args__ = (
        CheckConstraint(f"state IN ({', '.join(repr(state) for state in STATES)})", name="state"),
        Index("ix_client_switch_created_by_id", "created_by_id", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    product: Mapped[str]
    file_id: Mapped[int] = mapped_column(ForeignKey("stored_file.id"))
    file_name: Mapped[str]
    everyone_out: Mapped[bool] = mapped_column(default=False)
    wording: Mapped[str | None]
    legal_basis: Mapped[str | None]
    state: Mapped[str] = mapped_column(default="looking")
    job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"))
    rows_total: Mapped[int | None]
    rows_done: Mapped[int] = mapped_column(default=0)
    counts: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    refused: Mapped[list[Any]] = mapped_column(JSONB, default=list)
    error: Mapped[str | None]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    finished_at: Mapped[datetime | None] = mapped_column(Timestamp)
