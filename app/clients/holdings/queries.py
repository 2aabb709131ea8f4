"""Reads of what moved on a client's accounts, and of what they held over time.

The caller has made sure that the reader may see the client.
"""

from calendar import monthrange
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from sqlalchemy import Date, column, func, literal, or_, select, true, tuple_
from sqlalchemy.dialects.postgresql import ARRAY

from app.clients.holdings.models import Account, Balance, Transaction
from app.core.extensions import db

ON_A_PAGE = 20
MONTHS = 12


@dataclass(frozen=True, slots=True)
class Place:
    """The key of the transaction before the first of a page."""

    on_date: date
    source: str
    external_id: str


@dataclass(frozen=True, slots=True)
class TransactionLine:
    """A transaction with the number (in full) and the currency of its account."""

    transaction: Transaction
    account_number: str
    currency: str


@dataclass(frozen=True, slots=True)
class TransactionPage:
    """Transactions, newest first, and where the older ones begin (None: there are none)."""

    lines: list[TransactionLine]
    older: Place | None


def transactions_of(client_id: int, *, place: Place | None = None, size: int = ON_A_PAGE) -> TransactionPage:
    """A page of the client's transactions. The months are read from the newest on, only as far as the page needs."""
    key = Transaction.on_date, Transaction.source, Transaction.external_id
    query = (
        select(Transaction, Account.number, Account.currency)
        .join(Account, Account.id == Transaction.account_id)
        .where(Transaction.client_id == client_id)
        .order_by(*(part.desc() for part in key))
        .limit(size + 1)
    )
    if place is not None:  # the first condition is said for the planner: it leaves later months out
        before = tuple_(*key) < tuple_(place.on_date, place.source, place.external_id)
        query = query.where(Transaction.on_date <= place.on_date, before)
    lines = [TransactionLine(*row) for row in db.session.execute(query)]
    if len(lines) <= size:
        return TransactionPage(lines, None)
    last = lines[size - 1].transaction
    return TransactionPage(lines[:size], Place(last.on_date, last.source, last.external_id))


@dataclass(frozen=True, slots=True)
class BalanceCourse:
    """What all open accounts held together at the end of each of `days`, by currency; None before the first balance.

    The days are ends of months, the last is the day of the newest balance.
    """

    days: list[date]
    held: dict[str, list[Decimal | None]]


def balance_course(client_id: int) -> BalanceCourse:
    """The last twelve months up to the newest balance; without any balance there are no days."""
    newest = db.session.scalar(
        select(Balance.on_date).where(Balance.client_id == client_id).order_by(Balance.on_date.desc()).limit(1)
    )
    if newest is None:
        return BalanceCourse([], {})
    days = _month_ends(newest)
    ends = func.unnest(literal(days, ARRAY(Date))).table_valued(column("day", Date)).render_derived(name="ends")
    day = ends.c.day
    held = (
        select(Balance.amount)
        .where(Balance.account_id == Account.id, Balance.on_date <= day)
        .order_by(Balance.on_date.desc())
        .limit(1)
        .lateral()
    )
    rows = db.session.execute(
        select(day, Account.currency, func.sum(held.c.amount))
        .select_from(ends)
        .join(Account, or_(Account.closed_on.is_(None), Account.closed_on > day))
        .join(held, true())
        .where(Account.client_id == client_id)
        .group_by(day, Account.currency)
    )
    sums: dict[str, dict[date, Decimal]] = defaultdict(dict)
    for on_date, currency, amount in rows:
        sums[currency][on_date] = amount
    known = [one for one in days if any(one in by_day for by_day in sums.values())]
    return BalanceCourse(known, {currency: _filled(known, sums[currency]) for currency in sorted(sums)})


def _month_ends(newest: date) -> list[date]:
    """The ends of the twelve months before a day, and the day itself, oldest first."""
    days = [newest]
    year, month = newest.year, newest.month
    for _month in range(MONTHS):
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)
        if year < 1:
            break
        days.append(date(year, month, monthrange(year, month)[1]))
    return days[::-1]


def _filled(days: Sequence[date], amounts: dict[date, Decimal]) -> list[Decimal | None]:
    return [amounts.get(day) for day in days]
