"""Outcomes by run, day, account and receiving domain, counted from the messages; settings; checks of DNS."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Date,
    Double,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp

DEFAULT_ALARM_RATE = 0.001
DEFAULT_PAUSE_RATE = 0.003
DEFAULT_WINDOW_DAYS = 7
DEFAULT_MINIMUM_SENT = 1_000


class Arrival(Model):
    """What became of the messages that left on one day through one account to one receiving domain.

    Counted from the message rows of a run and replaced as a whole, so it may be counted again at any time. `day` is
    that of sending in the firm's time zone. `refused` were refused at once, `bounced` came back later.
    """

    __tablename__ = "arrival"
    __table_args__ = (Index("ix_arrival_day", "day", "account_id"),)

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("channel_account.id"), primary_key=True)
    domain: Mapped[str] = mapped_column(primary_key=True)
    sent: Mapped[int] = mapped_column(Integer)
    delivered: Mapped[int] = mapped_column(Integer)
    deferred: Mapped[int] = mapped_column(Integer)
    refused: Mapped[int] = mapped_column(Integer)
    bounced: Mapped[int] = mapped_column(Integer)
    complained: Mapped[int] = mapped_column(Integer)


class ArrivalCount(Model):
    """When a run's arrivals were counted last; `due` once something came back since."""

    __tablename__ = "arrival_count"
    __table_args__ = (Index("ix_arrival_count_due", "run_id", postgresql_where=text("due")),)

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True, autoincrement=False)
    counted_at: Mapped[datetime | None] = mapped_column(Timestamp)
    due: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")


class DeliverabilitySettings(Model):
    """The firm's own figures; a single row, made when somebody first changes them.

    Rates are shares of the delivered; `sender_domains` are looked up besides that of MAIL_FROM.
    """

    __tablename__ = "deliverability_settings"
    __table_args__ = (
        CheckConstraint("id = 1", name="single"),
        CheckConstraint("alarm_rate > 0 AND pause_rate >= alarm_rate AND pause_rate <= 1", name="rates"),
        CheckConstraint("window_days BETWEEN 1 AND 90", name="window_days"),
        CheckConstraint("minimum_sent > 0", name="minimum_sent"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    alarm_rate: Mapped[float] = mapped_column(Double, default=DEFAULT_ALARM_RATE)
    pause_rate: Mapped[float] = mapped_column(Double, default=DEFAULT_PAUSE_RATE)
    window_days: Mapped[int] = mapped_column(SmallInteger, default=DEFAULT_WINDOW_DAYS)
    minimum_sent: Mapped[int] = mapped_column(Integer, default=DEFAULT_MINIMUM_SENT)
    sender_domains: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    dkim_selectors: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)

    @classmethod
    def defaults(cls) -> "DeliverabilitySettings":
        """A row that is not kept yet."""
        return cls(
            id=1,
            alarm_rate=DEFAULT_ALARM_RATE,
            pause_rate=DEFAULT_PAUSE_RATE,
            window_days=DEFAULT_WINDOW_DAYS,
            minimum_sent=DEFAULT_MINIMUM_SENT,
            sender_domains=[],
            dkim_selectors=[],
        )


class DnsCheck(Model):
    """What was found in DNS about a sender domain. `findings` are [{record, state, finding, values, seen}]."""

    __tablename__ = "dns_check"
    __table_args__ = (Index("ix_dns_check_domain", "domain", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    domain: Mapped[str]
    findings: Mapped[list[Any]] = mapped_column(JSONB)
    checked_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
