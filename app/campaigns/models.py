"""Campaigns: to whom, what, when, and the states they move through."""

from datetime import datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import (
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    Numeric,
    SmallInteger,
    Text,
    Time,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.audiences.models import Segment
from app.clients.preferences.models import Topic
from app.content.calls.models import CallScript
from app.content.models import EmailContent
from app.content.sms.models import SmsContent
from app.content.webhooks.models import WebhookContent
from app.core.extensions import Model, Timestamp
from app.users.models import User


class State(StrEnum):
    DRAFT = "draft"
    IN_REVIEW = "in_review"
    APPROVED = "approved"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    HELD = "held"
    PAUSED = "paused"
    REVISING = "revising"
    COMPLETE = "complete"
    CANCELLED = "cancelled"


# The only moves there are. Every verb of the service goes through this table. A launch is *held* where the audience is
# no longer the one that was approved; a paused campaign may be *revised*, checked anew and go on with what is unsent.
NEXT: dict[State, set[State]] = {
    State.DRAFT: {State.IN_REVIEW, State.CANCELLED},
    State.IN_REVIEW: {State.DRAFT, State.REVISING, State.APPROVED, State.CANCELLED},
    State.APPROVED: {State.DRAFT, State.REVISING, State.SCHEDULED, State.RUNNING, State.CANCELLED},
    State.SCHEDULED: {State.APPROVED, State.RUNNING, State.CANCELLED},
    State.RUNNING: {State.HELD, State.PAUSED, State.COMPLETE, State.CANCELLED},
    State.HELD: {State.DRAFT, State.RUNNING, State.CANCELLED},
    State.PAUSED: {State.RUNNING, State.REVISING, State.CANCELLED},
    State.REVISING: {State.IN_REVIEW, State.CANCELLED},
    State.COMPLETE: {State.RUNNING},  # only to retry what failed
    State.CANCELLED: set(),
}
STATE_LABELS = {
    State.DRAFT: _l("Draft"),
    State.IN_REVIEW: _l("In review"),
    State.APPROVED: _l("Approved"),
    State.SCHEDULED: _l("Scheduled"),
    State.RUNNING: _l("Running"),
    State.HELD: _l("Waiting for a decision"),
    State.PAUSED: _l("Paused"),
    State.REVISING: _l("Being revised"),
    State.COMPLETE: _l("Complete"),
    State.CANCELLED: _l("Cancelled"),
}
# How a state is coloured wherever it is shown; a draft is neutral.
STATE_TONES = {
    State.IN_REVIEW: "warning",
    State.APPROVED: "info",
    State.SCHEDULED: "info",
    State.RUNNING: "info",
    State.HELD: "warning",
    State.PAUSED: "warning",
    State.REVISING: "warning",
    State.COMPLETE: "success",
    State.CANCELLED: "danger",
}
PURPOSES = ("marketing", "service", "statutory")
PURPOSE_LABELS = {
    "marketing": _l("Marketing"),
    "service": _l("Service"),
    "statutory": _l("Statutory notice"),
}
SEGMENT_ROLES = ("include", "exclude", "report")
PRIORITY_LABELS = {1: _l("Low"), 2: _l("Normal"), 3: _l("High")}
LONGEST_SPREAD_HOURS = 168
ATTRIBUTION_MODELS = ("last_touch", "first_touch", "last_click", "even")
VARIANT_LETTERS = ("A", "B", "C", "D", "E")  # A is what the step itself says
TEST_METRICS = ("opened", "clicked", "accounts")
LONGEST_TEST_HOURS = 24 * 90
MOST_CONTROL = 90  # percent
MOST_GLOBAL_CONTROL = 50


class Campaign(Model):
    """A campaign, and when and how its messages leave.

    `topic_id` is what it is about: marketing reaches nobody who refused that.

    `product_*` is what it offers: nobody gets it for whom that is not suitable. Messages leave from `send_from` to
    `send_until` (clock times of each client; None: all day) on `send_days` (ISO weekdays, None: every day), from
    `local_time` of each client on, spread over `spread_hours`. `approved_count` clients would have got it when it was
    approved; a launch that found `held_count` instead is held.

    `control_percent` of the eligible are drawn at the launch and not contacted. Openings within `window_days` are
    claimed by `attribution_model`; `effective_rule` says when an opening is an effective one (None: every one is).
    `fixed_cost` is in the firm's currency and comes on top of the steps' unit costs.
    """

    __tablename__ = "campaign"
    __table_args__ = (
        CheckConstraint(f"state IN ({', '.join(repr(s.value) for s in State)})", name="state"),
        CheckConstraint(f"purpose IN ({', '.join(repr(p) for p in PURPOSES)})", name="purpose"),
        CheckConstraint("approved_by_id IS NULL OR approved_by_id <> submitted_by_id", name="maker_is_not_checker"),
        CheckConstraint("window_days BETWEEN 1 AND 365", name="window_days"),
        CheckConstraint("priority BETWEEN 1 AND 3", name="priority"),
        CheckConstraint("product_risk BETWEEN 1 AND 5", name="product_risk"),
        CheckConstraint("purpose <> 'statutory' OR product_risk IS NULL", name="a_notice_offers_nothing"),
        CheckConstraint("control_percent BETWEEN 0 AND 90", name="control_percent"),
        CheckConstraint(
            f"attribution_model IN ({', '.join(repr(model) for model in ATTRIBUTION_MODELS)})", name="attribution_model"
        ),
        CheckConstraint("fixed_cost >= 0", name="fixed_cost"),
        CheckConstraint(f"spread_hours BETWEEN 1 AND {LONGEST_SPREAD_HOURS}", name="spread_hours"),
        Index("ix_campaign_due", "state", "send_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    purpose: Mapped[str] = mapped_column(default="marketing")
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    topic_id: Mapped[int | None] = mapped_column(ForeignKey("topic.id"))
    state: Mapped[State] = mapped_column(Text, default=State.DRAFT)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    window_days: Mapped[int] = mapped_column(default=30)
    send_at: Mapped[datetime | None] = mapped_column(Timestamp)
    submitted_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    submitted_at: Mapped[datetime | None] = mapped_column(Timestamp)
    approved_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    approved_at: Mapped[datetime | None] = mapped_column(Timestamp)
    returned_reason: Mapped[str | None]
    launched_at: Mapped[datetime | None] = mapped_column(Timestamp)
    finished_at: Mapped[datetime | None] = mapped_column(Timestamp)
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    product_name: Mapped[str | None]
    product_risk: Mapped[int | None] = mapped_column(SmallInteger)
    product_private: Mapped[bool] = mapped_column(default=False, server_default="false")
    product_kind: Mapped[str | None]
    product_term_months: Mapped[int | None] = mapped_column(SmallInteger)
    priority: Mapped[int] = mapped_column(SmallInteger, default=2, server_default="2")
    send_from: Mapped[time | None] = mapped_column(Time)
    send_until: Mapped[time | None] = mapped_column(Time)
    send_days: Mapped[list[int] | None] = mapped_column(ARRAY(SmallInteger))
    local_time: Mapped[time | None] = mapped_column(Time)
    spread_hours: Mapped[int | None] = mapped_column(SmallInteger)
    approved_count: Mapped[int | None]
    held_count: Mapped[int | None]
    control_percent: Mapped[float] = mapped_column(Double, default=0.0, server_default="0")
    attribution_model: Mapped[str] = mapped_column(default="last_touch", server_default="last_touch")
    effective_rule: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    fixed_cost: Mapped[Decimal | None] = mapped_column(Numeric(18, 2))

    owner: Mapped[User | None] = relationship(foreign_keys=[owner_id])
    topic: Mapped[Topic | None] = relationship()
    segments: Mapped[list["CampaignSegment"]] = relationship(
        cascade="all, delete-orphan", order_by="CampaignSegment.position"
    )
    steps: Mapped[list["Step"]] = relationship(cascade="all, delete-orphan", order_by="Step.position")
    seeds: Mapped[list["Seed"]] = relationship(cascade="all, delete-orphan", order_by="Seed.id")


class CampaignSegment(Model):
    """A segment's part in a campaign: its clients are included, excluded, or only reported apart.

    `control_percent` is the share of its clients in the control group; None: the campaign's.
    """

    __tablename__ = "campaign_segment"
    __table_args__ = (
        UniqueConstraint("campaign_id", "segment_id", "role"),
        CheckConstraint(f"role IN ({', '.join(repr(r) for r in SEGMENT_ROLES)})", name="role"),
        CheckConstraint("control_percent BETWEEN 0 AND 90", name="control_percent"),
        Index("ix_campaign_segment_segment_id", "segment_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id", ondelete="CASCADE"))
    segment_id: Mapped[int] = mapped_column(ForeignKey("segment.id"))
    role: Mapped[str]
    position: Mapped[int] = mapped_column(default=0)
    control_percent: Mapped[float | None] = mapped_column(Double)

    segment: Mapped[Segment] = relationship()


class Step(Model):
    """One message of the campaign, on one channel; what it says is in the column of its kind (`step_kinds.py`).

    `unit_cost` is what one message costs, in the firm's currency.

    A step may say the same in several ways, its `variants`. They are compared by `test_metric`, once, `test_hours`
    after the launch. Where `test_percent` is set, only so many of its clients get one by then; the rest waits until
    somebody chooses what it gets.
    """

    __tablename__ = "step"
    __table_args__ = (
        UniqueConstraint("campaign_id", "position"),
        CheckConstraint("test_percent > 0 AND test_percent < 100", name="test_percent"),
        CheckConstraint(f"test_metric IN ({', '.join(repr(metric) for metric in TEST_METRICS)})", name="test_metric"),
        CheckConstraint(f"test_hours BETWEEN 1 AND {LONGEST_TEST_HOURS}", name="test_hours"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(default=0)
    channel: Mapped[str] = mapped_column(default="email")
    content_id: Mapped[int | None] = mapped_column(ForeignKey("email_content.id"))
    sms_content_id: Mapped[int | None] = mapped_column(ForeignKey("sms_content.id"))
    webhook_content_id: Mapped[int | None] = mapped_column(ForeignKey("webhook_content.id"))
    call_script_id: Mapped[int | None] = mapped_column(ForeignKey("call_script.id"))
    unit_cost: Mapped[Decimal | None] = mapped_column(Numeric(18, 4))
    test_percent: Mapped[float | None] = mapped_column(Double)
    test_metric: Mapped[str] = mapped_column(default="clicked", server_default="clicked")
    test_hours: Mapped[int] = mapped_column(default=72, server_default="72")

    content: Mapped[EmailContent | None] = relationship()
    sms_content: Mapped[SmsContent | None] = relationship()
    webhook_content: Mapped[WebhookContent | None] = relationship()
    call_script: Mapped[CallScript | None] = relationship()
    variants: Mapped[list["Variant"]] = relationship(cascade="all, delete-orphan", order_by="Variant.letter")


class Variant(Model):
    """Another way to say what a step says, in the column of the step's kind. What the step itself says is variant A.

    `share` is the percentage of the step's clients who get it; A goes to those whom no other variant takes.
    """

    __tablename__ = "variant"
    __table_args__ = (
        UniqueConstraint("step_id", "letter"),
        CheckConstraint("letter IN ('B', 'C', 'D', 'E')", name="letter"),
        CheckConstraint("share > 0 AND share < 100", name="share"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    step_id: Mapped[int] = mapped_column(ForeignKey("step.id", ondelete="CASCADE"))
    letter: Mapped[str]
    share: Mapped[float] = mapped_column(Double)
    content_id: Mapped[int | None] = mapped_column(ForeignKey("email_content.id"))
    sms_content_id: Mapped[int | None] = mapped_column(ForeignKey("sms_content.id"))
    call_script_id: Mapped[int | None] = mapped_column(ForeignKey("call_script.id"))

    content: Mapped[EmailContent | None] = relationship()
    sms_content: Mapped[SmsContent | None] = relationship()
    call_script: Mapped[CallScript | None] = relationship()


class Seed(Model):
    """A member of staff who gets every real send, outside all counts."""

    __tablename__ = "seed"
    __table_args__ = (UniqueConstraint("campaign_id", "email"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id", ondelete="CASCADE"))
    email: Mapped[str]


class SecondCheck(Model):
    """A second person looked at this client and found the campaign's product right for them (see `gates.py`)."""

    __tablename__ = "second_check"

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id", ondelete="CASCADE"), primary_key=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("client.id"), primary_key=True)
    product_risk: Mapped[int] = mapped_column(SmallInteger)
    reason: Mapped[str]
    checked_by_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"))
    checked_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())


class SendingRules(Model):
    """The firm's own rules of sending; while there is none, those of the market profile hold. One row.

    `caps` is {channel: {"day" | "week" | "month": messages}}; quiet hours are clock times of the client and hold for
    `quiet_channels`; `launch_tolerance` is in percent of the approved count.
    """

    __tablename__ = "sending_rules"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, default=1)
    caps: Mapped[dict[str, Any]] = mapped_column(JSONB)
    quiet_from: Mapped[time] = mapped_column(Time)
    quiet_until: Mapped[time] = mapped_column(Time)
    quiet_channels: Mapped[list[str]] = mapped_column(ARRAY(Text))
    launch_tolerance: Mapped[float] = mapped_column(Double)
    changed_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    changed_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now(), onupdate=func.now())


class GlobalControl(Model):
    """Clients whom no marketing campaign contacts: the firm's control group over all campaigns. One row, or none.

    Who is in it is decided by a stable hash of (`salt`, client id), so it is the same people in every campaign until
    somebody has it drawn anew, on `drawn_at`. `percent` is of all clients; 0: nobody.
    """

    __tablename__ = "global_control"
    __table_args__ = (
        CheckConstraint("id = 1", name="one_row"),
        CheckConstraint(f"percent BETWEEN 0 AND {MOST_GLOBAL_CONTROL}", name="percent"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, default=1)
    percent: Mapped[float] = mapped_column(Double)
    salt: Mapped[int]
    drawn_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    changed_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    changed_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now(), onupdate=func.now())
