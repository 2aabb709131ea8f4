"""The metrics of each client. Derived here, never typed in; see `computing.py` for how."""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import Date, Double, Integer, Numeric, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from app.core.extensions import Model, Timestamp


def _money() -> Mapped[Decimal | None]:
    return mapped_column(Numeric(18, 2))


def _count() -> Mapped[int | None]:
    return mapped_column(Integer)


def _share() -> Mapped[float | None]:
    """A ratio: 0.25 is 25 %."""
    return mapped_column(Double)


class ClientMetrics(Model):
    """One row a client, as of the end of `as_of`; NULL where nothing is known. Windows end at `as_of`, which counts.

    What each column means, and how balances and transactions count, is said in `computing.py`. Counts and sums are 0,
    never NULL, for a client without any; averages, changes and ratios are NULL where there is nothing to divide by.
    A client added since the last run has no row yet: readers join from the client, outer.

    No foreign key: the table is written anew as a whole from the client book, and a million checks would double that.
    It is swapped for its successor by name, so nothing may depend on it in the database (views, foreign keys).
    """

    __tablename__ = "client_metrics"

    client_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    as_of: Mapped[date] = mapped_column(Date)
    total_assets: Mapped[Decimal | None] = _money()
    average_balance_30: Mapped[Decimal | None] = _money()
    average_balance_90: Mapped[Decimal | None] = _money()
    average_balance_365: Mapped[Decimal | None] = _money()
    assets_change_30: Mapped[float | None] = _share()
    assets_change_90: Mapped[float | None] = _share()
    debt: Mapped[Decimal | None] = _money()
    average_debt_365: Mapped[Decimal | None] = _money()
    net_inflow_30: Mapped[Decimal | None] = _money()
    net_inflow_90: Mapped[Decimal | None] = _money()
    net_inflow_365: Mapped[Decimal | None] = _money()
    trades_30: Mapped[int | None] = _count()
    trades_90: Mapped[int | None] = _count()
    trades_365: Mapped[int | None] = _count()
    traded_value_30: Mapped[Decimal | None] = _money()
    traded_value_90: Mapped[Decimal | None] = _money()
    traded_value_365: Mapped[Decimal | None] = _money()
    turnover_rate_365: Mapped[float | None] = _share()
    fees_30: Mapped[Decimal | None] = _money()
    fees_90: Mapped[Decimal | None] = _money()
    fees_365: Mapped[Decimal | None] = _money()
    last_trade_on: Mapped[date | None] = mapped_column(Date)
    last_transaction_on: Mapped[date | None] = mapped_column(Date)
    active_months_365: Mapped[int | None] = _count()
    order_channel: Mapped[str | None]
    open_accounts: Mapped[int | None] = _count()
    product_kinds: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    product_kind_count: Mapped[int | None] = _count()
    position_value: Mapped[Decimal | None] = _money()
    position_ratio: Mapped[float | None] = _share()
    profit_loss: Mapped[Decimal | None] = _money()
    underwater_share: Mapped[float | None] = _share()
    last_contact_at: Mapped[datetime | None] = mapped_column(Timestamp)
    computed_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())


class StaleClient(Model):
    """A client whose holdings changed since the metrics were computed. No foreign key: written by the hundred thousand,
    and a row whose client is gone does no harm."""

    __tablename__ = "stale_client"

    client_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class MetricsRun(Model):
    """One computation of the whole book."""

    __tablename__ = "metrics_run"

    id: Mapped[int] = mapped_column(primary_key=True)
    as_of: Mapped[date] = mapped_column(Date)
    clients: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(Timestamp)
    finished_at: Mapped[datetime] = mapped_column(Timestamp)
