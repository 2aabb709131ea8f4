"""A list of client numbers. A number counts from the day that the client book has it."""

from datetime import datetime

from sqlalchemy import ForeignKey, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp


class NumberList(Model):
    """`size` is how many different numbers the list holds."""

    __tablename__ = "number_list"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    size: Mapped[int]
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())


class ListedNumber(Model):
    """One number of a list, as it was given."""

    __tablename__ = "listed_number"

    list_id: Mapped[int] = mapped_column(ForeignKey("number_list.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[str] = mapped_column(Text, primary_key=True)
