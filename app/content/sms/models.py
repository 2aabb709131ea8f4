"""What an SMS says, and the signatures and templates that vendors register before they let it through."""

from datetime import datetime
from enum import StrEnum

from flask_babel import lazy_gettext as _l
from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.extensions import Model, Timestamp


class Registration(StrEnum):
    """Where a signature or template stands with the vendor. Only a registered one may be sent."""

    NOT_SUBMITTED = "not_submitted"
    PENDING = "pending"
    REGISTERED = "registered"
    REFUSED = "refused"


REGISTRATION_LABELS = {
    Registration.NOT_SUBMITTED: _l("Not submitted"),
    Registration.PENDING: _l("With the vendor"),
    Registration.REGISTERED: _l("Registered"),
    Registration.REFUSED: _l("Refused by the vendor"),
}
REGISTRATION_TONES = {
    Registration.PENDING: "info",
    Registration.REGISTERED: "success",
    Registration.REFUSED: "danger",
}
_KNOWN_STATE = f"state IN ({', '.join(repr(state.value) for state in Registration)})"


class SmsSignature(Model):
    """The sender's name that leads an SMS as `【name】`, with the id that the vendor gave it."""

    __tablename__ = "sms_signature"
    __table_args__ = (
        CheckConstraint(_KNOWN_STATE, name="state"),
        Index(
            "uq_sms_signature_name",
            text("lower(name)"),
            unique=True,
            postgresql_where=text("archived_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    vendor_reference: Mapped[str | None]
    state: Mapped[Registration] = mapped_column(Text, default=Registration.NOT_SUBMITTED)
    note: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    archived_at: Mapped[datetime | None] = mapped_column(Timestamp)


class SmsTemplate(Model):
    """A wording registered with the vendor. `variables` are the merge fields it may hold, in the vendor's order.

    A changed wording is another one: the registration starts again.
    """

    __tablename__ = "sms_template"
    __table_args__ = (
        CheckConstraint(_KNOWN_STATE, name="state"),
        Index(
            "uq_sms_template_name",
            text("lower(name)"),
            unique=True,
            postgresql_where=text("archived_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    text: Mapped[str]
    variables: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default="{}")
    vendor_reference: Mapped[str | None]
    state: Mapped[Registration] = mapped_column(Text, default=Registration.NOT_SUBMITTED)
    note: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    archived_at: Mapped[datetime | None] = mapped_column(Timestamp)


class SmsContent(Model):
    """One version of an SMS, never changed: the words without the signature, and what it is registered under."""

    __tablename__ = "sms_content"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    signature_id: Mapped[int | None] = mapped_column(ForeignKey("sms_signature.id"))
    template_id: Mapped[int | None] = mapped_column(ForeignKey("sms_template.id"))
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())

    signature: Mapped[SmsSignature | None] = relationship()
    template: Mapped[SmsTemplate | None] = relationship()
