"""What becomes of contact tasks and results when one record of a client is merged into another."""

from sqlalchemy import update

from app.advising.models import AdviserTask, ContactResult
from app.core.extensions import db


def join_tasks(loser_id: int, survivor_id: int) -> int:
    """Tasks go over as they are: each belongs to its own message, and the card merges them. Returns how many."""
    return _join(AdviserTask, loser_id, survivor_id)


def join_results(loser_id: int, survivor_id: int) -> int:
    """Contact results go over as they are. Returns how many."""
    return _join(ContactResult, loser_id, survivor_id)


def _join(table: type[AdviserTask] | type[ContactResult], loser_id: int, survivor_id: int) -> int:
    moved = db.session.execute(
        update(table)
        .where(table.client_id == loser_id)
        .values(client_id=survivor_id)
        .returning(table.id)
        .execution_options(synchronize_session=False)
    )
    return len(moved.all())
