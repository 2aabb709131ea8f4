"""The accounts that messages leave through, and the limits that hold for them."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, Date, Double, ForeignKey, SmallInteger, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp

ACCOUNT_STATES = ("active", "paused", "resting")
LOCATIONS = ("domestic", "foreign")


class ChannelAccount(Model):
    """A relay, a vendor's key, a gateway: one way out of a channel. The same channel may have several.

    `settings` are what the vendor's fields ask for, without secrets; those stand in the environment, in the variable
    `secret_name` (None: the variables of the vendor's own name, as the configuration reads them). `weight` is its share
    of the batches. Active > paused by a person, or resting until `resting_until` after a fault; `failures` counts the
    faults since it took messages again. Warm-up: `warm_up_first` messages on the day `warm_up_from`, `warm_up_factor`
    times as many on each later day. A `foreign` account takes mainland clients' data only with a legal basis on record.
    While `marketing_paused_at` is set it takes other messages only, for the complaints in `marketing_paused_for`
    ({complained, delivered, days}); complaints count from `complaints_from` on. An account that messages went through
    is never deleted, but archived.
    """

    __tablename__ = "channel_account"
    __table_args__ = (
        UniqueConstraint("name"),
        CheckConstraint(f"state IN ({', '.join(repr(state) for state in ACCOUNT_STATES)})", name="state"),
        CheckConstraint(f"location IN ({', '.join(repr(place) for place in LOCATIONS)})", name="location"),
        CheckConstraint("weight BETWEEN 0 AND 100", name="weight"),
        CheckConstraint("rate_per_second > 0", name="rate_per_second"),
        CheckConstraint("daily_limit > 0", name="daily_limit"),
        CheckConstraint("warm_up_first > 0 AND warm_up_factor >= 1", name="warm_up"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    channel: Mapped[str]
    vendor: Mapped[str]
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")
    secret_name: Mapped[str | None]
    weight: Mapped[int] = mapped_column(SmallInteger, default=1, server_default="1")
    state: Mapped[str] = mapped_column(default="active", server_default="active")
    state_reason: Mapped[str | None]
    resting_until: Mapped[datetime | None] = mapped_column(Timestamp)
    failures: Mapped[int] = mapped_column(default=0, server_default="0")
    rate_per_second: Mapped[float | None] = mapped_column(Double)
    daily_limit: Mapped[int | None]
    warm_up_from: Mapped[date | None] = mapped_column(Date)
    warm_up_first: Mapped[int | None]
    warm_up_factor: Mapped[float | None] = mapped_column(Double)
    location: Mapped[str] = mapped_column(default="domestic", server_default="domestic")
    legal_basis: Mapped[str | None]
    legal_basis_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    legal_basis_at: Mapped[datetime | None] = mapped_column(Timestamp)
    marketing_paused_at: Mapped[datetime | None] = mapped_column(Timestamp)
    marketing_paused_for: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    complaints_from: Mapped[date | None] = mapped_column(Date)
    archived_at: Mapped[datetime | None] = mapped_column(Timestamp)
    changed_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())


class ChannelLimit(Model):
    """How much may leave: through an account, or to a receiving domain through any account (`account_id` None).

    A bucket that fills by `rate_per_second` up to one second's worth (None: no rate); `used` messages left on `day`.
    """

    __tablename__ = "channel_limit"
    __table_args__ = (
        UniqueConstraint("account_id", "domain", postgresql_nulls_not_distinct=True),
        CheckConstraint("rate_per_second > 0", name="rate_per_second"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("channel_account.id"))
    domain: Mapped[str] = mapped_column(default="", server_default="")
    rate_per_second: Mapped[float | None] = mapped_column(Double)
    tokens: Mapped[float] = mapped_column(Double, default=0.0, server_default="0")
    filled_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    day: Mapped[date | None] = mapped_column(Date)
    used: Mapped[int] = mapped_column(default=0, server_default="0")
