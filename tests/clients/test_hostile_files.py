"""Files made to break things: each gets a sentence, and nothing of it is half-written."""

import csv
import io
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from flask import Flask
from sqlalchemy import func, select

from app.clients.importing import service as importing
from app.clients.importing import workbooks
from app.clients.importing.limits import MAX_BYTES, FileTooLarge
from app.clients.importing.reading import NotATable, RowProblem, column_names, data_rows, detect
from app.clients.importing.refusals import refusal_lines
from app.clients.importing.text_rows import MAX_LINE
from app.clients.models import Client, ClientImport, CustomField
from app.clients.switching.service import receive_export
from app.core.extensions import db
from app.core.files import StoredFile
from app.core.jobs import run_job
from app.core.unit_of_work import unit_of_work
from app.wiring import MAX_UPLOAD_BYTES

GOOD = "".join(f"{number},c{number}@example.com\n" for number in range(1, 300))


def read(data: bytes) -> list[list[str] | RowProblem]:
    stream = io.BytesIO(data)
    dialect = detect(stream)
    return list(data_rows(stream, dialect, width=len(column_names(stream, dialect))))


def refusal_of(data: bytes) -> str:
    with pytest.raises(NotATable) as refusal:
        read(data)
    return str(refusal.value)


def problems(rows: list[list[str] | RowProblem]) -> dict[int, str]:
    return {number: str(row.message) for number, row in enumerate(rows, start=1) if isinstance(row, RowProblem)}


def test_two_gigabytes_are_refused_by_size_before_anything_is_stored(app: Flask, tmp_path: Path) -> None:
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.write(b"number,email\n" + GOOD.encode())
        file.truncate(2 << 30)  # sparse: takes no room on the disk
    for receive in (
        lambda stream: importing.receive_file(stream=stream, name="huge.csv", actor=None),
        lambda stream: receive_export(stream=stream, name="huge.csv", product=None, actor=None),
    ):
        with path.open("rb") as stream, pytest.raises(FileTooLarge) as refusal, unit_of_work():
            receive(stream)
        assert "500 MB" in str(refusal.value)
    assert db.session.scalar(select(func.count(StoredFile.id))) == 0


def test_the_page_and_the_command_have_the_same_limit() -> None:
    assert MAX_BYTES == MAX_UPLOAD_BYTES


def test_the_page_refuses_a_request_that_says_how_large_it_is(app: Flask) -> None:
    answer = app.test_client().post(
        "/client-imports/new", environ_overrides={"CONTENT_LENGTH": str(2 << 30)}, content_type="multipart/form-data"
    )
    assert answer.status_code in (302, 413)  # signed out it is not even read


# ---- One endless line, too many columns -----------------------------------------------------------------------------


class Endless(io.RawIOBase):
    """A stream that makes its bytes when they are read: `start`, then the letter x, `size` in all."""

    def __init__(self, start: bytes, size: int) -> None:
        self._start, self._size, self._at, self.read_so_far = start, size, 0, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), self._size - self._at)
        head = self._start[self._at : self._at + count]
        buffer[:count] = head + b"x" * (count - len(head))
        self._at += count
        self.read_so_far += count
        return count


def test_a_gigabyte_in_one_line_is_refused_from_its_first_bytes() -> None:
    raw = Endless(b"number,email", 1 << 30)
    with pytest.raises(NotATable) as refusal:
        detect(io.BufferedReader(raw))
    assert "one endless line" in str(refusal.value)
    assert raw.read_so_far < 1 << 20


def test_an_endless_line_among_good_ones_costs_its_row_only() -> None:
    text = f"number,email\n{GOOD}900,{'x' * (3 * MAX_LINE)}\n901,z@example.com\n"
    rows = read(text.encode())
    assert problems(rows) == {300: "This line is longer than a million signs."}
    assert rows[-1] == ["901", "z@example.com"]
    last = read(f"number,email\n{GOOD}900,{'x' * (3 * MAX_LINE)}".encode())
    assert problems(last) == {300: "This line is longer than a million signs."}


def test_an_endless_cell_costs_its_row_only() -> None:
    rows = read(f"number,email\n{GOOD}900,{'x' * 200_000}\n901,z@example.com\n".encode())
    assert problems(rows) == {300: "A cell of this row is longer than 131,072 signs."}
    assert rows[-1] == ["901", "z@example.com"]


