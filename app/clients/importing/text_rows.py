"""The rows of a text file, streamed: in blocks at the speed of the csv module, with care where a block needs it.

However a file is built (one endless line, a quotation mark that is never closed), no more than a few megabytes of it
are in memory at a time.
"""

import csv
import io
import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from flask_babel import lazy_gettext as _l

BLOCK = 1 << 20  # signs read at a time
MAX_LINE = 1 << 20  # signs; nobody's row is longer
# An unclosed quotation mark swallows the lines after it; nobody keeps this many lines in one cell of a client list.
MAX_LINES_PER_ROW = 100
_SHOWN = 200  # signs kept of a line that is too long

_UNCLOSED = _l("A quotation mark is opened in this row and not closed.")
_BAD_QUOTE = _l("A quotation mark stands in the middle of a cell.")
_NOT_TEXT = _l("The row holds signs that are not text.")
_LONG_LINE = _l("This line is longer than a million signs.")
_LONG_CELL = _l("A cell of this row is longer than 131,072 signs.")
# NUL cannot be stored; a lone surrogate stands for a byte that the file's encoding does not have (see `_Text`).
_BAD_SIGN = re.compile("[\x00\ud800-\udfff]")


class RowProblem(Exception):
    """A row that cannot be read; the rows after it can."""

    def __init__(self, message: object, cells: list[str]) -> None:
        super().__init__(message)
        self.message = message
        self.cells = cells


Row = list[str] | RowProblem


class _Text(io.TextIOWrapper):
    """Decodes a stream that outlives it."""

    def close(self) -> None:
        """The stream below belongs to the caller and stays open."""


def row_blocks(stream: BinaryIO, *, encoding: str, delimiter: str, quote: str) -> Iterator[list[Row]]:
    """Blocks of rows from the stream's position on; blank lines are left out."""
    # `detect` tries the encoding on the whole file, but for files with a mark; wrong bytes cost their rows only.
    errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
    text = _Text(stream, encoding=encoding, errors=errors, newline="")
    while block := text.read(BLOCK):
        block += text.readline(MAX_LINE)
        # Half a pair of quotation marks: the last row may go on.
        for _line in range(MAX_LINES_PER_ROW):
            if block.count(quote) % 2 == 0 or len(block) > BLOCK + 2 * MAX_LINE:
                break
            more = text.readline(MAX_LINE)
            if not more:
                break
            block += more
        whole, rest = _without_endless_line(block)
        if whole:
            yield _block_rows(whole, delimiter, quote)
        if rest:
            while rest and not rest.endswith(("\n", "\r")):
                rest = text.readline(MAX_LINE)
            yield [RowProblem(_LONG_LINE, [_clean(block[len(whole) : len(whole) + _SHOWN])])]


def _without_endless_line(block: str) -> tuple[str, str]:
    """The block, and apart from it its last line where that is longer than any row."""
    if len(block) <= MAX_LINE or block.endswith(("\n", "\r")):
        start = max(block.rfind("\n", 0, -1), block.rfind("\r", 0, -1)) + 1
        if block.endswith("\r\n"):
            start = max(block.rfind("\n", 0, -2), block.rfind("\r", 0, -2)) + 1
    else:
        start = max(block.rfind("\n"), block.rfind("\r")) + 1
    return (block[:start], block[start:]) if len(block) - start > MAX_LINE else (block, "")


def _block_rows(text: str, delimiter: str, quote: str) -> list[Row]:
    if (text.isascii() and "\x00" not in text) or not _BAD_SIGN.search(text):
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote, strict=True)
        try:
            rows: list[Row] = list(reader)
        except csv.Error:
            pass
        else:
            if reader.line_num - len(rows) < MAX_LINES_PER_ROW:
                return [row for row in rows if row and row != [""]]
    return list(careful_rows(io.StringIO(text, newline=""), delimiter, quote))


class _Lines:
    """Lines that can be given back: what an unclosed quotation mark swallowed is read again as rows."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._returned: deque[str] = deque()
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.taken) > MAX_LINES_PER_ROW:
            raise csv.Error("too many lines")
        line = self._returned.popleft() if self._returned else next(self._lines)
        self.taken.append(line)
        return line

    def give_back(self) -> str:
        """Keep the first line taken, return the others to be read again."""
        first = self.taken[0] if self.taken else ""
        self._returned.extendleft(reversed(self.taken[1:]))
        self.taken.clear()
        return first


def careful_rows(lines: Iterable[str], delimiter: str, quote: str) -> Iterator[Row]:
    """Rows one by one: a row that cannot be read becomes a RowProblem and takes no other with it."""
    feed = _Lines(lines)
    reader = csv.reader(feed, delimiter=delimiter, quotechar=quote, strict=True)
    while True:
        feed.taken.clear()
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = _reason(error, feed.taken, quote)
            first = _clean(feed.give_back().rstrip("\r\n"))
            reader = csv.reader(feed, delimiter=delimiter, quotechar=quote, strict=True)
            yield RowProblem(reason, first.split(delimiter))
            continue
        if not row or row == [""]:
            continue
        if _BAD_SIGN.search("".join(row)):
            yield RowProblem(_NOT_TEXT, [_clean(cell) for cell in row])
            continue
        yield row


def _reason(error: csv.Error, taken: list[str], quote: str) -> object:
    if "field limit" in str(error):
        return _LONG_CELL
    return _UNCLOSED if len(taken) > 1 or taken[0].count(quote) % 2 == 1 else _BAD_QUOTE


def _clean(text: str) -> str:
    """The words without the signs that could not be stored."""
    return _BAD_SIGN.sub("", text)
