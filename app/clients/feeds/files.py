"""The file of a feed: looked at as a whole before anything of it is used, then streamed row by row.

A file is taken whole or not at all, so whatever says that it is not what it seems (another encoding, a cut end, columns
that change half-way) ends the run with a sentence that names the place.
"""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.clients.feeds.converting import missing_columns
from app.clients.feeds.definitions import Definition
from app.clients.importing.mapping import fold
from app.clients.importing.reading import Dialect, RowProblem, column_names, data_rows, detect
from app.core.errors import AppError

MAX_BYTES = 2 << 30
_PIECE = 1 << 20
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class BrokenFile(AppError):
    message = _l("This file cannot be loaded.")


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the bytes of a file say. `ends_with_line_end` is None for a workbook; `lines` is 0 there."""

    sha256: str
    workbook: bool
    encoding: str
    ends_with_line_end: bool | None
    lines: int


def inspect(stream: BinaryIO, *, encoding: str | None) -> Inspection:
    """Read the whole file once: its hash, and whether all of it is text in the encoding that the feed expects.

    Without an encoding of the feed's own that is UTF-8; a byte order mark overrules both. Raises BrokenFile.
    """
    stream.seek(0)
    start = stream.read(4)
    stream.seek(0)
    digest = sha256()
    if start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        while piece := stream.read(_PIECE):
            digest.update(piece)
        return Inspection(digest.hexdigest(), True, "utf-8", None, 0)
    name = next((found for mark, found in _MARKS if start.startswith(mark)), encoding or "utf-8")
    decoder = codecs.getincrementaldecoder(name)()
    lines, last = 0, ""
    while piece := stream.read(_PIECE):
        digest.update(piece)
        try:
            text = decoder.decode(piece)
        except UnicodeDecodeError as error:
            # What was kept back of the piece before counts as read; its line ends were counted then.
            good = piece[: max(0, error.start)].decode(name, errors="ignore")
            raise _undecodable(lines + good.count("\n") + 1, name) from error
        lines += text.count("\n")
        last = text[-1:] or last
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _undecodable(lines + 1, name) from error
    return Inspection(digest.hexdigest(), False, name, last in ("\n", "\r"), lines + (last not in ("\n", "")))


def _undecodable(line: int, encoding: str) -> BrokenFile:
    return BrokenFile(
        _(
            "Line %(line)s of the file is not text in the encoding %(encoding)s, which the feed expects. "
            "Nothing was loaded.",
            line=line,
            encoding=encoding.removesuffix("-sig").upper(),
        )
    )


class FeedFile:
    """An inspected file whose columns fit the definition. Rows are numbered from 1 below the header."""

    def __init__(self, stream: BinaryIO, inspection: Inspection, definition: Definition) -> None:
        self._stream = stream
        dialect: Dialect = detect(stream)
        if not inspection.workbook:
            dialect["encoding"] = inspection.encoding
        self._dialect = dialect
        self.columns = column_names(stream, dialect)
        missing_columns(definition, self.columns)
        self._names = {fold(name) for name in self.columns} - {""}
        self._first_words = {name.casefold() for name in self.columns}

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """The rows. Raises BrokenFile at the row from which the file has another shape, or is not a table any more."""
        width, first_words = len(self.columns), self._first_words
        for number, row in enumerate(data_rows(self._stream, self._dialect, width=width), start=1):
            if isinstance(row, RowProblem):
                self.refuse_header(number, row.cells)
                raise self._another_shape(number, row)
            if row[0].casefold() in first_words:
                self.refuse_header(number, row)
            yield number, row

    def refuse_header(self, number: int, row: list[str]) -> None:
        """Raise BrokenFile where most cells of the row are names of columns."""
        filled = [fold(cell) for cell in row if cell.strip()]
        if sum(cell in self._names for cell in filled) * 2 > len(filled):
            raise BrokenFile(
                _("Row %(row)s holds column names again: the file changes half-way. Nothing was loaded.", row=number)
            )

    @staticmethod
    def _another_shape(number: int, problem: RowProblem) -> BrokenFile:
        return BrokenFile(
            _(
                "Row %(row)s: %(problem)s The file changes its shape there or is cut off. Nothing was loaded.",
                row=number,
                problem=str(problem.message),
            )
        )


def refuse_cut_end(inspection: Inspection) -> None:
    """Raise BrokenFile where the last line has no end, though those of the feed's files always had one."""
    if inspection.ends_with_line_end is False:
        raise BrokenFile(
            _(
                "The last line (%(line)s) has no line end, unlike the files before: the file seems to be cut off. "
                "Nothing was loaded.",
                line=inspection.lines,
            )
        )
