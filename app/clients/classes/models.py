"""Value models, their versions, the class of each client, and how it came there."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, Date, Double, ForeignKey, Index, Numeric, SmallInteger, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp

# The models, in the order they are shown. Each is a column of `client_class` with the code of the client's class.
MODELS = ("aum_tier", "contribution_turnover", "profit_stability", "life_cycle", "suitability", "scorecard")


class ModelVersion(Model):
    """The parameters of a model from `effective_on` on: thresholds, rates and treatments, as `parameters.py` says.

    States: draft > scheduled > active > retired. At most one version of a model is active. `revision` counts the
    changes of a draft; one that is retired without `activated_at` was discarded.
    """

    __tablename__ = "model_version"
    __table_args__ = (
        CheckConstraint("state IN ('draft', 'scheduled', 'active', 'retired')", name="state"),
        CheckConstraint(f"model IN ({', '.join(repr(model) for model in MODELS)})", name="model"),
        Index("uq_model_version_number", "model", "number", unique=True),
        Index("uq_model_version_active", "model", unique=True, postgresql_where=text("state = 'active'")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    number: Mapped[int]
    state: Mapped[str] = mapped_column(default="draft", server_default="draft")
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB)
    note: Mapped[str | None]
    effective_on: Mapped[date | None] = mapped_column(Date)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    activated_at: Mapped[datetime | None] = mapped_column(Timestamp)
    activated_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    retired_at: Mapped[datetime | None] = mapped_column(Timestamp)
    revision: Mapped[int] = mapped_column(default=1, server_default="1")


class ClassRun(Model):
    """One computing of the whole book: the day, the version of each model, and the percentile cut points it used.

    `cut_points` is {measure: value}; `done_up_to` is the last client id that is written. A run of which the worker
    died goes on from there with the same cut points.
    """

    __tablename__ = "class_run"

    id: Mapped[int] = mapped_column(primary_key=True)
    on_date: Mapped[date] = mapped_column(Date)
    versions: Mapped[dict[str, Any]] = mapped_column(JSONB)
    cut_points: Mapped[dict[str, Any]] = mapped_column(JSONB)
    done_up_to: Mapped[int] = mapped_column(default=0, server_default="0")
    written: Mapped[int] = mapped_column(default=0, server_default="0")
    moves: Mapped[int] = mapped_column(default=0, server_default="0")
    started_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    finished_at: Mapped[datetime | None] = mapped_column(Timestamp)


class ClientClass(Model):
    """The class of each client by each model, as computed last; NULL where the model says nothing of the client.

    `contribution` is the profit, `stability` and `potential` are of the profit and stability model, `score` is of the
    scorecard; the last three run from 0 to 100.

    `suitability` is the highest product risk (R1-R5) the client may be offered today, 0 for none. No foreign key:
    written as a whole from the client book.
    """

    __tablename__ = "client_class"
    __table_args__ = (
        CheckConstraint("suitability BETWEEN 0 AND 5", name="suitability"),
        {"postgresql_with": {"fillfactor": "90"}},
    )

    client_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    aum_tier: Mapped[str | None]
    contribution_turnover: Mapped[str | None]
    profit_stability: Mapped[str | None]
    life_cycle: Mapped[str | None]
    suitability: Mapped[int | None] = mapped_column(SmallInteger)
    scorecard: Mapped[str | None]
    contribution: Mapped[Decimal | None] = mapped_column(Numeric(18, 2))
    stability: Mapped[float | None] = mapped_column(Double)
    score: Mapped[float | None] = mapped_column(Double)
    potential: Mapped[float | None] = mapped_column(Double)
    computed_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())


class ClassChange(Model):
    """A client moved from one class of a model to another: "was A, is now B since". NULL is no class."""

    __tablename__ = "class_change"
    __table_args__ = (
        Index("ix_class_change_client_id", "client_id", "model", "on_date"),
        Index("ix_class_change_model", "model", "on_date"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("client.id"))
    model: Mapped[str]
    was: Mapped[str | None]
    is_now: Mapped[str | None]
    on_date: Mapped[date] = mapped_column(Date)
    version_id: Mapped[int | None] = mapped_column(ForeignKey("model_version.id"))


class ClassOverride(Model):
    """A person's decision that stands above what a model computes, with its reason, up to the day it expires.

    Suitability cannot be overridden: it is a gate that nobody may waive.
    """

    __tablename__ = "class_override"
    __table_args__ = (CheckConstraint("model <> 'suitability'", name="model"),)

    client_id: Mapped[int] = mapped_column(ForeignKey("client.id"), primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    class_code: Mapped[str]
    reason: Mapped[str]
    expires_on: Mapped[date] = mapped_column(Date)
    set_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    set_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