@pytest.mark.parametrize("name", ["c", "a long name for a column "])
def test_a_hundred_thousand_columns_are_refused(name: str) -> None:
    header = ",".join(f"{name}{number}" for number in range(100_000))
    row = ",".join("1" for _number in range(100_000))
    assert "more than 500 columns" in refusal_of(f"{header}\n{row}\n{row}\n".encode())


# ---- Encodings, signs that are no text ------------------------------------------------------------------------------


def test_bytes_of_another_encoding_cost_their_rows_only() -> None:
    data = b"\xef\xbb\xbfnumber,name\n" + b"1,A\n" * 50 + b"2,Jos\xe9\n" + b"3,B\n"
    rows = read(data)
    assert problems(rows) == {51: "The row holds signs that are not text."}
    assert rows[51] == ["3", "B"]


def test_rows_with_nul_are_refused_and_leave_none_behind() -> None:
    rows = read(b"number,name\n" + b"1,A long enough name\n" * 20_000 + b"2,B\x00C\n3,D\n")
    found = problems(rows)
    assert found == {20_001: "The row holds signs that are not text."}
    bad = rows[20_000]
    assert isinstance(bad, RowProblem)
    assert bad.cells == ["2", "BC"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x7fELF\x02\x01\x01\x00" + bytes(200), "program"),
        (b"MZ\x90\x00\x03\x00" + bytes(200), "program"),
        (b"number,name\x00\n" * 50, "not text"),
        (b"", "empty"),
        (b"number,name\n", "no rows"),
        (b"\xff\xfen\x00u\x00", "no rows"),
    ],
)
def test_what_is_no_table_says_so(data: bytes, words: str) -> None:
    assert words in refusal_of(data)


def test_a_folder_is_not_a_file(app: Flask, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text("{}")
    answer = app.test_cli_runner().invoke(
        args=["clients", "import", str(tmp_path), "--mapping", str(tmp_path / "m.json")]
    )
    assert answer.exit_code == 2
    assert "is a directory" in answer.output


# ---- A shape that changes mid-way -----------------------------------------------------------------------------------


def test_a_file_that_changes_its_shape_loses_the_changed_rows_only() -> None:
    text = f"number,email\n{GOOD}number,email\n400;d@example.com\n401,e@example.com,extra\n402\n403,f@example.com\n"
    rows = read(text.encode())
    assert problems(rows) == {
        300: "The row repeats the names of the columns.",
        301: "The row has 1 cells, but there are 2 columns.",
        302: "The row has 3 cells, but there are 2 columns.",
        303: "The row has 1 cells, but there are 2 columns.",
    }
    assert rows[-1] == ["403", "f@example.com"]


def test_a_file_of_bad_rows_alone_writes_nobody(app: Flask) -> None:
    text = "number,email\n" + "".join(f"{number},nobody\n" for number in range(4))
    with unit_of_work():
        client_import = importing.receive_file(stream=io.BytesIO(text.encode()), name="a.csv", actor=None)
        job = importing.start_import(
            client_import=client_import,
            mapping={"columns": {"number": {"column": "number"}, "email": {"column": "email"}}},
            actor=None,
            in_worker=False,
        )
    run_job(job.id)
    db.session.expire_all()
    assert (client_import.state, client_import.created, client_import.refused) == ("done", 0, 4)
    assert db.session.scalar(select(func.count(Client.id))) == 0


def test_formulas_stay_words_and_are_harmless_in_what_is_downloaded(app: Flask) -> None:
    out = io.StringIO()
    rows = [["number", "name", "email"], ["1", "=1+1", "a@example.com"], ["2", '@SUM("x")', "=cmd|' /C calc'!A0"]]
    csv.writer(out).writerows(rows)
    with unit_of_work():
        client_import = importing.receive_file(stream=io.BytesIO(out.getvalue().encode()), name="f.csv", actor=None)
        columns = {name: {"column": name} for name in rows[0]}
        job = importing.start_import(
            client_import=client_import, mapping={"columns": columns}, actor=None, in_worker=False
        )
    run_job(job.id)
    db.session.expire_all()
    assert db.session.scalars(select(Client.name)).all() == ["=1+1"]
    refused = list(csv.reader(refusal_lines(db.session.get_one(ClientImport, client_import.id))))
    assert refused[1][-2:] == ['\'@SUM("x")', "'=cm****A0"]


# ---- Workbooks ------------------------------------------------------------------------------------------------------

SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}</sheetData></worksheet>'
)


