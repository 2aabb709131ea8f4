"""Notes about clients."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp


class ClientNote(Model):
    """What a member of staff wrote about a client. Its author may change it for a day; then it stands."""

    __tablename__ = "client_note"
    __table_args__ = (Index("ix_client_note_client_id", "client_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("client.id"))
    text: Mapped[str]
    author_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"))
    at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    edited_at: Mapped[datetime | None] = mapped_column(Timestamp)
