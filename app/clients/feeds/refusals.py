"""The file of refused rows of a run: the row as it came, and why it was not taken."""

import csv
import io
from collections.abc import Iterator

from flask_babel import gettext as _
from sqlalchemy import select

from app.clients.feeds.models import FeedRefusal, FeedRun
from app.core.extensions import db
from app.core.spreadsheets import neutralise


def refusal_lines(run: FeedRun) -> Iterator[str]:
    """Lines of CSV: row number, reason, then the file's own columns; formulas neutralised. Streamed."""
    yield _line([_("Row"), _("Reason"), *(run.columns or [])])
    refusals = db.session.scalars(
        select(FeedRefusal)
        .where(FeedRefusal.run_id == run.id)
        .order_by(FeedRefusal.row_number)
        .execution_options(yield_per=1000)
    )
    for refusal in refusals:
        yield _line([refusal.row_number, refusal.reason, *refusal.cells])


def _line(cells: list[object]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([neutralise(cell) for cell in cells])
    return out.getvalue()
