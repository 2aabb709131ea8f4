"""What of refused rows is shown: enough to find them, no contact data and no numbers of persons or accounts."""

import csv
import io
import json
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.clients.importing import service as importing
from app.clients.importing.mapping import read_mapping
from app.clients.importing.row_masks import kinds_of, mask_of
from app.clients.models import ClientImport
from app.core.extensions import db
from app.core.jobs import run_job
from app.core.unit_of_work import unit_of_work
from app.users.models import User
from tests.factories.users import make_user, sign_in

SECRETS = ("wang.fang", "13812345678", "138 1234", "110101199001011234", "6222020200112233445", "li.na", "13987654321")
FILE = (
    "number,name,email,mobile,identity,账号,second phone,notes,born\n"
    "C1,Wang Fang,wang.fang@example,13812345678,110101199001011234,6222020200112233445,13987654321,likes tea,never\n"
    "C2,Wang Fang,li.na@example.com,138 1234,110101199001011234,6222020200112233445,13987654321,li.na@example.com,x\n"
    "C3,Wang Fang,wang.fang@example.com,13812345678,110101199001011234,6222020200112233445,x,y,1990-01-02,too much\n"
)
COLUMNS = {"number": "number", "name": "name", "email": "email", "mobile": "mobile", "identity_number": "identity",
           "birth_date": "born"}  # fmt: skip
MAPPING = {"columns": {target: {"column": column} for target, column in COLUMNS.items()}, "other_columns": "ignore",
           "region": "CN"}  # fmt: skip


@pytest.fixture
def officer(app: Flask) -> User:
    return make_user(role="marketing", email="officer@example.com")


@pytest.fixture
def pages(app: Flask, officer: User) -> FlaskClient:
    return sign_in(app.test_client(), officer)


def uploaded(officer: User) -> ClientImport:
    with unit_of_work():
        return importing.receive_file(stream=io.BytesIO(FILE.encode()), name="clients.csv", actor=officer)


def told(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


def test_the_file_and_the_page_of_refused_rows_tell_row_reason_and_number_only(
    app: Flask, officer: User, pages: FlaskClient
) -> None:
    client_import = uploaded(officer)
    with unit_of_work():
        job = importing.start_import(client_import=client_import, mapping=MAPPING, actor=officer, in_worker=False)
    run_job(job.id)
    db.session.expire_all()
    address = f"/client-imports/{client_import.id}"
    assert (client_import.refused, client_import.created) == (3, 0)
    page, file = pages.get(address).text, pages.get(f"{address}/refused.csv").text
    assert (told(page), told(file)) == ([], [])
    first, second, third = list(csv.reader(io.StringIO(file)))[1:]
    assert first[:5] == [
        "1",
        "email: “w•••@example” is not a complete e-mail address. born: “never” is not a date.",
        "C1",
        "Wang Fang",
        "w•••@example",
    ]
    assert first[5:] == ["138****78", "****1234", "****3445", "****4321", "likes tea", "never"]
    assert second[0] == "2"
    assert "mobile: “" in second[1]
    assert second[9] == "l•••@example.com"
    assert third[0] == "3"
    assert "The row has 10 cells" in third[1]
    assert third[2:5] == ["C3", "Wang Fang", "w•••@example.com"]


def test_the_samples_and_the_preview_of_an_import_are_masked_too(app: Flask, officer: User, pages: FlaskClient) -> None:
    client_import = uploaded(officer)
    address = f"/client-imports/{client_import.id}"
    assert told(pages.get(f"{address}/columns").text) == []
    with unit_of_work():
        importing.save_mapping(client_import=client_import, mapping=read_mapping(MAPPING), actor=officer)
    page = pages.get(f"{address}/preview").text
    assert told(page) == []
    assert "w•••@example" in page


def test_the_command_line_writes_the_same_file(app: Flask, officer: User, tmp_path: Path) -> None:
    mapping, file, refused = tmp_path / "mapping.json", tmp_path / "clients.csv", tmp_path / "refused.csv"
    mapping.write_text(json.dumps(MAPPING))
    file.write_text(FILE, encoding="utf-8")
    ran = app.test_cli_runner().invoke(args=[
        "clients", "import", str(file), "--mapping", str(mapping), "--actor", officer.email, "--refused", str(refused),
    ])  # fmt: skip
    assert "refused 3" in ran.output
    assert told(refused.read_text(encoding="utf-8-sig")) == []
    assert db.session.scalar(select(ClientImport.refused)) == 3


def test_the_clients_number_is_shown_whatever_else_it_fills() -> None:
    columns = {"number": {"column": "id"}, "email": {"template": "{id}@{domain}"}, "custom.x": {"column": "手机"}}
    kinds = kinds_of(read_mapping({"columns": columns}))
    assert kinds == {"id": "open", "domain": "email", "手机": "mobile"}
    mask = mask_of(["id", "domain", "手机", "free"], kinds)
    assert mask.cells(["10020030", "example.com", "13812345678", "2026-01-31"]) == [
        "10020030", "exa****om", "138****78", "2026-01-31",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("There is no account “6222020200112233445”.", "There is no account “****3445”."),
        ("“62220202…” is too long.", "“****3445” is too long."),
        ("“CN 6222020200112233445” is odd.", "“CN ****3445” is odd."),
        ("Row “1” came twice.", "Row “1” came twice."),
    ],
)
def test_reasons_quote_what_is_masked_as_masked(reason: str, shown: str) -> None:
    mask = mask_of(["account", "row"], {})
    assert mask.reason(reason, [" 6222020200112233445", "1"]) == shown
