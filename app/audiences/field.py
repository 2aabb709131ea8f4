"""What a field is, and the ways in which one may be asked other than by comparing its column."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, FromClause, literal, select
from sqlalchemy.orm import aliased

from app.audiences.choices import Choices
from app.audiences.comparing import day_range, in_days, whole_range, years_before
from app.audiences.lists.models import ListedNumber
from app.audiences.logic import Test, all_of, comparison, exact, opposite, row_exists
from app.audiences.operators import OPERATORS, PRESENCE, Operator
from app.clients.classes.models import ClientClass
from app.clients.classes.suitability import newest_lapsed, valid_months
from app.clients.contactability import contact_conditions
from app.clients.engagement.models import Engagement
from app.clients.holdings.models import Account
from app.clients.metrics.models import ClientMetrics
from app.clients.models import Client
from app.users.models import Branch

# Positive comparison, value and today > what it asks of the client.
Compare = Callable[[str, Any, date], Test]
_FREE = {"choice": "text", "choices": "list"}  # what a field without a closed list of choices takes instead
_NEEDING_COLUMN = {"anniversary_in_next_days", "lunar_anniversary_in_next_days"}
_AS_WRITTEN = {"is", "is_not", "in", "not_in", *PRESENCE}
ONE_ROW_TABLES = (ClientMetrics.__table__, ClientClass.__table__)
_CLIENT = Client.__table__.c


@dataclass(frozen=True, eq=False)
class Field:
    """One thing that is known of a client, or of a row that a client has elsewhere.

    `column` is its SQL value, an expression or an attribute of a model: of `client`, or of a table with one row a
    client. `compare`, where given, is asked instead. `choices` reads the allowed values; with `open_choices` they
    are suggestions only. A text that is a `code` is compared as it is written. A field that is `never_empty` is not
    asked whether it is known; an `address` is asked nothing else: counting clients whose e-mail contains a guess
    would read masked data letter by letter. What people see and type is `scale` times what is stored.
    """

    key: str
    label: object
    group: str
    type: str
    column: Any = None
    choices: Choices | None = None
    compare: Compare | None = None
    open_choices: bool = False
    code: bool = False
    never_empty: bool = False
    address: bool = False
    scale: int = 1

    @property
    def table(self) -> FromClause | None:
        """The table with one row a client that the column is in; None for the client's own row."""
        found = getattr(self.column, "table", None)
        return found if found in ONE_ROW_TABLES else None

    @property
    def operators(self) -> dict[str, Operator]:
        kept = OPERATORS[self.type]
        if self.never_empty:
            kept = {key: one for key, one in kept.items() if key not in PRESENCE}
        if self.address:
            kept = {key: one for key, one in kept.items() if key in PRESENCE}
        if self.code:
            kept = {key: one for key, one in kept.items() if key in _AS_WRITTEN}
        if self.column is None:
            kept = {key: one for key, one in kept.items() if key not in _NEEDING_COLUMN}
        if self.takes_choices:
            return kept
        return {key: Operator(key, one.label, _FREE.get(one.value, one.value)) for key, one in kept.items()}

    @property
    def takes_choices(self) -> bool:
        """True where a value must be one of the choices."""
        return self.choices is not None and not self.open_choices

    @property
    def ranks(self) -> bool:
        """Clients can be put in order by it, for a "take"."""
        return self.type in ("number", "money", "date") and self.column is not None

    def stored(self, value: Any) -> Any:
        """A number as it is stored."""
        if self.scale == 1 or isinstance(value, bool) or not isinstance(value, int | float | tuple):
            return value
        if isinstance(value, tuple):
            return tuple(self.stored(one) for one in value)
        return Decimal(repr(value)) / self.scale


# ---- Ways of asking ----


def truth(*terms: ColumnElement[bool]) -> Compare:
    """A yes or no that is all of these expressions, none of which is ever NULL."""
    test = all_of(comparison(term, never_null=True) for term in terms)
    return lambda op, value, today: test if op == "is_yes" else opposite(test)


def reachable(channel: str) -> Compare:
    return truth(*contact_conditions(channel=channel, purpose="marketing"))


