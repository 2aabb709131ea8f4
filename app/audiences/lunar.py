"""Birthdays by the Chinese lunar calendar, as dates of the solar one.

The calendar is the Hong Kong Observatory's of the lunar years 1901 to 2099, as cnlunar carries it. Who was born in a
leap month celebrates in the ordinary month of that number; who was born on a 30th, in a month of 29 days on the 29th.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib import import_module

Birthday = tuple[int, int]  # the number of the month, 1 to 12, and of the day in it, 1 to 30
CYCLE = 385  # days within which every lunar day comes round, a leap month included


@dataclass(frozen=True, slots=True)
class LunarMonth:
    """`first` is its first day in the solar calendar, `number` 1 to 12, `days` 29 or 30."""

    first: date
    number: int
    leap: bool
    days: int

    @property
    def end(self) -> date:
        """The day after its last."""
        return self.first + timedelta(days=self.days)


def lunar_day(day: date) -> tuple[LunarMonth, int] | None:
    """The lunar month that a day lies in and the number of the day, from 1; None outside of the calendar."""
    months = _calendar()
    place = bisect_right(months, day, key=lambda month: month.first) - 1
    if place < 0 or day >= months[place].end:
        return None
    return months[place], (day - months[place].first).days + 1


def born_for(today: date, days: int) -> list[date]:
    """Every date up to today whose lunar birthday is celebrated from today to today + days."""
    coming = (today + timedelta(days=offset) for offset in range(min(days, CYCLE) + 1))
    celebrated = {birthday for day in coming for birthday in _celebrated_on(day)}
    dates = (_dates()[birthday] for birthday in sorted(celebrated))
    return [born for of_birthday in dates for born in of_birthday[: bisect_right(of_birthday, today)]]


def _celebrated_on(day: date) -> Iterator[Birthday]:
    found = lunar_day(day)
    if found is None or found[0].leap:
        return
    month, number = found
    yield month.number, number
    if number == month.days == 29:
        yield month.number, 30


@cache
def _dates() -> dict[Birthday, list[date]]:
    """The dates of each birthday, in their order, leap months among the ordinary ones."""
    found: dict[Birthday, list[date]] = {}
    for month in _calendar():
        for number in range(1, month.days + 1):
            found.setdefault((month.number, number), []).append(month.first + timedelta(days=number - 1))
    return found


@cache
def _calendar() -> tuple[LunarMonth, ...]:
    """The months in their order. The library is loaded here: a worker that only sends need not carry it."""
    tables = import_module("cnlunar.config")
    years = zip(tables.lunarNewYearList, tables.lunarMonthData, strict=False)  # of 2100 only the start is known
    return tuple(
        month
        for year, (start, months) in enumerate(years, tables.START_YEAR)
        for month in _months(date(year, start >> 5, start & 0x1F), months)
    )


def _months(first: date, packed: int) -> Iterator[LunarMonth]:
    """The months of a year from the library's bits.

    From the lowest: whether each of the twelve months has 30 days, whether the leap month has, and the number of the
    month that the leap month follows, 0 for none.
    """
    leap_after, leap_days = packed >> 13, 29 + (packed >> 12 & 1)
    for number in range(1, 13):
        month = LunarMonth(first, number, False, 29 + (packed >> (number - 1) & 1))
        yield month
        first = month.end
        if number == leap_after:
            leap = LunarMonth(first, number, True, leap_days)
            yield leap
            first = leap.end
