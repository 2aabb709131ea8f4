"""The rows of an Excel workbook, and what a workbook must not do to the machine that opens it.

A workbook is a ZIP of XML and is read as a whole, so it is measured before: nothing in it is believed, every entry is
inflated once with a bound, and the cells' own addresses are looked at. An archive of a few kilobytes can claim
gigabytes (a "zip bomb"), and a sheet with two cells at opposite corners becomes a table of seventeen billion.
Source of the limits of a sheet: ECMA-376, and "Excel specifications and limits" at support.microsoft.com.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any, BinaryIO

from flask_babel import lazy_gettext as _l
from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError

from app.core.errors import AppError

MAX_UNPACKED = 400 << 20  # bytes of all entries together
MAX_RATIO = 200  # unpacked to packed; office programs reach 10 to 50
RATIO_COUNTS_FROM = 20 << 20  # bytes: a small sheet of equal cells is no bomb
MAX_ENTRIES = 5_000
MAX_CELLS = 10_000_000  # of the rectangle that a sheet's filled cells span
_MAX_ROWS, _MAX_COLUMNS = 1_048_576, 16_384
_PIECE = 1 << 18
_OVERLAP = 200  # bytes of a piece looked at again, so that an address is never cut

ZIP_MAGIC, OLD_OFFICE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"


class NotATable(AppError):
    message = _l("This file holds no table. Please choose a CSV, TSV or Excel file whose first row names the columns.")


_BAD_WORKBOOK = _l("This workbook cannot be opened. Please save it again as .xlsx or as CSV.")
_PROTECTED = _l("This workbook is protected by a password. Please save it without one.")
_HUGE_WORKBOOK = _l("This workbook is too large to open. Please save it as CSV.")
_ZIP = _l("This is an archive without a workbook in it. Please unpack it and choose the table inside.")
_ADDRESS = re.compile(rb"""<(?:\w+:)?(?:c|row)\s(?:[^<>]*?\s)?r=["']([A-Z]{0,8}[0-9]{1,10})["']""")
_ROW, _CELL = re.compile(rb"<(?:\w+:)?row[\s>]"), re.compile(rb"<(?:\w+:)?c[\s>]")


def open_workbook(stream: BinaryIO) -> CalamineWorkbook:
    """The workbook in a stream. Raises NotATable with a sentence where it is none, or one that must not be opened."""
    stream.seek(0)
    if stream.read(4) == ZIP_MAGIC:
        _measure(stream)
    stream.seek(0)
    try:
        return CalamineWorkbook.from_filelike(stream)
    except PasswordError as error:
        raise NotATable(_PROTECTED) from error
    except CalamineError as error:
        raise NotATable(_BAD_WORKBOOK) from error


def _measure(stream: BinaryIO) -> None:
    stream.seek(0)
    try:
        with zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
            if len(entries) > MAX_ENTRIES:
                raise NotATable(_HUGE_WORKBOOK)
            if "xl/workbook.xml" not in {entry.filename for entry in entries}:
                raise NotATable(_ZIP)
            unpacked = sum(entry.file_size for entry in entries)
            packed = sum(entry.compress_size for entry in entries)
            if unpacked > MAX_UNPACKED or (unpacked > RATIO_COUNTS_FROM and unpacked > MAX_RATIO * packed):
                raise NotATable(_HUGE_WORKBOOK)
            for entry in entries:
                _measure_entry(archive, entry)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError) as error:
        raise NotATable(_BAD_WORKBOOK) from error


def _measure_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Inflate an entry as far as it said it goes, which its checksum then proves; measure it as a sheet.

    Any entry may be a sheet: the workbook names them. Those that are none have no cells.
    """
    area = _Area()
    with archive.open(entry) as content:
        before = b""
        while piece := content.read(_PIECE):
            area.grow(before, piece)
            before = piece[-_OVERLAP:]
    if area.right > _MAX_COLUMNS or area.bottom > _MAX_ROWS:
        raise NotATable(_BAD_WORKBOOK)
    if area.cells > MAX_CELLS:
        raise NotATable(_HUGE_WORKBOOK)


class _Area:
    """The rectangle that the cells of a sheet span, as far as it has been read."""

    def __init__(self) -> None:
        self.left, self.top, self.right, self.bottom = _MAX_COLUMNS, _MAX_ROWS, 0, 0
        self._row_tags = self._cell_tags = self._placed = 0

    def grow(self, before: bytes, piece: bytes) -> None:
        self._row_tags += len(_ROW.findall(piece))
        self._cell_tags += len(_CELL.findall(piece))
        for address in _ADDRESS.findall(before + piece):
            column, row = _place(address)
            self._placed += column > 0
            self.right, self.bottom = max(self.right, column), max(self.bottom, row)
            self.left, self.top = min(self.left, column or self.left), min(self.top, row or self.top)

    @property
    def cells(self) -> int:
        height = max(0, self.bottom - self.top + 1)
        width = max(0, self.right - self.left + 1)
        # Cells may come without an address, one after the other: far apart rows make a rectangle of them too.
        unplaced = self._cell_tags - self._placed
        if unplaced > 0 and height > 20 * self._row_tags + 1_000:
            width = max(width, min(unplaced, _MAX_COLUMNS))
        return height * width


def _place(address: bytes) -> tuple[int, int]:
    """ "B7" is (2, 7); a row's own "7" is (0, 7)."""
    letters = address.rstrip(b"0123456789")
    column = 0
    for letter in letters:
        column = column * 26 + letter - 64
    return column, int(address[len(letters) :])


def open_sheet(workbook: CalamineWorkbook, name: str) -> CalamineSheet:
    """A sheet of the workbook; it is read only now. Raises NotATable where it is broken."""
    try:
        return workbook.get_sheet_by_name(name)
    except CalamineError as error:
        raise NotATable(_BAD_WORKBOOK) from error


def sheet_rows(sheet: CalamineSheet) -> Iterator[list[str]]:
    """The rows that hold something, in the words a text file would use."""
    for row in sheet.iter_rows():
        cells = [_cell_text(cell) for cell in row]
        if any(cells):
            yield cells


def _cell_text(cell: Any) -> str:
    if isinstance(cell, str):
        return cell.replace("\x00", "")
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time.min else cell.isoformat(sep=" ")
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell) if isinstance(cell, int | timedelta) else ""
