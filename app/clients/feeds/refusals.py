"""The file of refused rows of a run."""

from collections.abc import Iterator

from sqlalchemy import select

from app.clients.feeds.models import FeedRefusal, FeedRun
from app.clients.importing.refusals import lines_of


def refusal_lines(run: FeedRun) -> Iterator[str]:
    """Lines of CSV: row number, reason, then the file's own columns; formulas neutralised. Streamed."""
    refusals = select(FeedRefusal.row_number, FeedRefusal.reason, FeedRefusal.cells)
    return lines_of(run.columns or [], refusals.where(FeedRefusal.run_id == run.id).order_by(FeedRefusal.row_number))
