"""The rules by which a hit counts as a machine's, in every version that was ever in force."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Double, ForeignKey, Text, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.extensions import Model, Timestamp
from app.core.jobs import Job
from app.users.models import User


class MachineRules(Model):
    """A version of the rules; the newest is in force. While there is none, `rules.DEFAULTS` are.

    `agents` are patterns of the user agent (`*` stands for anything), `networks` are CIDR blocks, seconds of 0 switch a
    rule off. `job` judges by this version what was recorded before it.
    """

    __tablename__ = "machine_rules"
    __table_args__ = (
        CheckConstraint("too_fast_seconds BETWEEN 0 AND 3600", name="too_fast_seconds"),
        CheckConstraint("all_links_seconds BETWEEN 0 AND 600", name="all_links_seconds"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    agents: Mapped[list[str]] = mapped_column(ARRAY(Text))
    networks: Mapped[list[str]] = mapped_column(ARRAY(Text))
    too_fast_seconds: Mapped[float] = mapped_column(Double)
    all_links_seconds: Mapped[float] = mapped_column(Double)
    changed_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    changed_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"))

    changed_by: Mapped[User | None] = relationship()
    job: Mapped[Job | None] = relationship()
