"""What an address of the programme asks for."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from flask_babel import get_timezone

from app.core.clock import now
from app.reports.programme.queries import Grouping, Period

USUAL_DAYS = 365


def grouping_of(args: Mapping[str, str]) -> Grouping:
    named = args.get("by", "")
    return Grouping(named) if named in set(Grouping) else Grouping.MONTH


def period_of(args: Mapping[str, str]) -> Period:
    """The days of the address, in the reader's zone; the last year where they are none, the earlier one first."""
    today = now().astimezone(get_timezone()).date()
    last = _day(args, "until") or today
    first = _day(args, "since") or last - timedelta(days=USUAL_DAYS)
    return Period(min(first, last), max(first, last), get_timezone())


def address_of(period: Period, grouping: Grouping) -> dict[str, Any]:
    """The query of its page."""
    return {"since": period.first.isoformat(), "until": period.last.isoformat(), "by": grouping.value}


def _day(args: Mapping[str, str], name: str) -> date | None:
    try:
        day = date.fromisoformat(args.get(name, ""))
    except ValueError:
        return None
    return day if 1990 <= day.year <= 2200 else None