def age(op: str, value: Any, today: date) -> Test:
    """Completed years as a range of birth dates; who was born on 29 February grows older on 1 March."""
    if op == "known":
        return comparison(_CLIENT.birth_date.is_not(None), never_null=True)
    ages = whole_range(op, value)
    if ages is None:
        return comparison(_CLIENT.birth_date > date.max)
    youngest, oldest = ages
    last = years_before(today, youngest) if youngest is not None else None
    born_before = years_before(today, oldest + 1) if oldest is not None else None
    first = born_before + timedelta(days=1) if born_before else None
    if youngest is not None and last is None:  # older than the calendar, or not born within it
        return comparison(_CLIENT.birth_date > date.max) if youngest > 0 else comparison(_CLIENT.birth_date <= date.max)
    if oldest is not None and born_before is None and oldest < 0:
        return comparison(_CLIENT.birth_date > date.max)
    if first is None and last is None:
        return comparison(_CLIENT.birth_date.is_not(None), never_null=True)
    return comparison(in_days(_CLIENT.birth_date, (first, last)))


def days_since(column: Any) -> Compare:
    """The days from a date to today, as a range of dates."""

    def compare(op: str, value: Any, today: date) -> Test:
        if op == "known":
            return comparison(column.is_not(None), never_null=True)
        days = whole_range(op, value)
        if days is None:
            return comparison(column > date.max)
        fewest, most = days
        last = _days_before(today, fewest) if fewest is not None else None
        first = _days_before(today, most) if most is not None else None
        return comparison(in_days(column, (first, last)))

    return compare


def _days_before(day: date, days: int) -> date:
    reach = (day - date.min).days, (day - date.max).days
    return day - timedelta(days=max(reach[1], min(reach[0], days)))


def assessment_expiry(op: str, value: Any, today: date) -> Test:
    """The first day on which the risk assessment does not hold any more, as a range of assessment dates.

    How long one holds is the suitability model's to say, as for the gate itself.
    """
    column = _CLIENT.risk_assessed_on
    if op == "known":
        return comparison(column.is_not(None), never_null=True)
    (first, last), months = day_range(op, value, today), valid_months()
    # What has lapsed by the last day, and had not yet on the day before the first.
    since = newest_lapsed(_days_before(first, 1), months) + timedelta(days=1) if first else None
    return comparison(in_days(column, (since, newest_lapsed(last, months) if last else None)))


def below_branches(op: str, value: Any, today: date) -> Test:
    """The client's branch is one of these or lies below one of them."""
    codes = value if isinstance(value, tuple) else (value,)
    top = aliased(Branch)
    ids = select(Branch.id).join(top, Branch.path.like(top.path.concat("%"))).where(top.code.in_(codes))
    return comparison(Client.branch_id.in_(ids), never_null=True)


def open_account_of(op: str, value: Any, today: date) -> Test:
    """There is an open account of the kind, of any of the kinds, or of each."""
    table, kinds = Account.__table__, value if isinstance(value, tuple) else (value,)
    opened = table.c.closed_on.is_(None)
    if op == "known":
        return exact(row_exists(table, opened))
    if op == "has_all":
        return all_of(exact(row_exists(table, opened, table.c.kind == kind)) for kind in kinds)
    return exact(row_exists(table, opened, table.c.kind.in_(kinds)))


def last_of(kind: str) -> Compare:
    """The day of the last event of a kind, up to today: one within the days and none after them."""
    table = Engagement.__table__

    def compare(op: str, value: Any, today: date) -> Test:
        first, last = (None, None) if op == "known" else day_range(op, value, today)
        until = today if last is None else min(last, today)
        found = exact(row_exists(table, table.c.kind == kind, in_days(table.c.last_at, (first, until))))
        if until == today:
            return found
        days = until + timedelta(days=1), today
        later = exact(row_exists(table, table.c.kind == kind, in_days(table.c.last_at, days)))
        return all_of([found, opposite(later)])

    return compare


def on_list(op: str, value: Any, today: date) -> Test:
    """The client's number is on one of the lists."""
    rows = select(literal(1)).where(ListedNumber.list_id.in_(value), ListedNumber.number == Client.number)
    return exact(rows.correlate(Client).exists())
