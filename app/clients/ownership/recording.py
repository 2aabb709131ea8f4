"""The history of ownership, written set-based whenever who looks after clients changes, by whatever way."""

from typing import Any

from sqlalchemy import BigInteger, Select, Text, Update, func, insert, literal, select, update

from app.clients.models import Client
from app.clients.ownership.models import CREDIT, OWNER, Ownership
from app.core.extensions import Timestamp, db

_NOT_YET, _NOBODY, _NO_REASON = literal(None, Timestamp), literal(None, BigInteger), literal(None, Text)


def record_ownership_changes(
    *, changes: Select[*tuple[Any, ...]], role: str = OWNER, actor_id: int | None, reason: str | None
) -> int:
    """Write the history of `changes`, rows of (client_id, was, becomes) with ids of staff or NULL. Returns how many.

    One statement: the present stretch of each client ends, the next one begins. `changes` may itself be the statement
    that changes the clients (an UPDATE ... RETURNING as a CTE), or a SELECT of what is about to be changed. Rows whose
    `was` equals `becomes` must not be among them.
    """
    change, by, because = changes.cte("change"), literal(actor_id, BigInteger), literal(reason, Text)
    closed = _ended(change, role).returning(Ownership.client_id).cte("closed")
    was_written = select(literal(1)).where(closed.c.client_id == change.c.client_id).exists()
    # Reading `closed` makes PostgreSQL end the former stretch before the next one begins.
    begins = _insert(
        select(change.c.client_id, change.c.becomes, literal(role), func.now(), _NOT_YET, by, because)
        .select_from(change.outerjoin(closed, closed.c.client_id == change.c.client_id))
        .where(change.c.becomes.is_not(None))
    )
    statement = select(func.count()).select_from(change).add_cte(closed, begins.cte("begins"))
    if role != CREDIT:  # an owner whom nobody had changed has no stretch yet: see `Ownership`
        first = _insert(
            select(change.c.client_id, change.c.was, literal(role), Client.created_at, func.now(), _NOBODY, _NO_REASON)
            .join_from(change, Client, Client.id == change.c.client_id)
            .where(change.c.was.is_not(None), ~was_written)
        )
        statement = statement.add_cte(first.cte("first_stretch"))
    return int(db.session.scalar(statement) or 0)


def _ended(change: Any, role: str) -> Update:
    return (
        update(Ownership)
        .where(Ownership.client_id == change.c.client_id, Ownership.role == role, Ownership.until.is_(None))
        .values(until=func.now())
    )


def _insert(rows: Select[*tuple[Any, ...]]) -> Any:
    columns = ["client_id", "adviser_id", "role", "since", "until", "by_id", "reason"]
    return insert(Ownership).from_select(columns, rows)
