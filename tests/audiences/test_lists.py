"""Lists of client numbers, pasted and uploaded."""

import io

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from xlsxwriter import Workbook

from app.audiences.lists.models import ListedNumber, NumberList
from app.audiences.lists.queries import ListGone, hold_lists
from app.audiences.lists.service import (
    NoNumbers,
    OnlyHeader,
    StillUsed,
    delete_list,
    keep_pasted_list,
    keep_uploaded_list,
)
from app.audiences.service import create_segment
from app.audit.models import AuditEntry
from app.clients.importing.reading import NotATable
from app.core.clock import now
from app.core.errors import Forbidden
from app.core.extensions import db
from app.users.models import User
from tests.factories.audiences import make_segment
from tests.factories.clients import make_client
from tests.factories.users import make_branch, make_user, sign_in


def numbers(made: NumberList) -> list[str]:
    found = db.session.scalars(select(ListedNumber.number).where(ListedNumber.list_id == made.id))
    return sorted(found)


def test_a_pasted_list_may_be_divided_in_any_way(app: Flask) -> None:
    made = keep_pasted_list(name="  Guests ", text="12, 13;14\n12\t15，16\x00", actor=None).numbers
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
    made = keep_uploaded_list(name="list.csv", stream=io.BytesIO(content.encode()), actor=None).numbers
    assert numbers(made) == expected


def test_a_workbook_is_read_too(app: Flask) -> None:
    stream = io.BytesIO()
    with Workbook(stream) as workbook:
        sheet = workbook.add_worksheet()
        for row, cells in enumerate((("Client number", "Name"), (12, "Anna"), (13, "Bo"))):
            sheet.write_row(row, 0, cells)
    stream.seek(0)
    assert numbers(keep_uploaded_list(name="list.xlsx", stream=stream, actor=None).numbers) == ["12", "13"]


def test_what_is_no_list_is_refused_and_nothing_kept(app: Flask) -> None:
    for content in (b"", b"%PDF-1.7 ...", b"PK\x03\x04 not a workbook"):
        with pytest.raises(NotATable):
            keep_uploaded_list(name="x", stream=io.BytesIO(content), actor=None)
    with pytest.raises(NoNumbers):
        keep_pasted_list(name="x", text=" , ;\n", actor=None)


@pytest.mark.parametrize("content", ["number", "Client No.\n", "客户号\n", "visitors", "\ufeffnumber\r\n"])
def test_a_file_with_nothing_but_the_name_of_a_column_is_no_list(app: Flask, content: str) -> None:
    header = content.strip("\ufeff").strip()
    with pytest.raises(OnlyHeader) as refusal:
        keep_uploaded_list(name="x", stream=io.BytesIO(content.encode()), actor=None)
    assert f"“{header}”" in str(refusal.value)
    with pytest.raises(OnlyHeader):
        keep_pasted_list(name="x", text=header, actor=None)


@pytest.mark.parametrize(
    ("content", "expected", "header"),
    [
        ("visitor\n12\n13\n", ["12", "13"], "visitor"),
        ("ANNA\nBERT\n", ["ANNA", "BERT"], None),  # ANNA is a client of the book
        ("Number\nANNA\n", ["ANNA"], "Number"),
        ("X-99\n12\n", ["12", "X-99"], None),  # may become a client one day
        (",name\n12,Anna\n", ["12"], None),
        ("ANNA", ["ANNA"], None),
    ],
)
def test_a_first_line_that_is_no_clients_number_is_a_header_and_told(
    app: Flask, content: str, expected: list[str], header: str | None
) -> None:
    make_client(number="ANNA")
    kept = keep_uploaded_list(name="list.csv", stream=io.BytesIO(content.encode()), actor=None)
    assert (numbers(kept.numbers), kept.header) == (expected, header)
    if "," not in content:
        pasted = keep_pasted_list(name="list", text=content, actor=None)
        assert (numbers(pasted.numbers), pasted.header) == (expected, header)


BROKEN = b'number,name\n1001,a\n1002,b,extra,cells\nnumber,name\n9999,unknown\n,nobody\n1\x7f3,c\n1003,"x\n1004,d\n'


def test_rows_of_a_file_that_cannot_be_read_are_told(app: Flask) -> None:
    kept = keep_uploaded_list(name="list.csv", stream=io.BytesIO(BROKEN), actor=None)
    assert numbers(kept.numbers) == ["1001", "1004", "9999"]
    assert (kept.left_out.count, kept.left_out.first) == (4, [3, 6, 7, 8])
    assert kept.notes == [
        "“number” was taken as the name of the column: no client has this number.",
        "4 rows have no client number that can be read and are left out, the first of them: 3, 6, 7, 8.",
    ]


def test_only_the_first_of_many_rows_that_cannot_be_read_are_named(app: Flask) -> None:
    content = "12,a\n" * 20 + "13,a,b\n" * 8
    kept = keep_uploaded_list(name="list.csv", stream=io.BytesIO(content.encode()), actor=None)
    assert (numbers(kept.numbers), kept.header) == (["12"], None)  # a repeated row is no loss
    assert (kept.left_out.count, kept.left_out.first) == (8, [21, 22, 23, 24, 25])


def test_pasted_words_that_are_no_numbers_are_told_by_their_line(app: Flask) -> None:
    kept = keep_pasted_list(name="list", text="number\n12, 1\x003\n14\n" + "9" * 101, actor=None)
    assert numbers(kept.numbers) == ["12", "14"]
    assert (kept.left_out.count, kept.left_out.first) == (2, [2, 4])


@pytest.fixture
def marketing(app: Flask) -> FlaskClient:
    return sign_in(app.test_client(), make_user(role="marketing", email="officer@example.com", name="Lin Mei"))


