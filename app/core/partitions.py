"""Monthly partitions of tables that grow with time, made when they are needed."""

from collections.abc import Iterable
from datetime import date

from sqlalchemy import ARRAY, Date, bindparam, text

from app.core.extensions import db

_MISSING_MONTHS = text(
    """
    SELECT to_char(month, 'YYYYMM') AS name, month::date AS first, (month + interval '1 month')::date AS next
    FROM (SELECT DISTINCT date_trunc('month', day::timestamp) AS month FROM unnest(:days) AS day) AS wanted
    WHERE to_regclass(:table || '_' || to_char(month, 'YYYYMM')) IS NULL
    ORDER BY month
    """
).bindparams(bindparam("days", type_=ARRAY(Date)))


def ensure_months(table: str, first: date, last: date) -> list[str]:
    """Make the partitions of a table (partitioned by a date) from the month of `first` to that of `last`.

    In the current transaction; returns the names of those made. See `ensure_months_of` for scattered dates.
    """
    months = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    return ensure_months_of(table, (date(month // 12, month % 12 + 1, 1) for month in months))


def ensure_months_of(table: str, days: Iterable[date]) -> list[str]:
    """Make the partitions for the months of these days, and no others.

    Attached rather than created in place, which would lock out readers. `table` is a name of ours, never input.
    In the current transaction; returns the names of those made.
    """
    wanted = {"table": table, "days": sorted({day.replace(day=1) for day in days})}
    if not db.session.execute(_MISSING_MONTHS, wanted).first():
        return []
    db.session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"months {table}"})
    made = []
    for month in db.session.execute(_MISSING_MONTHS, wanted).all():
        name = f"{table}_{month.name}"
        db.session.execute(text(f'CREATE TABLE {name} (LIKE "{table}" INCLUDING DEFAULTS INCLUDING CONSTRAINTS)'))
        db.session.execute(
            text(
                f"ALTER TABLE \"{table}\" ATTACH PARTITION {name} FOR VALUES FROM ('{month.first}') TO ('{month.next}')"
            )
        )
        made.append(name)
    return made
