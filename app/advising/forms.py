"""Forms of the pages about contacts. The service judges; forms only read."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired
from wtforms import DateField, IntegerField, SelectField, TextAreaField
from wtforms.validators import InputRequired, Length, NumberRange

from app.advising.service import MORNING
from app.advising.trading_days import after, rules_in_force
from app.core.clock import now, today
from app.core.errors import AppError
from app.core.extensions import settings

# When the client is to be contacted again, as a tap says it: the key, and the words on the button.
AGAIN = {
    "later": _l("Later today"),
    "next_day": _l("Next trading day"),
    "three_days": _l("In 3 trading days"),
    "week": _l("In a week"),
}
_LATER = timedelta(hours=2)


class BadAgain(AppError):
    message = _l("Choose a date and a time for the next contact.")


def again_at(choice: str, typed: str) -> datetime | None:
    """The time of the next contact: a choice of AGAIN, "at" with a date and time as typed, or none.

    Raises BadAgain where what was typed is no time.
    """
    zone = ZoneInfo(settings().time_zone)
    if choice == "at":
        try:
            return datetime.fromisoformat(typed).replace(tzinfo=zone).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise BadAgain from error
    if choice == "later":
        return now() + _LATER
    holidays = rules_in_force().holidays
    days = {"next_day": after(today(), 1, holidays), "three_days": after(today(), 3, holidays)}
    days["week"] = after(today() + timedelta(days=7), 0, holidays)
    return datetime.combine(days[choice], MORNING, zone) if choice in days else None


class UploadForm(FlaskForm):  # type: ignore[misc]
    file = FileField(_l("File"), [FileRequired(_l("Choose a file."))])


class AbsenceForm(FlaskForm):  # type: ignore[misc]
    """`user` and `deputy` get their choices from the view; the deputy may stay empty."""

    user = SelectField(_l("Who is away"), coerce=int)
    first_day = DateField(_l("First day"), [InputRequired(_l("Choose a day."))])
    last_day = DateField(_l("Last day"), [InputRequired(_l("Choose a day."))])
    deputy = SelectField(
        _l("Deputy"),
        coerce=int,
        description=_l("Sees the clients and does the contact tasks for the time. Nobody: the second adviser does."),
    )


class RulesForm(FlaskForm):  # type: ignore[misc]
    daily_cap = IntegerField(
        _l("Clients per adviser and day"),
        [InputRequired(_l("Enter a number.")), NumberRange(1, 500)],
        description=_l("What is more goes to the next trading days, the most important first."),
    )
    grace_days = IntegerField(
        _l("Trading days until a task is overdue"),
        [InputRequired(_l("Enter a number.")), NumberRange(0, 60)],
        description=_l("Counted from the day it was listed for. It then goes to the team leader or branch manager."),
    )
    escalation_days = IntegerField(
        _l("Trading days until an overdue task closes"),
        [InputRequired(_l("Enter a number.")), NumberRange(1, 60)],
        description=_l("It then counts as not contacted."),
    )
    holidays = TextAreaField(
        _l("Days on which the exchanges are closed"),
        [Length(max=20_000)],
        description=_l("One date a line, such as 2027-01-01. Saturdays and Sundays need not be named."),
    )

    def closed_days(self) -> list[date]:
        """Raises AppError with the line that is no date."""
        days = []
        for line in (self.holidays.data or "").replace(",", "\n").split():
            try:
                days.append(date.fromisoformat(line))
            except ValueError as error:
                raise AppError(_l("“%(line)s” is no date such as 2027-01-01.", line=line[:40])) from error
        return days
