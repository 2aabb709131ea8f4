"""Rule > SQL: a condition over `client` with bound parameters only.

SQL knows true, false and NULL; a segment knows only in and out. Every condition compiled here is two-valued, so
`not` is the exact complement over all clients:

- a missing value never matches a positive condition (is, contains, more than, before, is yes, is no, ...);
- the negative comparisons (is not, does not contain, is none of, ne, do not include) are the exact complement of
  their positive ones, so they do match where the value is missing.

Text is compared without regard to case. "In the last n days" runs from today - n to today, both included, so
"longer ago than n days" is the rest of the past; "in the next n days" runs from today to today + n.
"""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Date, Integer, Numeric, Text, and_, func, literal, not_, or_, true

from app.audiences.fields import Catalogue, load_catalogue
from app.audiences.rules import Condition, Group, Not, Rule, RuleJson, parse_rule
from app.core import clock

# A positive comparison of a column with a value as of a day; NULL where the column is.
Comparison = Callable[[ColumnElement[Any], Any, date], ColumnElement[bool]]


def condition(
    rule: RuleJson | Rule, *, today: date | None = None, catalogue: Catalogue | None = None
) -> ColumnElement[bool]:
    """True for the clients of the rule, false for all others, never NULL. For a query over `Client`.

    Relative dates count from `today` (UTC today). Raises RuleError where a rule given as JSON data is not one.
    """
    parsed = rule if isinstance(rule, Condition | Group | Not) else parse_rule(rule, catalogue or load_catalogue())
    return _compile(parsed, today or clock.today())


def _compile(rule: Rule, today: date) -> ColumnElement[bool]:
    if isinstance(rule, Not):
        return not_(_compile(rule.rule, today))
    if isinstance(rule, Group):
        if not rule.rules:
            return true()
        parts = [_compile(one, today) for one in rule.rules]
        return and_(*parts) if rule.every else or_(*parts)
    if rule.op.key in _NEGATIVE:
        return not_(_positive(rule, _NEGATIVE[rule.op.key], today))
    return _positive(rule, rule.op.key, today)


def _positive(rule: Condition, op: str, today: date) -> ColumnElement[bool]:
    column = rule.field.column(today)
    if op == "known":
        return column.is_not(None)
    if rule.field.matches is not None:
        return rule.field.matches(rule.value if isinstance(rule.value, tuple) else (rule.value,))
    return _COMPARISONS[rule.field.type][op](column, rule.value, today).is_(True)


_NEGATIVE = {
    "is_not": "is",
    "not_contains": "contains",
    "not_in": "in",
    "ne": "eq",
    "has_not": "has",
    "missing": "known",
}


def _amount(value: float) -> ColumnElement[Any]:
    return literal(Decimal(repr(value)), Numeric)


def _day(value: date) -> ColumnElement[Any]:
    return literal(value, Date)


def _lower_in(column: ColumnElement[Any], values: tuple[str, ...], today: date) -> ColumnElement[bool]:
    return func.lower(column).in_([func.lower(literal(value, Text)) for value in values])


def _anniversary(column: ColumnElement[Any], days: int, today: date) -> ColumnElement[bool]:
    """The day and month come round from today to today + days; 29 February is kept on the 28th of a common year."""
    coming = [today + timedelta(days=offset) for offset in range(min(days, 366) + 1)]
    wanted = {100 * day.month + day.day for day in coming}
    if any(day.month == 2 and day.day == 28 and (day + timedelta(days=1)).month == 3 for day in coming):
        wanted.add(229)
    month_and_day = 100 * func.date_part("month", column) + func.date_part("day", column)
    return month_and_day == literal(sorted(wanted), ARRAY(Integer)).any_()


_NUMBER: Mapping[str, Comparison] = {
    "eq": lambda column, value, today: column == _amount(value),
    "gt": lambda column, value, today: column > _amount(value),
    "gte": lambda column, value, today: column >= _amount(value),
    "lt": lambda column, value, today: column < _amount(value),
    "lte": lambda column, value, today: column <= _amount(value),
    "between": lambda column, value, today: column.between(_amount(value[0]), _amount(value[1])),
}
_COMPARISONS: Mapping[str, Mapping[str, Comparison]] = {
    "text": {
        "is": lambda column, value, today: func.lower(column) == func.lower(literal(value, Text)),
        "contains": lambda column, value, today: column.icontains(value, autoescape=True),
        "starts_with": lambda column, value, today: column.istartswith(value, autoescape=True),
        "in": _lower_in,
    },
    "number": _NUMBER,
    "money": _NUMBER,
    "date": {
        "on": lambda column, value, today: column == _day(value),
        "before": lambda column, value, today: column < _day(value),
        "after": lambda column, value, today: column > _day(value),
        "between": lambda column, value, today: column.between(_day(value[0]), _day(value[1])),
        "in_last_days": lambda column, value, today: column.between(_day(today - timedelta(days=value)), _day(today)),
        "in_next_days": lambda column, value, today: column.between(_day(today), _day(today + timedelta(days=value))),
        "more_than_days_ago": lambda column, value, today: column < _day(today - timedelta(days=value)),
        "anniversary_in_next_days": _anniversary,
    },
    "yesno": {
        "is_yes": lambda column, value, today: column.is_(True),
        "is_no": lambda column, value, today: column.is_(False),
    },
    "choice": {
        "is": lambda column, value, today: column == value,
        "in": lambda column, value, today: column.in_(value),
    },
    "tags": {"has": lambda column, value, today: column.contains([value])},
}
