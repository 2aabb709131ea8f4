"""Scripts of calls and visits. Immutable like every content: an edit is a new row, so what was approved stays."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp

KINDS = ("call", "visit")


class CallScript(Model):
    """One version of what is said.

    `words` are for everyone for whom there is nothing of their own in `parts`: [{"segment_id": 3, "words": "..."}], by
    the segments of the campaign. `objections` are [{"objection": "...", "answer": "..."}], in the order they are shown.
    """

    __tablename__ = "call_script"
    __table_args__ = (CheckConstraint(f"kind IN ({', '.join(repr(kind) for kind in KINDS)})", name="kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(default="call", server_default="call")
    goal: Mapped[str]
    words: Mapped[str]
    parts: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list, server_default="[]")
    objections: Mapped[list[dict[str, str]]] = mapped_column(JSONB, default=list, server_default="[]")
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())

    def words_for(self, segment_id: int | None) -> str:
        """What is said to a client who was frozen in this segment."""
        own = [part["words"] for part in self.parts if part["segment_id"] == segment_id]
        return str(own[0]) if own else self.words