def kept_list(name: str = "Guests", owner: User | None = None) -> NumberList:
    made = keep_pasted_list(name=name, text="12 13", actor=owner).numbers
    db.session.commit()
    return made


def asks_for(kept: NumberList) -> dict[str, object]:
    related = {"related": "accounts", "op": "gte", "value": 1, "where": {"all": []}}
    return {"any": [related, {"not": {"field": "number_list", "op": "in", "value": [kept.id]}}]}


def test_the_page_lists_name_size_maker_and_the_segments_that_use_it(marketing: FlaskClient) -> None:
    assert "No list yet" in marketing.get("/segments/lists").text
    marketing.post("/segments/lists/new", data={"name": "Fair <visitors>", "numbers": "visitor\n12\n13"})
    page = marketing.get("/segments/lists").text
    assert "Fair &lt;visitors&gt;" in page
    assert "Lin Mei" in page
    assert "“visitor” was taken as the name of the column" in page
    kept = db.session.scalars(select(NumberList)).one()
    assert kept.size == 2
    segment = make_segment(name="Came to the fair", rule=asks_for(kept))
    page = marketing.get("/segments/lists").text
    assert f'href="/segments/{segment.id}"' in page
    assert f"/segments/lists/{kept.id}/delete" not in page
    assert "No list has this name." in marketing.get("/segments/lists?search=nothing%00").text


def test_the_builder_and_the_page_say_which_rows_are_not_in_the_list(marketing: FlaskClient) -> None:
    told = "4 rows have no client number that can be read and are left out, the first of them: 3, 6, 7, 8."
    answer = marketing.post("/segments/number-lists", data={"file": (io.BytesIO(BROKEN), "list.csv")})
    assert (answer.status_code, answer.json["hint"]) == (201, "3")
    assert told in answer.json["note"]
    whole = marketing.post("/segments/number-lists", data={"file": (io.BytesIO(b"12\n13\n"), "list.csv")})
    assert "note" not in whole.json
    data = {"name": "Fair", "file": (io.BytesIO(BROKEN), "list.csv")}
    assert told in marketing.post("/segments/lists/new", data=data, follow_redirects=True).text


def test_a_list_is_made_of_a_file_or_refused_beside_its_field(marketing: FlaskClient) -> None:
    file = (io.BytesIO(b"number\n12\n"), "list.csv")
    assert marketing.post("/segments/lists/new", data={"name": "From a file", "file": file}).status_code == 302
    for data in ({"name": "", "numbers": "12"}, {"name": "x", "numbers": " , "}, {"name": "x", "numbers": "number"}):
        assert marketing.post("/segments/lists/new", data=data).status_code == 422
    bad = (io.BytesIO(b"%PDF-1.7 x"), "list.pdf")
    refused = marketing.post("/segments/lists/new", data={"name": "x", "file": bad})
    assert (refused.status_code, "This is a PDF." in refused.text) == (422, True)
    assert db.session.scalars(select(NumberList.name)).all() == ["From a file"]


def test_a_list_that_a_segment_uses_stays_and_others_go_for_good(marketing: FlaskClient) -> None:
    kept = kept_list()
    segment = make_segment(name="Came to the fair", rule=asks_for(kept))
    address = f"/segments/lists/{kept.id}/delete"
    refused = marketing.post(address, follow_redirects=True).text
    assert "The segment “Came to the fair” uses this list. Change that one first." in refused
    segment.archived_at = now()
    db.session.commit()
    refused = marketing.post(address, follow_redirects=True).text
    assert "The archived segment “Came to the fair” uses this list." in refused
    segment.rule = {"all": []}
    db.session.commit()
    assert "The list is deleted." in marketing.post(address, follow_redirects=True).text
    assert db.session.scalar(select(func.count()).select_from(ListedNumber)) == 0
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "number_list.delete")).one()
    assert entry.changes == {"name": ["Guests", None], "numbers": [2, None]}
    assert marketing.post(address).status_code == 404


def test_only_its_maker_and_the_head_office_delete_a_list(app: Flask) -> None:
    branch = make_branch()
    local, other = make_user(role="marketing", branch=branch), make_user(role="marketing", branch=branch)
    reader = make_user(role="branch_manager", branch=branch)
    own, foreign = kept_list("Own", local), kept_list("Foreign", other)
    with pytest.raises(Forbidden):
        delete_list(numbers=foreign, actor=local)
    page = sign_in(app.test_client(), local).get("/segments/lists").text
    assert f"/segments/lists/{own.id}/delete" in page
    assert f"/segments/lists/{foreign.id}/delete" not in page
    assert sign_in(app.test_client(), reader).post(f"/segments/lists/{own.id}/delete").status_code == 403
    delete_list(numbers=own, actor=local)
    delete_list(numbers=foreign, actor=make_user(role="marketing"))


def test_a_segment_being_saved_holds_the_lists_it_asks_for(app: Flask) -> None:
    kept, officer = kept_list(), make_user(role="marketing")
    rule = {"all": [{"field": "number_list", "op": "in", "value": [kept.id]}]}
    with Session(db.engine) as saving:
        saving.execute(text("SELECT 1 FROM number_list WHERE id = :id FOR KEY SHARE"), {"id": kept.id})
        db.session.execute(text("SET LOCAL lock_timeout = 50"))
        with pytest.raises(OperationalError, match="lock timeout"):
            delete_list(numbers=kept, actor=officer)
    db.session.rollback()
    create_segment(name="Guests", rule=rule, actor=officer)
    with pytest.raises(StillUsed):
        delete_list(numbers=kept, actor=officer)
    with pytest.raises(ListGone):
        hold_lists([kept.id, kept.id + 1])
