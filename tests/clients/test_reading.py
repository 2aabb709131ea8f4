"""Files as people send them, and files that are no table."""

import csv
import io
import zipfile
from contextlib import suppress
from datetime import date

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from app.clients.importing.reading import NotATable, RowProblem, column_names, data_rows, detect

ROWS = [["客户号", "姓名", "城市"]] + [
    [str(i), f"王小{'明红强'[i % 3]}", "上海" if i % 2 else "北京"] for i in range(1, 40)
]
WESTERN = [["number", "name", "city"]] + [[str(i), f"Jos\u00e9 M\u00fcller {i}", "Z\u00fcrich"] for i in range(1, 40)]


def as_text(rows: list[list[str]], *, delimiter: str = ",", quoting: int = csv.QUOTE_MINIMAL, quote: str = '"') -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quoting=quoting, quotechar=quote, lineterminator="\r\n").writerows(rows)  # type: ignore[arg-type]
    return out.getvalue()


def read(data: bytes) -> tuple[list[str], list[list[str] | RowProblem]]:
    stream = io.BytesIO(data)
    dialect = detect(stream)
    names = column_names(stream, dialect)
    return names, list(data_rows(stream, dialect, width=len(names)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_chinese_files_are_read_in_every_encoding(encoding: str, delimiter: str, quoting: int) -> None:
    data = as_text(ROWS, delimiter=delimiter, quoting=quoting).encode(encoding)
    assert read(data) == (ROWS[0], ROWS[1:])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252", "latin-1"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_western_files_are_read_in_every_encoding(encoding: str, delimiter: str) -> None:
    assert read(as_text(WESTERN, delimiter=delimiter).encode(encoding)) == (WESTERN[0], WESTERN[1:])


def test_text_beyond_the_sample_still_decides_the_encoding() -> None:
    rows = [["number", "note"]] + [[str(i), "plain words here"] for i in range(20_000)] + [["x", "客户经理"]] * 5
    for encoding in ("utf-8", "gb18030"):
        assert read(as_text(rows).encode(encoding))[1][-1] == ["x", "客户经理"]


def test_single_quotes_may_stand_round_cells() -> None:
    data = as_text(WESTERN, quoting=csv.QUOTE_ALL, quote="'").encode()
    assert read(data) == (WESTERN[0], WESTERN[1:])


def test_a_title_above_the_names_and_blank_lines_are_left_out() -> None:
    names, rows = read(b"Client list of January\r\n\r\nnumber,name,city\r\n1,A,X\r\n,,\r\n\r\n2,B,Y\r\n3,C,Z\r\n")
    assert names == ["number", "name", "city"]
    assert rows == [["1", "A", "X"], ["2", "B", "Y"], ["3", "C", "Z"]]


def test_names_are_made_unique() -> None:
    assert read(b"a,a,,b\n1,2,3,4\n5,6,7,8\n")[0] == ["a", "a (2)", "Column 3", "b"]


def test_cells_may_hold_delimiters_quotes_and_line_breaks() -> None:
    rows = [["number", "note"], ["1", 'says "hi", twice'], ["2", "two\r\nlines"], ["3", "x"]]
    assert read(as_text(rows).encode()) == (rows[0], rows[1:])


def test_a_bad_row_never_takes_the_good_ones_with_it() -> None:
    good = "".join(f"{i},name {i}\n" for i in range(2, 300))
    _names, rows = read(f'number,name\n1,"never closed\n{good}300,a,b,c\n301\n302,ok\n'.encode())
    problems = [(i, str(row.message)) for i, row in enumerate(rows, start=1) if isinstance(row, RowProblem)]
    assert [number for number, _message in problems] == [1, 300, 301]
    assert "not closed" in problems[0][1]
    assert "4 cells" in problems[1][1]
    assert rows[1] == ["2", "name 2"]
    assert rows[-1] == ["302", "ok"]


def test_an_unclosed_quotation_mark_near_the_end_takes_one_row_only() -> None:
    rows = read(b'number,name\n1,a\n2,"b\n3,c\n')[1]
    assert [isinstance(row, RowProblem) for row in rows] == [False, True, False]


def workbook(sheets: dict[str, list[list[object]]]) -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"default_date_format": "yyyy-mm-dd"}) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for position, row in enumerate(rows):
                sheet.write_row(position, 0, row)
    return out.getvalue()


def test_workbooks_are_read_with_their_types() -> None:
    names, rows = read(
        workbook(
            {
                "Empty": [],
                "Clients": [
                    ["number", "name", "since", "assets", "vip", "code"],
                    [1, "王芳", date(2026, 1, 31), 1234.5, True, "007"],
                    [2, "A", None, 3.0, False, ""],
                ],
            }
        )
    )
    assert names == ["number", "name", "since", "assets", "vip", "code"]
    assert rows == [["1", "王芳", "2026-01-31", "1234.5", "yes", "007"], ["2", "A", "", "3", "no", ""]]


def zipped(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, data)
    return out.getvalue()


LETTER = "Dear colleague,\nplease find below what we said on the telephone yesterday about the new list.\n" * 5
NO_TABLES = {
    "empty": (b"", "empty"),
    "blank": (b" \r\n\r\n", "empty"),
    "mark only": (b"\xef\xbb\xbf", "empty"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\n1 0 obj\n", "PDF"),
    "png": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "picture"),
    "jpeg": (b"\xff\xd8\xff\xe0\x00\x10JFIF", "picture"),
    "html": (b"<!DOCTYPE html>\n<html><table><tr><td>a,b</td></tr></table>", "web page"),
    "json": (b'{"clients": [{"number": 1, "name": "a"}]}', "JSON"),
    "zip": (zipped("clients.csv", b"a,b\n1,2\n"), "archive"),
    "broken workbook": (b"PK\x03\x04 and then nothing of the kind", "cannot be opened"),
    "empty workbook": (workbook({"Sheet1": []}), "empty"),
    "workbook with names only": (workbook({"Sheet1": [["number", "name"]]}), "no rows"),
    "gzip": (b"\x1f\x8b\x08\x00abc", "compressed"),
    "binary": (bytes(range(256)) * 20, "not text"),
    "prose": (LETTER.encode(), "lines do not divide"),
    "one paragraph": (b"This is a letter and nothing else, believe me or not.\n", "lines do not divide"),
    "names only": (b"number,name,city\n", "no rows"),
}


@pytest.mark.parametrize("kind", NO_TABLES)
def test_a_file_that_is_no_table_is_named_for_what_it_is(kind: str) -> None:
    data, words = NO_TABLES[kind]
    with pytest.raises(NotATable) as refusal:
        read(data)
    assert words in str(refusal.value)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=400), st.text(alphabet="ab,;\"'\n\r\t|1 王", max_size=200).map(str.encode)))
def test_any_bytes_are_read_or_refused_with_a_sentence(data: bytes) -> None:
    with suppress(NotATable):
        _names, rows = read(data)
        assert all(isinstance(row, RowProblem) or any(row) for row in rows)


cells = st.text(alphabet=st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=8))
def test_what_a_csv_writer_wrote_comes_back(rows: list[tuple[str, str]]) -> None:
    table = [["first name of the client", "city"], *(["x" + a, b] for a, b in rows), *([["1", "2"]] * 20)]
    assert read(as_text(table, quoting=csv.QUOTE_ALL).encode()) == (table[0], table[1:])