def workbook(rows: list[list[object]]) -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as book:
        sheet = book.add_worksheet("Clients")
        for position, row in enumerate(rows):
            sheet.write_row(position, 0, row)
    return out.getvalue()


def with_entry(book: bytes, name: str, content: bytes) -> bytes:
    """The workbook with one of its entries replaced or added."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            if entry.filename != name:
                new.writestr(entry.filename, old.read(entry))
        new.writestr(name, content)
    return out.getvalue()


BOOK = workbook([["number", "name"], [1, "A"], [2, "B"]])
FIRST_SHEET = "xl/worksheets/sheet1.xml"


def bombs() -> Iterator[tuple[str, bytes]]:
    yield "unpacks a hundredfold", with_entry(BOOK, "xl/media/image1.bin", bytes(30 << 20))
    corners = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    yield "two cells far apart", with_entry(BOOK, FIRST_SHEET, SHEET.format(corners).encode())
    loose = f'<row r="1">{"<c><v>1</v></c>" * 2_000}</row><row r="1048576"><c><v>1</v></c></row>'
    yield "cells without an address", with_entry(BOOK, FIRST_SHEET, SHEET.format(loose).encode())
    hidden = with_entry(BOOK, "xl/other.xml", SHEET.format(corners).encode())
    yield "a sheet under another name", hidden
    beyond = '<row r="1"><c r="A1"><v>1</v></c></row><row r="9999999999"><c r="ZZZZZZ9999999999"><v>1</v></c></row>'
    yield "cells beyond any sheet", with_entry(BOOK, FIRST_SHEET, SHEET.format(beyond).encode())


@pytest.mark.parametrize(("kind", "data"), list(bombs()), ids=[kind for kind, _data in bombs()])
def test_a_bomb_posing_as_a_workbook_is_never_opened(kind: str, data: bytes) -> None:
    assert len(data) < 1 << 20, kind
    words = refusal_of(data)
    assert "too large to open" in words or "cannot be opened" in words


def test_a_workbook_of_thousands_of_entries_is_refused() -> None:
    out = io.BytesIO(BOOK)
    with zipfile.ZipFile(out, "a") as book:
        for number in range(workbooks.MAX_ENTRIES):
            book.writestr(f"xl/media/{number}", b"")
    assert "too large to open" in refusal_of(out.getvalue())


def test_a_workbook_that_lies_about_its_size_is_refused() -> None:
    data = bytearray(with_entry(BOOK, FIRST_SHEET, SHEET.format("").encode() + b" " * (1 << 20)))
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = data.rfind(signature)
        data[at + offset : at + offset + 4] = (100).to_bytes(4, "little")
    assert "cannot be opened" in refusal_of(bytes(data))


def test_an_entity_that_multiplies_itself_is_left_as_it_is() -> None:
    lines = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    text = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "ha">{lines}]>' + SHEET.format(
        '<row r="1"><c r="A1" t="inlineStr"><is><t>number</t></is></c></row>'
        '<row r="2"><c r="A2" t="inlineStr"><is><t>&e11;</t></is></c></row>'
    )
    try:
        rows = read(with_entry(BOOK, FIRST_SHEET, text.encode()))
    except NotATable:
        return
    assert all(sys.getsizeof(cell) < 10_000 for row in rows if not isinstance(row, RowProblem) for cell in row)


@pytest.mark.parametrize("inside", ["xl/workbook.bin", "content.xml", "word/document.xml", "inner.zip"])
def test_an_archive_of_another_kind_is_not_opened(inside: str) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(inside, b"PK\x03\x04 nothing")
    assert "archive without a workbook" in refusal_of(out.getvalue())


def test_formulas_of_a_workbook_are_their_words(app: Flask) -> None:
    rows = read(workbook([["number", "name"], ["1", "'=1+1"], ["2", "@x"]]))
    assert rows == [["1", "'=1+1"], ["2", "@x"]]
    assert db.session.scalar(select(func.count(CustomField.id))) == 0
