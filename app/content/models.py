"""What a message says. Content is immutable: an edit makes a new row, so what was approved or sent stays."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.extensions import Model, Timestamp


class EmailContent(Model):
    """One version of an e-mail: what was written (`source`) and what it became (`html`, `text`)."""

    __tablename__ = "email_content"
    __table_args__ = (CheckConstraint("format IN ('mjml', 'html')", name="format"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    format: Mapped[str]
    subject: Mapped[str]
    preheader: Mapped[str] = mapped_column(default="")
    source: Mapped[str]
    html: Mapped[str]
    text: Mapped[str]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())


class Template(Model):
    """A named e-mail to start from; points at its newest content."""

    __tablename__ = "template"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    content_id: Mapped[int] = mapped_column(ForeignKey("email_content.id"))
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    archived_at: Mapped[datetime | None] = mapped_column(Timestamp)

    content: Mapped[EmailContent] = relationship()
