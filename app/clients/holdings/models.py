"""Accounts, daily balances, transactions and product positions.

Balances and transactions carry their client as well as their account: every question about them is asked per client,
and a join over ten million rows would cost more than the eight bytes. Both are partitioned by month.
"""

from datetime import date
from decimal import Decimal

from sqlalchemy import Date, ForeignKey, ForeignKeyConstraint, Index, Numeric, SmallInteger, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model

TRADES = ("buy", "sell", "subscribe", "redeem")
INFLOWS = ("deposit", "transfer_in")
OUTFLOWS = ("withdrawal", "transfer_out")


def _of_account() -> ForeignKeyConstraint:
    """A row belongs to an account and to that account's client; where the account moves (a merge), so does the row."""
    return ForeignKeyConstraint(["account_id", "client_id"], ["account.id", "account.client_id"], onupdate="CASCADE")


class Account(Model):
    """An account a client holds with the firm (or, for custody, with a partner bank).

    `designated_on`: since when trading on a Shanghai account is designated to this firm.
    """

    __tablename__ = "account"
    __table_args__ = (
        Index("ix_account_client_id", "client_id"),
        Index("ix_account_opened_on", "opened_on"),
        UniqueConstraint("id", "client_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("client.id"))
    number: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    currency: Mapped[str] = mapped_column(default="CNY", server_default="CNY")
    opened_on: Mapped[date | None] = mapped_column(Date)
    activated_on: Mapped[date | None] = mapped_column(Date)
    matures_on: Mapped[date | None] = mapped_column(Date)
    closed_on: Mapped[date | None] = mapped_column(Date)
    branch_id: Mapped[int | None] = mapped_column(ForeignKey("branch.id"))
    partner_bank: Mapped[str | None]
    designated_on: Mapped[date | None] = mapped_column(Date)


class Balance(Model):
    """What an account held at the end of a day; below zero what is owed (loans, cards)."""

    __tablename__ = "balance"
    __table_args__ = (
        _of_account(),
        Index("ix_balance_client_id", "client_id", "on_date"),
        {"postgresql_partition_by": "RANGE (on_date)"},
    )

    account_id: Mapped[int] = mapped_column(primary_key=True)
    on_date: Mapped[date] = mapped_column(Date, primary_key=True)
    client_id: Mapped[int]
    amount: Mapped[Decimal] = mapped_column(Numeric(18, 2))


class Transaction(Model):
    """Money or securities moving on an account; unique by source, the source's own id, and date.

    `kind` is a word of the feed; TRADES, INFLOWS and OUTFLOWS are those the metrics know. `amount` is never negative.
    """

    __tablename__ = "transaction"
    __table_args__ = (
        _of_account(),
        Index("ix_transaction_account_id", "account_id", "on_date"),
        Index("ix_transaction_client_id", "client_id", "on_date"),
        {"postgresql_partition_by": "RANGE (on_date)"},
    )

    source: Mapped[str] = mapped_column(primary_key=True)
    external_id: Mapped[str] = mapped_column(primary_key=True)
    on_date: Mapped[date] = mapped_column(Date, primary_key=True)
    account_id: Mapped[int]
    client_id: Mapped[int]
    kind: Mapped[str]
    amount: Mapped[Decimal] = mapped_column(Numeric(18, 2))
    fee: Mapped[Decimal] = mapped_column(Numeric(18, 2), default=Decimal(0), server_default="0")
    order_channel: Mapped[str | None]


class Position(Model):
    """A product a client holds now: the newest statement of it replaces the one before."""

    __tablename__ = "position"
    __table_args__ = (_of_account(), Index("ix_position_client_id", "client_id"))

    account_id: Mapped[int] = mapped_column(primary_key=True)
    product_code: Mapped[str] = mapped_column(primary_key=True)
    client_id: Mapped[int]
    product_name: Mapped[str | None]
    product_kind: Mapped[str]
    product_risk: Mapped[int | None] = mapped_column(SmallInteger)
    value: Mapped[Decimal] = mapped_column(Numeric(18, 2))
    cost: Mapped[Decimal | None] = mapped_column(Numeric(18, 2))
    on_date: Mapped[date] = mapped_column(Date)
