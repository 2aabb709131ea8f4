"""Lists of clients that leave the house."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from python_calamine import CalamineWorkbook
from sqlalchemy import update

from app.audiences.service import freeze_segment
from app.clients.exporting import service
from app.clients.exporting.models import ClientExport
from app.clients.models import Client
from app.core.clock import now
from app.core.errors import Forbidden
from app.core.extensions import db
from app.core.files import StoredFile, file_chunks
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.users.models import User
from tests.factories.audiences import make_segment
from tests.factories.clients import make_client, make_clients, make_custom_field
from tests.factories.users import make_branch, make_user, sign_in

COLUMNS = ["number", "name", "email", "total_assets"]


def ask(actor: User, **given: Any) -> ClientExport:
    values: dict[str, Any] = {"chosen": COLUMNS, "format": "csv", "unmasked": False, "purpose": "Call them"} | given
    with unit_of_work():
        export_id = service.ask_for_export(actor=actor, **values).id
    return db.session.get_one(ClientExport, export_id)


def written(export: ClientExport) -> list[list[str]]:
    service.write_export(export_id=export.id)
    db.session.refresh(export)
    assert export.file_id is not None
    return list(csv.reader(io.StringIO(b"".join(file_chunks(export.file_id)).decode("utf-8-sig"))))


@pytest.fixture
def officer(app: Flask) -> User:
    return make_user(role=Role.MARKETING)


@pytest.fixture
def checker(app: Flask) -> User:
    return make_user(role=Role.COMPLIANCE)


def test_a_short_masked_list_is_written_at_once_and_marked(officer: User) -> None:
    make_client(number="1", name="=cmd()", email="ada@clients.example", total_assets=5)
    export = ask(officer)
    head, first, blank, mark = written(export)
    assert head == ["Client number", "Name", "E-mail address", "Total assets"]
    assert (first[0], first[1], first[3]) == ("1", "'=cmd()", "5.00")
    assert "ada@" not in first[2]
    assert blank == []
    assert officer.name in mark[0]
    assert (export.state, export.rows) == ("ready", 1)


@pytest.mark.parametrize(("clients", "unmasked"), [(1_001, False), (1, True)])
def test_a_long_list_or_contact_data_in_full_waits_for_a_second_person(
    officer: User, checker: User, clients: int, unmasked: bool
) -> None:
    make_clients(clients)
    export = ask(officer, unmasked=unmasked)
    assert export.state == "asked"
    service.write_export(export_id=export.id)
    assert db.session.get_one(ClientExport, export.id).file_id is None
    with pytest.raises(Forbidden), unit_of_work():
        service.allow_export(export=export, actor=officer)
    with unit_of_work():
        service.allow_export(export=export, actor=checker)
    lines = written(export)
    assert len(lines) == clients + 3
    assert lines[1][2].startswith("c1@") == unmasked


@pytest.mark.parametrize(("asked", "grown", "unmasked"), [(1_000, 500, False), (1_001, 1, False), (3, 1, True)])
def test_a_list_that_grew_past_what_was_allowed_waits_again(
    officer: User, checker: User, asked: int, grown: int, unmasked: bool
) -> None:
    make_clients(asked)
    export = ask(officer, unmasked=unmasked)
    if export.state == "asked":
        with unit_of_work():
            service.allow_export(export=export, actor=checker)
    make_clients(grown, number=lambda n: f"late{n}")
    service.write_export(export_id=export.id)
    db.session.refresh(export)
    assert (export.state, export.file_id, export.rows) == ("asked", None, asked + grown)
    assert export.decided_by_id is None
    assert f"grown to {asked + grown:,} rows" in (export.decision or "")
    with unit_of_work():
        service.allow_export(export=export, actor=checker)
    assert len(written(export)) == asked + grown + 3
    assert export.decision is None


def test_a_list_that_grew_within_the_limit_is_written(officer: User) -> None:
    make_clients(2)
    export = ask(officer)
    make_clients(1, number=lambda n: f"late{n}")
    assert len(written(export)) == 3 + 3


def test_a_refusal_is_final_and_says_why(officer: User, checker: User) -> None:
    make_clients(1)
    export = ask(officer, unmasked=True)
    with pytest.raises(service.PurposeMissing), unit_of_work():
        service.refuse_export(export=export, reason=" ", actor=checker)
    with unit_of_work():
        service.refuse_export(export=export, reason="Too many", actor=checker)
    with pytest.raises(service.Decided), unit_of_work():
        service.allow_export(export=export, actor=checker)


def test_nobody_decides_about_their_own_export(app: Flask) -> None:
    make_clients(1)
    both = make_user(roles=[Role.COMPLIANCE, Role.HEAD_OFFICE])
    export = ask(both, unmasked=True)
    with pytest.raises(service.OwnExport), unit_of_work():
        service.allow_export(export=export, actor=both)


def test_advisers_take_nothing_out(app: Flask) -> None:
    adviser = make_user(role=Role.ADVISER)
    make_client(adviser=adviser)
    with pytest.raises(Forbidden):
        ask(adviser)


def test_the_file_holds_what_the_person_may_see_when_it_is_written(app: Flask) -> None:
    north = make_branch(code="N", name="North")
    manager = make_user(role=Role.BRANCH_MANAGER, branch=north)
    here, there = make_client(number="N1", branch=north), make_client(number="S1")
    export = ask(manager)
    assert export.rows == 1
    with unit_of_work():
        db.session.execute(update(Client).where(Client.id == here.id).values(branch_id=there.branch_id))
        db.session.execute(update(Client).where(Client.id == there.id).values(branch_id=north.id))
    assert [line[0] for line in written(export)[1:2]] == ["S1"]


def test_who_has_left_the_firm_gets_nothing_any_more(officer: User) -> None:
    make_clients(1)
    export = ask(officer)
    with unit_of_work():
        officer.active = False
    service.write_export(export_id=export.id)
    assert db.session.get_one(ClientExport, export.id).state == "failed"


def test_a_file_is_deleted_when_its_time_is_over(officer: User) -> None:
    make_clients(1)
    export = ask(officer)
    written(export)
    with unit_of_work():
        assert service.expire_exports() == 0
        export.expires_at = now() - timedelta(seconds=1)
    with pytest.raises(service.NotReady), unit_of_work():
        service.fetch_export(export=export, actor=officer)
    with unit_of_work():
        assert service.expire_exports() == 1
    assert db.session.get_one(ClientExport, export.id).state == "expired"
    assert db.session.query(StoredFile).count() == 0


def test_segments_and_frozen_audiences_are_exported_too(officer: User) -> None:
    make_clients(2, city="Lakeside")
    make_clients(3, city="Hilltop")
    segment = make_segment(rule={"all": [{"field": "city", "op": "is", "value": "Lakeside"}]})
    with unit_of_work():
        snapshot_id = freeze_segment(segment=segment, actor=officer).id
    assert len(written(ask(officer, source="segment", source_id=segment.id))) == 2 + 3
    assert len(written(ask(officer, source="snapshot", source_id=snapshot_id))) == 2 + 3
    assert len(written(ask(officer, filters={"status": "client"}))) == 5 + 3


def test_an_excel_file_keeps_numbers_as_numbers(officer: User) -> None:
    make_custom_field("balance", type="number", slot="number_01")
    make_client(number="1", number_01=2.5, total_assets=7)
    export = ask(officer, format="xlsx", chosen=["number", "total_assets", "custom.balance"])
    service.write_export(export_id=export.id)
    db.session.refresh(export)
    file = io.BytesIO(b"".join(file_chunks(export.file_id or 0)))
    rows = CalamineWorkbook.from_filelike(file).get_sheet_by_index(0).to_python(skip_empty_area=False)
    assert officer.name in rows[1][0]
    assert rows[4] == ["1", 7, 2.5]


def test_a_file_of_many_megabytes_is_kept_whole(officer: User) -> None:
    make_clients(900, name=lambda n: f"{n} " + "x" * 3_000)
    lines = written(ask(officer, chosen=["name"]))
    assert [line[0].split()[0] for line in lines[1:901]] == [str(n) for n in range(1, 901)]


def test_the_pages_lead_from_asking_to_fetching(app: Flask, officer: User, checker: User) -> None:
    make_clients(2)
    browser, second = sign_in(app.test_client(), officer), sign_in(app.test_client(), checker)
    assert "Every client that you may see." in browser.get("/exports/new").text
    form = {"columns": ["number", "email"], "format": "csv", "unmasked": "y", "purpose": "A mailing house"}
    assert "Waits for a second person" in browser.post("/exports/new", data=form, follow_redirects=True).text
    (export,) = db.session.query(ClientExport).all()
    assert "A mailing house" in second.get("/exports/").text
    assert second.post(f"/exports/{export.id}/allow").status_code == 302
    assert browser.get(f"/exports/{export.id}/file").status_code == 409
    service.write_export(export_id=export.id)
    assert "Download" in browser.get("/exports/").text
    file = browser.get(f"/exports/{export.id}/file")
    assert "c1@example.com" in file.text
    assert file.headers["Cache-Control"] == "no-store"
    assert second.get(f"/exports/{export.id}/file").status_code in (403, 404)


@pytest.mark.parametrize("form", [{}, {"columns": ["nose"], "purpose": "x"}, {"columns": ["number"], "purpose": "  "},
                                  {"columns": ["number"], "purpose": "x", "format": "exe"}])  # fmt: skip
def test_a_wrong_form_is_answered_with_a_sentence(app: Flask, officer: User, form: dict[str, Any]) -> None:
    make_clients(1)
    browser: FlaskClient = sign_in(app.test_client(), officer)
    assert browser.post("/exports/new", data={"format": "csv"} | form).status_code == 422
    assert browser.post("/exports/new?source=nothing&id=1", data=form).status_code == 404
    assert browser.get("/exports/new?source=segment&id=99").status_code == 404
