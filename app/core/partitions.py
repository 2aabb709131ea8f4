"""Monthly partitions of tables that grow with time, made when they are needed."""

from datetime import date

from sqlalchemy import text

from app.core.extensions import db

_MISSING_MONTHS = text(
    """
    SELECT to_char(month, 'YYYYMM') AS name, month::date AS first, (month + interval '1 month')::date AS next
    FROM generate_series(date_trunc('month', CAST(:first AS timestamp)), CAST(:last AS timestamp), interval '1 month')
        AS month
    WHERE to_regclass(:table || '_' || to_char(month, 'YYYYMM')) IS NULL
    """
)


def ensure_months(table: str, first: date, last: date) -> list[str]:
    """Make the partitions of a table (partitioned by a date) from the month of `first` to that of `last`.

    Attached rather than created in place, which would lock out readers. `table` is a name of ours, never input.
    In the current transaction; returns the names of those made.
    """
    wanted = {"table": table, "first": first, "last": last}
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
