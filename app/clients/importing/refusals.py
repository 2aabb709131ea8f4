"""Refused rows: the row as it came, with what must not be seen masked, and why it was not taken."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from flask_babel import gettext as _
from sqlalchemy import Select, select

from app.clients.importing.row_masks import RowMask, mask_of_import
from app.clients.models import ClientImport, ImportRefusal
from app.core.extensions import db
from app.core.spreadsheets import neutralise


class Refused(Protocol):
    """A refused row as it is stored."""

    row_number: Any
    reason: Any
    cells: Any


class ShownRefusal(NamedTuple):
    """A refused row as people see it."""

    row_number: int
    reason: str
    cells: list[str]


def refusal_lines(client_import: ClientImport) -> Iterator[str]:
    """Lines of CSV: row number, reason, then the file's own columns; masked, formulas neutralised. Streamed."""
    refusals = select(ImportRefusal.row_number, ImportRefusal.reason, ImportRefusal.cells)
    return lines_of(
        client_import.columns,
        refusals.where(ImportRefusal.import_id == client_import.id).order_by(ImportRefusal.row_number),
        mask_of_import(client_import),
    )


def lines_of(columns: Sequence[str], refusals: Select[int, str, list[Any]], mask: RowMask) -> Iterator[str]:
    """The same for any refusals: (row number, reason, cells) under the columns of their file."""
    yield _line([_("Row"), _("Reason"), *columns])
    for refusal in shown_refusals(db.session.execute(refusals.execution_options(yield_per=1000)), mask):
        yield _line([refusal.row_number, refusal.reason, *refusal.cells])


def shown_refusals(refusals: Iterable[Refused], mask: RowMask) -> Iterator[ShownRefusal]:
    """Refused rows as people see them, in the order given."""
    for refusal in refusals:
        reason = mask.reason(refusal.reason, refusal.cells)
        yield ShownRefusal(refusal.row_number, reason, mask.cells(refusal.cells))


def _line(cells: list[Any]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([neutralise(cell) for cell in cells])
    return out.getvalue()
