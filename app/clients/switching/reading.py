"""From an export file (CSV, a workbook, or a ZIP of CSV files) to what each of its rows says."""

import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from flask_babel import lazy_gettext as _l

from app.clients.importing.mapping import fold
from app.clients.importing.reading import NotATable, RowProblem, column_names, data_rows, detect
from app.clients.importing.values import BadValue, parse_email, parse_mobile
from app.clients.switching.layouts import OPTED_OUT, Layout, Product
from app.clients.switching.products import find_layout

MAX_FILES = 50
MAX_UNPACKED = 2 << 30  # bytes of all tables of an archive
MAX_RATIO = 200
_PIECE = 1 << 20
_REASON_LENGTH = 500


class UnknownExport(NotATable):
    message = _l(
        "This file does not look like an export of a product we know. "
        "Please choose the product, or export its contacts again."
    )


_BAD_ARCHIVE = _l("This archive cannot be opened. Please export it again, or unpack it and choose the tables inside.")
_HUGE_ARCHIVE = _l("This archive is too large to open. Please unpack it and choose the tables inside one by one.")
_NO_ADDRESS = _l("The row has no address.")
_STRANGE_WORD = _l("The status “%(word)s” is not one we know.")


@dataclass(frozen=True, slots=True)
class Statement:
    """What one row says of an address: OPTED_OUT, BOUNCED or AGREED, since when (None: unknown) and why, in its words.

    The address is as it stands on the suppression list: in lower case, mobiles as E.164.
    """

    channel: str
    address: str
    said: str
    at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class ReadRow:
    """A row of the export, counted from 1 over all its tables. No statements and no problem: it says nothing to us."""

    number: int
    statements: list[Statement]
    problem: str | None


def product_of(stream: BinaryIO, file_name: str, *, product: str | None) -> Product:
    """Whose export this is. Raises NotATable or UnknownExport with a sentence. Every table inside must be known."""
    found: list[Product] = []
    for name, table in _tables(stream, file_name):
        dialect = detect(table)
        match = find_layout(product, [fold(column) for column in column_names(table, dialect)], name)
        if match is None:
            raise UnknownExport
        found.append(match[0])
    if not found:
        raise UnknownExport
    return found[0]


def read_export(
    stream: BinaryIO, file_name: str, *, product: str, everyone_out: bool, region: str | None
) -> Iterator[ReadRow]:
    """The rows of all tables, streamed. With `everyone_out` every address in the file has opted out."""
    number = 0
    for name, table in _tables(stream, file_name):
        dialect = detect(table)
        columns = [fold(column) for column in column_names(table, dialect)]
        match = find_layout(product, columns, name)
        if match is None:
            raise UnknownExport
        reader = _RowReader(match[1], columns, everyone_out=everyone_out, region=region)
        for row in data_rows(table, dialect, width=len(columns)):
            number += 1
            if isinstance(row, RowProblem):
                yield ReadRow(number, [], str(row.message))
            else:
                yield reader.read(number, row)


# ---- Archives -------------------------------------------------------------------------------------------------------


def _tables(stream: BinaryIO, file_name: str) -> Iterator[tuple[str, BinaryIO]]:
    """The tables in the file with their names: the file itself, or the CSV files in an archive."""
    stream.seek(0)
    if stream.read(4) != b"PK\x03\x04" or file_name.lower().endswith((".xlsx", ".xlsm")):
        yield file_name, stream
        return
    try:
        with zipfile.ZipFile(stream) as archive:
            entries = [entry for entry in archive.infolist() if _is_table(entry)]
            if not entries:
                yield file_name, stream  # a workbook under another name, or nothing that `detect` would open
                return
            unpacked = sum(entry.file_size for entry in entries)
            packed = sum(entry.compress_size for entry in entries)
            bomb = unpacked > MAX_RATIO * max(packed, _PIECE)
            if len(entries) > MAX_FILES or unpacked > MAX_UNPACKED or bomb:
                raise NotATable(_HUGE_ARCHIVE)
            for entry in entries:
                with archive.open(entry) as inside:
                    yield PurePosixPath(entry.filename).name, cast(BinaryIO, inside)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise NotATable(_BAD_ARCHIVE) from error


def _is_table(entry: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(entry.filename)
    hidden = path.name.startswith((".", "_")) or path.parts[:1] == ("__MACOSX",)
    return path.suffix.lower() in (".csv", ".tsv", ".txt") and not entry.is_dir() and not hidden


# ---- Rows -----------------------------------------------------------------------------------------------------------


class _RowReader:
    """Reads the rows of one table by its layout."""

    def __init__(self, layout: Layout, columns: list[str], *, everyone_out: bool, region: str | None) -> None:
        self._layout = layout
        self._columns = columns
        self._everyone_out = everyone_out
        self._region = region

    def read(self, number: int, row: list[str]) -> ReadRow:
        layout = self._layout
        said: str | None
        if self._everyone_out:
            said = OPTED_OUT
        else:
            word = fold(self._cell(row, layout.status))
            filled = next((says for column, says in layout.filled if self._cell(row, column)), None)
            if filled is None and layout.status and self._has(layout.status) and word not in layout.words:
                return ReadRow(number, [], str(_STRANGE_WORD) % {"word": self._cell(row, layout.status)[:60]})
            said = filled or (layout.words.get(word) if layout.status else layout.always)
        channel = self._cell(row, layout.channel).lower()
        addresses = [
            (kind, address)
            for column, kind in layout.addresses
            if (not channel or kind == channel) and (address := self._cell(row, column))
        ]
        if said is None or (not addresses and channel and channel not in ("email", "sms")):
            return ReadRow(number, [], None)
        if not addresses:
            return ReadRow(number, [], str(_NO_ADDRESS))
        at = moment(self._cell(row, layout.at.get(said, "")))
        reason = self._cell(row, layout.reason)[:_REASON_LENGTH]
        try:
            statements = [
                Statement(kind, self._address(kind, address), said, at, reason) for kind, address in addresses
            ]
        except BadValue as problem:
            return ReadRow(number, [], str(problem.message) % {"value": problem.text[:60]})
        return ReadRow(number, statements, None)

    def _address(self, channel: str, text: str) -> str:
        try:
            return parse_email(text).lower() if channel == "email" else parse_mobile(text, region=self._region)
        except BadValue as problem:
            problem.text = text
            raise

    def _has(self, names: str) -> bool:
        return any(name in self._columns for name in names.split("|"))

    def _cell(self, row: list[str], names: str) -> str:
        """The first filled cell among the columns of these names."""
        for name in names.split("|") if names else ():
            if name in self._columns:
                text = row[self._columns.index(name)].strip()
                if text:
                    return text
        return ""


_MOMENT = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2}))?)?")
_OFFSET = re.compile(r"[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?\s?([+-])(\d{2}):?(\d{2})")


def moment(text: str) -> datetime | None:
    """`2023-05-01 10:20:30`, with `T`, fractions, `Z`, `UTC` or `+02:00` behind it; a time without a zone is UTC.

    None where it is no time: an opt-out counts whenever it was made.
    """
    match = _MOMENT.match(text)
    if match is None:
        return None
    numbers = [int(part or 0) for part in match.groups()]
    try:
        made = datetime(*numbers[:6], tzinfo=UTC)  # type: ignore[arg-type,misc]
        if offset := _OFFSET.search(text):
            made = datetime.fromisoformat(f"{made:%Y-%m-%dT%H:%M:%S}{offset[1]}{offset[2]}:{offset[3]}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return made if made.year >= 1990 else None
