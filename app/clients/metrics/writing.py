# ruff: noqa: S608 - made of names of ours; nothing comes from outside
"""Writing computed metrics: the whole table anew, or some rows of it."""

from datetime import date

from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.clients.metrics.computing import CHOSEN, book_start, metrics_query
from app.clients.metrics.models import ClientMetrics
from app.core.errors import Retryable
from app.core.extensions import db

TABLE = ClientMetrics.__tablename__
NEXT = f"{TABLE}_next"
COLUMNS = [column.name for column in ClientMetrics.__table__.columns][:-1]  # the last is `computed_at`
LOCK_ATTEMPTS = 30
LOCK_SECONDS = 2

_GRANTS = text(
    """
    SELECT format('GRANT %s ON %I TO %s', privilege_type, CAST(:next AS text),
                  CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
    FROM pg_class, aclexplode(relacl) WHERE oid = CAST(:table AS regclass) AND grantee <> relowner
    """
)


class MetricsInUse(Retryable):
    """The table was read without a pause for longer than the swap may wait."""


def write_all(as_of: date) -> int:
    """Fill a fresh table and put it in the place of the old one; returns its rows.

    Readers see the old rows until the commit and the new ones after it, and wait for neither the computing nor the
    writing: the lock is taken for the renaming at the end only, in short attempts, so that no queue forms behind it.
    """
    # Not INSERT: only a query that makes its table may use several workers.
    made = db.session.execute(text(f"CREATE TABLE {NEXT} AS {_query(as_of, chosen=False)}"))
    not_null = ", ".join(f"ALTER {name} SET NOT NULL" for name in ("as_of", "computed_at"))
    db.session.execute(
        text(
            f"ALTER TABLE {NEXT} ADD CONSTRAINT {NEXT}_pkey PRIMARY KEY (client_id), {not_null}, "
            "ALTER computed_at SET DEFAULT now()"
        )
    )
    db.session.execute(text(f"ANALYZE {NEXT}"))
    for grant in db.session.scalars(_GRANTS, {"table": TABLE, "next": NEXT}).all():
        db.session.execute(text(grant))
    _lock()
    for statement in (
        f"DROP TABLE {TABLE}",
        f"ALTER TABLE {NEXT} RENAME TO {TABLE}",
        f"ALTER INDEX {NEXT}_pkey RENAME TO pk_{TABLE}",
    ):
        db.session.execute(text(statement))
    return made.rowcount  # type: ignore[attr-defined,no-any-return]


def write_chosen(as_of: date) -> int:
    """Replace the rows of the clients in the temporary table CHOSEN; returns how many."""
    db.session.execute(text(f"DELETE FROM {TABLE} WHERE client_id IN (SELECT client_id FROM {CHOSEN})"))
    written = db.session.execute(text(f"INSERT INTO {TABLE} {_query(as_of, chosen=True)}"))
    return written.rowcount  # type: ignore[attr-defined,no-any-return]


def bring_total_assets(as_of: date, *, chosen: bool) -> int:
    """Copy total assets to the client rows that say otherwise; returns how many did.

    A client with balances of later days is left alone: whoever loaded them has brought the newer figure.
    """
    only = f"AND client.id IN (SELECT client_id FROM {CHOSEN})" if chosen else ""
    updated = db.session.execute(
        text(
            f"""
            UPDATE client SET total_assets = metrics.total_assets FROM {TABLE} AS metrics
            WHERE metrics.client_id = client.id AND client.total_assets IS DISTINCT FROM metrics.total_assets {only}
                AND NOT EXISTS (SELECT FROM balance WHERE client_id = client.id AND on_date > DATE '{as_of}')
            """
        )
    )
    return updated.rowcount  # type: ignore[attr-defined,no-any-return]


def _query(as_of: date, *, chosen: bool) -> str:
    query = metrics_query(as_of, book_start=book_start(), chosen=chosen)
    return f"SELECT {', '.join(COLUMNS)}, now() AS computed_at FROM ({query}) AS metrics"


def _lock() -> None:
    for attempt in range(LOCK_ATTEMPTS):
        try:
            with db.session.begin_nested():
                db.session.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
                db.session.execute(text(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE"))
        except OperationalError as error:
            if attempt + 1 == LOCK_ATTEMPTS:
                raise MetricsInUse from error
        else:
            return
