"""Lead forms and what was sent in with them."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, Date, ForeignKey, Index, SmallInteger, Text, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp

ASKED = ("required", "optional", "off")
MATCHES = ("new", "email", "mobile", "several")
# What became of the consent: taken down; not asked for; or left as it was, because the client had opted out before.
CONSENTS = ("granted", "not_given", "opted_out_before", "waiting")


class LeadForm(Model):
    """The hosted page of one campaign.

    `fields` says of name, mobile, email and message whether each is required, optional or off. `consent_version` counts
    up with each change of the words, and every submission keeps the words it agreed to. Open while `enabled`, the
    campaign runs (or is over) and `closes_on` has not passed. `next_url` is where one may go on to open an account.
    """

    __tablename__ = "lead_form"
    __table_args__ = (UniqueConstraint("campaign_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id", ondelete="CASCADE"))
    title: Mapped[str]
    introduction: Mapped[str] = mapped_column(default="", server_default="")
    fields: Mapped[dict[str, Any]] = mapped_column(JSONB)
    consent_text: Mapped[str]
    consent_channels: Mapped[list[str]] = mapped_column(ARRAY(Text))
    consent_version: Mapped[int] = mapped_column(SmallInteger, default=1, server_default="1")
    thanks: Mapped[str] = mapped_column(default="", server_default="")
    next_url: Mapped[str | None]
    enabled: Mapped[bool] = mapped_column(default=False, server_default="false")
    closes_on: Mapped[date | None] = mapped_column(Date)
    changed_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    changed_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())


class LeadSubmission(Model):
    """One form sent in: what was said, the words agreed to, and the client it became or belongs to.

    Unique by form and `nonce`, so that a form sent twice is one. `client_id` None: several clients fit, and a person
    chooses. `message_id` is the message whose link led here, `adviser_id` the adviser whose link it was.
    """

    __tablename__ = "lead_submission"
    __table_args__ = (
        UniqueConstraint("form_id", "nonce"),
        Index("ix_lead_submission_client_id", "client_id"),
        CheckConstraint(f"matched_by IN {MATCHES}", name="matched_by"),
        CheckConstraint(f"consent IN {CONSENTS}", name="consent"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    form_id: Mapped[int] = mapped_column(ForeignKey("lead_form.id"))
    nonce: Mapped[str]
    client_id: Mapped[int | None] = mapped_column(ForeignKey("client.id"))
    adviser_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    message_id: Mapped[int | None] = mapped_column(ForeignKey("message.id"))
    name: Mapped[str | None]
    mobile: Mapped[str | None]
    email: Mapped[str | None]
    message: Mapped[str | None]
    consent: Mapped[str]
    consent_version: Mapped[int] = mapped_column(SmallInteger)
    consent_text: Mapped[str]
    matched_by: Mapped[str]
    received_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())


class FormAttempt(Model):
    """How often a sender tried a form in one stretch of time; `sender` is a keyed digest, never an address."""

    __tablename__ = "form_attempt"
    __table_args__ = (Index("ix_form_attempt_since", "since"),)

    form_id: Mapped[int] = mapped_column(primary_key=True)
    sender: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[datetime] = mapped_column(Timestamp, primary_key=True)
    attempts: Mapped[int] = mapped_column(default=1)
