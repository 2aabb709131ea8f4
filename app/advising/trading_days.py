"""The firm's rules of contact work, and the days on which it is done: those on which the exchanges are open."""

from collections.abc import Collection, Iterator
from datetime import date, timedelta
from itertools import islice

from app.advising.models import AdvisingRules
from app.core.extensions import db

_SATURDAY = 5


def rules_in_force() -> AdvisingRules:
    """The firm's figures; the defaults, not in the session, where nobody has changed them."""
    return db.session.get(AdvisingRules, 1) or AdvisingRules(
        id=1, daily_cap=25, grace_days=2, escalation_days=3, holidays=[]
    )


def is_trading_day(day: date, holidays: Collection[date]) -> bool:
    return day.weekday() < _SATURDAY and day not in holidays


def trading_days(first: date, number: int, holidays: Collection[date]) -> list[date]:
    """So many trading days from `first` on, which counts where it is one."""
    return list(islice(_walk(first, 1, holidays), number))


def after(day: date, number: int, holidays: Collection[date]) -> date:
    """The trading day so many of them after `day`; 0: the day itself, or the next that is one."""
    if number == 0:
        return trading_days(day, 1, holidays)[0]
    return trading_days(day + timedelta(days=1), number, holidays)[-1]


def before(day: date, number: int, holidays: Collection[date]) -> date:
    """The trading day so many of them (at least one) before `day`."""
    return list(islice(_walk(day - timedelta(days=1), -1, holidays), number))[-1]


def _walk(day: date, step: int, holidays: Collection[date]) -> Iterator[date]:
    closed = frozenset(holidays)
    while True:
        if is_trading_day(day, closed):
            yield day
        day += timedelta(days=step)
