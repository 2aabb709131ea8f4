"""Lists of client numbers, pasted and uploaded."""

import io

import pytest
from flask import Flask
from sqlalchemy import select
from xlsxwriter import Workbook

from app.audiences.lists.models import ListedNumber, NumberList
from app.audiences.lists.service import NoNumbers, keep_pasted_list, keep_uploaded_list
from app.clients.importing.reading import NotATable
from app.core.extensions import db


def numbers(made: NumberList) -> list[str]:
    found = db.session.scalars(select(ListedNumber.number).where(ListedNumber.list_id == made.id))
    return sorted(found)


def test_a_pasted_list_may_be_divided_in_any_way(app: Flask) -> None:
    made = keep_pasted_list(name="  Guests ", text="12, 13;14\n12\t15，16\x00", actor=None)
    assert numbers(made) == ["12", "13", "14", "15"]
    assert (made.name, made.size) == ("Guests", 4)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("12\n13\n13\n", ["12", "13"]),
        ("number\n12\n13\n", ["12", "13"]),
        ("Name,Client number\nAnna,12\nBo,13\n", ["12", "13"]),
        ("姓名;客户号\n李;12\n王;13\n", ["12", "13"]),
        ("80012", ["80012"]),
    ],
)
def test_the_column_of_the_numbers_is_found(app: Flask, content: str, expected: list[str]) -> None:
    made = keep_uploaded_list(name="list.csv", stream=io.BytesIO(content.encode()), actor=None)
    assert numbers(made) == expected


def test_a_workbook_is_read_too(app: Flask) -> None:
    stream = io.BytesIO()
    with Workbook(stream) as workbook:
        sheet = workbook.add_worksheet()
        for row, cells in enumerate((("Client number", "Name"), (12, "Anna"), (13, "Bo"))):
            sheet.write_row(row, 0, cells)
    stream.seek(0)
    assert numbers(keep_uploaded_list(name="list.xlsx", stream=stream, actor=None)) == ["12", "13"]


def test_what_is_no_list_is_refused_and_nothing_kept(app: Flask) -> None:
    for content in (b"", b"%PDF-1.7 ...", b"PK\x03\x04 not a workbook"):
        with pytest.raises(NotATable):
            keep_uploaded_list(name="x", stream=io.BytesIO(content), actor=None)
    with pytest.raises(NoNumbers):
        keep_pasted_list(name="x", text=" , ;\n", actor=None)
