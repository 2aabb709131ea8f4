"""The one clock. Everything in the product is aware UTC; pages convert on display."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from app.core.extensions import settings


def now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


def today() -> date:
    """Today's date in the firm's time zone: a birthday is one where the client and the adviser are."""
    return now().astimezone(ZoneInfo(settings().time_zone)).date()
