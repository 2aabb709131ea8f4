"""Verbs on lead forms."""

from sqlalchemy import update

from app.core.extensions import db
from app.tracking.lead_forms.models import LeadSubmission


def join_submissions(loser_id: int, survivor_id: int) -> int:
    """After a merge: what the one record's client sent in, the other's did. Returns how many."""
    moved = db.session.execute(
        update(LeadSubmission)
        .where(LeadSubmission.client_id == loser_id)
        .values(client_id=survivor_id)
        .execution_options(synchronize_session=False)
    )
    return int(moved.rowcount)  # type: ignore[attr-defined]
