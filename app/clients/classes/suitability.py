"""What may be offered to whom: the hard gate of suitability, as SQL over `client`.

Asked of the client book itself, not of the classes computed last night: an assessment may have run out since.
"""

from calendar import monthrange
from datetime import date
from typing import Any
from typing import cast as typing_cast

from sqlalchemy import ColumnElement, Date, SmallInteger, and_, case, cast, func, literal, or_, true

from app.clients.classes.measures import Measures
from app.clients.classes.parameters import Suitability
from app.clients.classes.versions import active_parameters
from app.clients.models import Client
from app.core import clock


def valid_months() -> int:
    """For how many months a risk assessment holds, as the model in force says; at first the market profile's figure."""
    return typing_cast(Suitability, active_parameters("suitability")).valid_months


def newest_lapsed(day: date, months: int) -> date:
    """The newest date of an assessment that does not hold any more on this day; it holds for so many months.

    The same day of the month so long before, or the last day of a shorter month.
    """
    years, month = divmod(day.month - 1 - months, 12)
    year = day.year + years
    if year < date.min.year:
        return date.min
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def expiry(assessed_on: date, months: int) -> date:
    """The first day on which an assessment does not hold any more; one of the last day of February may gain a day."""
    years, month = divmod(assessed_on.month - 1 + months, 12)
    year = assessed_on.year + years
    if year > date.max.year:
        return date.max
    if assessed_on.day <= monthrange(year, month + 1)[1]:
        return date(year, month + 1, assessed_on.day)
    return date(year, month + 2, 1)  # the month is shorter, so it is not December


def highest_risk(parameters: Suitability, today: date) -> ColumnElement[int]:
    """The highest product risk (1-5) that the row's client may be offered, 0 where the assessment is missing or old."""
    levels = [(Client.risk_level == level, getattr(parameters, f"level_{level}")) for level in range(1, 6)]
    lapsed = literal(newest_lapsed(today, parameters.valid_months), Date)
    valid = and_(Client.risk_assessed_on > lapsed, Client.risk_assessed_on <= literal(today, Date))
    return case((valid, case(*levels, else_=0)), else_=cast(0, SmallInteger))


def may_be_offered(
    *,
    product_risk: int,
    private: bool = False,
    term_months: int | None = None,
    product_kind: str | None = None,
    today: date | None = None,
) -> ColumnElement[bool]:
    """For WHERE on client: those to whom a product of this risk (R1-R5) may be offered. Never NULL.

    A private product reaches confirmed qualified investors only. Term and kind count where the model says which
    fields hold what the client accepts; a client of whom that is not known is not suitable. Nobody may waive this.
    """
    parameters = typing_cast(Suitability, active_parameters("suitability"))
    conditions: list[ColumnElement[bool]] = [highest_risk(parameters, today or clock.today()) >= product_risk]
    if private:
        conditions.append(Client.qualified_investor.is_(True))
    measures = Measures()
    if term_months is not None and parameters.term_from is not None:
        conditions.append(measures.amount(parameters.term_from) >= term_months)
    if product_kind is not None and parameters.kinds_from is not None:
        accepted: Any = measures.list_column(parameters.kinds_from)
        conditions.append(func.coalesce(accepted.contains([product_kind]), False))
    return and_(true(), *conditions)


def needs_second_check(*, product_risk: int, today: date | None = None) -> ColumnElement[bool]:
    """For WHERE on client: whom a second person must check before this product is offered. Never NULL.

    Clients from the age limit on, and those whose age is not known, for products of the higher risks.
    """
    parameters = typing_cast(Suitability, active_parameters("suitability"))
    if product_risk < parameters.senior_risk:
        return literal(False)
    latest_birth = cast(literal(today or clock.today(), Date) - func.make_interval(parameters.senior_age), Date)
    senior = or_(Client.birth_date.is_(None), Client.birth_date <= latest_birth)
    return and_(Client.kind == "person", senior)
