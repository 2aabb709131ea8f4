"""The file of refused rows: the row as it came, and why it was not taken."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import Select, select

from app.clients.models import ClientImport, ImportRefusal
from app.core.extensions import db
from app.core.spreadsheets import neutralise


def refusal_lines(client_import: ClientImport) -> Iterator[str]:
    """Lines of CSV: row number, reason, then the file's own columns; formulas neutralised. Streamed."""
    refusals = select(ImportRefusal.row_number, ImportRefusal.reason, ImportRefusal.cells)
    return lines_of(
        client_import.columns,
        refusals.where(ImportRefusal.import_id == client_import.id).order_by(ImportRefusal.row_number),
    )


def lines_of(columns: Sequence[str], refusals: Select[int, str, list[Any]]) -> Iterator[str]:
    """The same for any refusals: (row number, reason, cells) under the columns of their file."""
    yield _line([_("Row"), _("Reason"), *columns])
    for row_number, reason, cells in db.session.execute(refusals.execution_options(yield_per=1000)):
        yield _line([row_number, reason, *cells])


def _line(cells: list[object]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([neutralise(cell) for cell in cells])
    return out.getvalue()
