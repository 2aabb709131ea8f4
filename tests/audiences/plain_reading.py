"""Comparisons worked out a value at a time, for the tests that hold the SQL against a plain reading of a rule."""

from datetime import date, timedelta

from app.audiences.operators import PERIODS


def in_period(day: date, period: str, today: date) -> bool:
    """The day is in one of PERIODS: of the unit that today is in, or of the one that ended last before."""
    assert period in PERIODS
    which, unit = period.split("_")
    past = today
    while which == "last" and _unit_of(past, unit) == _unit_of(today, unit):
        past -= timedelta(days=1)
    return _unit_of(day, unit) == _unit_of(past, unit)


def _unit_of(day: date, unit: str) -> tuple[int, ...]:
    iso = day.isocalendar()
    return {
        "week": (iso.year, iso.week),
        "month": (day.year, day.month),
        "quarter": (day.year, (day.month + 2) // 3),
        "year": (day.year,),
    }[unit]
