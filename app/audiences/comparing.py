"""One column compared with a value, as SQL: plain expressions that an index can serve, NULL where the column is.

Days are whole days in the firm's time zone, ranges include both ends. Text is compared without regard to case.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import ceil, floor
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Date,
    Integer,
    Numeric,
    Text,
    any_,
    cast,
    false,
    func,
    literal,
    select,
    true,
)

from app.audiences.lunar import born_for
from app.core.extensions import Timestamp, settings

Column = ColumnElement[Any]
DayRange = tuple[date | None, date | None]
WholeRange = tuple[int | None, int | None]
NO_DAY: DayRange = (date.max, date.min)
_SEPARATOR = "\x1f"  # no text of a rule has a control character


# ---- Dates ----


def day_range(op: str, value: Any, today: date) -> DayRange:
    """The first and the last day that a comparison of dates takes; None is open."""
    match op:
        case "on":
            return value, value
        case "between":
            return value[0], value[1]
        case "before":
            return (None, value - timedelta(days=1)) if value > date.min else NO_DAY
        case "after":
            return (value + timedelta(days=1), None) if value < date.max else NO_DAY
        case "in_period":
            return period_days(value, today)
        case "in_last_days":
            return today - timedelta(days=value), today
        case "in_next_days":
            return today, today + timedelta(days=value)
        case "more_than_days_ago":
            return None, today - timedelta(days=value + 1)
    raise LookupError(op)


_LONGEST = {"week": 7, "month": 31, "quarter": 92, "year": 366}  # days


def period_days(period: str, today: date) -> tuple[date, date]:
    """The first and the last day of one of `operators.PERIODS`."""
    which, _of, unit = period.partition("_")
    first = _first_of(unit, today)
    if which == "last":
        first = _first_of(unit, first - timedelta(days=1))
    return first, _first_of(unit, first + timedelta(days=_LONGEST[unit])) - timedelta(days=1)


def _first_of(unit: str, day: date) -> date:
    if unit == "week":
        return day - timedelta(days=day.weekday())
    months = {"month": 1, "quarter": 3, "year": 12}[unit]
    return day.replace(month=day.month - (day.month - 1) % months, day=1)


def in_days(column: Column, days: DayRange) -> ColumnElement[bool]:
    """A column of dates, or of moments, lies in the days."""
    first, last = days
    if isinstance(column.type, Date):
        if first is not None and first == last:
            return column == literal(first, Date)
        low, high = first, last
        ends = [column >= literal(low, Date)] if low else []
        return _both(ends + ([column <= literal(high, Date)] if high else []))
    ends = [column >= literal(_midnight(first), Timestamp)] if first else []
    if last and last < date.max:
        ends.append(column < literal(_midnight(last + timedelta(days=1)), Timestamp))
    return _both(ends)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(settings().time_zone))


def _day_of(column: Column) -> Column:
    """The day of a moment; a date as it is."""
    return column if isinstance(column.type, Date) else cast(func.timezone(settings().time_zone, column), Date)


def _both(ends: list[ColumnElement[bool]]) -> ColumnElement[bool]:
    return ends[0] & ends[1] if len(ends) == 2 else ends[0] if ends else true()


def compare_date(column: Column, op: str, value: Any, today: date) -> ColumnElement[bool]:
    if op == "anniversary_in_next_days":
        return _anniversary(column, value, today)
    if op == "lunar_anniversary_in_next_days":
        return _lunar_anniversary(column, value, today)
    return in_days(column, day_range(op, value, today))


def _anniversary(column: Column, days: int, today: date) -> ColumnElement[bool]:
    """The day and month come round from today to today + days; 29 February is kept on the 28th of a common year."""
    if days >= 365:
        return column.is_not(None)
    coming = [today + timedelta(days=offset) for offset in range(days + 1)]
    wanted = {100 * day.month + day.day for day in coming}
    if any(day.month == 2 and day.day == 28 and (day + timedelta(days=1)).month == 3 for day in coming):
        wanted.add(229)
    return month_and_day(_day_of(column)) == any_(literal(sorted(wanted), ARRAY(Integer)))


def _lunar_anniversary(column: Column, days: int, today: date) -> ColumnElement[bool]:
    """The dates in question as rows, so that they are hashed once even where the plan does not know their number."""
    dates = func.unnest(literal(born_for(today, days), ARRAY(Date)))
    return _day_of(column).in_(select(dates.column_valued()))


def month_and_day(column: Column) -> Column:
    """29 February is 229."""
    return 100 * func.date_part("month", column) + func.date_part("day", column)


def years_before(day: date, years: int) -> date | None:
    """The same day so many years earlier, 28 for 29 February; None where the calendar does not reach."""
    if not date.min.year <= day.year - years <= date.max.year:
        return None
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)


# ---- Numbers ----


def whole_range(op: str, value: Any) -> WholeRange | None:
    """The smallest and the greatest whole number that a comparison of numbers takes; None where there is none."""
    match op:
        case "eq":
            low, high = ceil(value), floor(value)
        case "between":
            low, high = ceil(value[0]), floor(value[1])
        case "gt":
            return floor(value) + 1, None
        case "gte":
            return ceil(value), None
        case "lt":
            return None, ceil(value) - 1
        case "lte":
            return None, floor(value)
        case _:
            raise LookupError(op)
    return (low, high) if low <= high else None


def compare_number(column: Column, op: str, value: Any) -> ColumnElement[bool]:
    """Whole numbers are compared as such: cast to another type, a column could use no index and costs more."""
    if isinstance(column.type, Integer):
        ends = whole_range(op, value)
        if ends is None:
            return false()
        low, high = (None if end is None else literal(end, BigInteger) for end in ends)
        if low is not None and high is not None:
            return column == low if ends[0] == ends[1] else column.between(low, high)
        return column >= low if low is not None else column <= high
    if op == "between":
        return column.between(_amount(value[0]), _amount(value[1]))
    return _ORDER[op](column, _amount(value))


_ORDER: Mapping[str, Callable[[Column, Column], ColumnElement[bool]]] = {
    "eq": lambda column, value: column == value,
    "gt": lambda column, value: column > value,
    "gte": lambda column, value: column >= value,
    "lt": lambda column, value: column < value,
    "lte": lambda column, value: column <= value,
}


def _amount(value: float | Decimal) -> Column:
    return literal(value if isinstance(value, Decimal) else Decimal(repr(value)), Numeric)


def number_holds(op: str, number: float, value: Any) -> bool:
    """What a comparison of numbers says of one number, e.g. of nothing counted."""
    if op == "between":
        return bool(value[0] <= number <= value[1])
    held: dict[str, bool] = {
        "eq": number == value,
        "ne": number != value,
        "gt": number > value,
        "gte": number >= value,
        "lt": number < value,
        "lte": number <= value,
    }
    return held[op]


# ---- Texts, choices, tags ----


def compare_text(column: Column, op: str, value: Any) -> ColumnElement[bool]:
    if op == "contains":
        return column.icontains(value, autoescape=True)
    if op == "starts_with":
        return column.istartswith(value, autoescape=True)
    if op == "is":
        return func.lower(column) == func.lower(literal(value, Text))
    return func.lower(column) == any_(_lowered(value))


def _lowered(values: tuple[str, ...]) -> Column:
    """The texts in lower case, as the database knows it, as one array that is worked out once."""
    joined = literal(_SEPARATOR.join(values), Text)
    return func.string_to_array(func.lower(joined), literal(_SEPARATOR, Text))


def compare_exactly(column: Column, op: str, value: Any) -> ColumnElement[bool]:
    """Equality, or one of several as a single array (however long, one parameter)."""
    if op == "in":
        return column == any_(literal(list(value), ARRAY(column.type)))
    return column == literal(value, column.type)


def compare_tags(column: Column, op: str, value: Any) -> ColumnElement[bool]:
    if op == "known":
        return func.cardinality(column) > 0
    wanted = literal(list(value) if isinstance(value, tuple) else [value], ARRAY(Text))
    return column.overlap(wanted) if op == "has_any" else column.contains(wanted)
