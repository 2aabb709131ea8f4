"""What an import does to the client book."""

import io
import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, insert, select, text, update

from app.clients import service
from app.clients import tasks as tasks
from app.clients.importing import service as importing
from app.clients.importing.mapping import BadMapping, read_mapping
from app.clients.importing.refusals import refusal_lines
from app.clients.models import Client, ClientImport, Consent, CustomField, ImportNumber, ImportRefusal
from app.core.clock import now
from app.core.extensions import db
from app.core.jobs import Job, Lease, LeaseLost, claim, run_job
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.users.models import User
from tests.factories.clients import make_client
from tests.factories.users import make_branch, make_user

BY_COLUMN = {"columns": {"number": {"column": "number"}}}


def upload(text: str, *, actor: User | None = None) -> ClientImport:
    with unit_of_work():
        return importing.receive_file(stream=io.BytesIO(text.encode()), name="clients.csv", actor=actor)


def start(text: str, mapping: dict[str, Any], *, actor: User | None = None) -> tuple[ClientImport, Job]:
    client_import = upload(text, actor=actor)
    with unit_of_work():
        job = importing.start_import(client_import=client_import, mapping=mapping, actor=actor, in_worker=False)
    return client_import, job


def run(text: str, mapping: dict[str, Any], *, actor: User | None = None) -> ClientImport:
    client_import, job = start(text, mapping, actor=actor)
    run_job(job.id)
    db.session.expire_all()
    return client_import


def counts(client_import: ClientImport) -> tuple[int, int, int, int]:
    return client_import.created, client_import.updated, client_import.unchanged, client_import.refused


def clients() -> dict[str, Client]:
    return {client.number: client for client in db.session.scalars(select(Client))}


def refusals(client_import: ClientImport) -> dict[int, str]:
    rows = db.session.execute(
        select(ImportRefusal.row_number, ImportRefusal.reason).where(ImportRefusal.import_id == client_import.id)
    )
    return dict(iter(rows))


def test_columns_become_what_the_mapping_says(app: Flask) -> None:
    branch, adviser = make_branch(code="SH-01"), make_user(role=Role.ADVISER, email="Adviser@firm.example")
    text = (
        "no,first,last,mail,phone,since,assets,risk,ok,branch,adviser,labels,state\n"
        '007,芳,王,W@EXAMPLE.com,13812345678,2026年1月31日,"1,234.50",C3,是,sh-01,adviser@firm.example,"vip,基金",客户\n'
        "8,Ann,Lee,,,,,,,,,,\n"
    )
    columns = {
        "number": "no", "first_name": "first", "last_name": "last", "email": "mail", "mobile": "phone",
        "opened_on": "since", "total_assets": "assets", "risk_level": "risk", "email_consent": "ok",
        "branch": "branch", "adviser": "adviser", "tags": "labels", "status": "state",
    }  # fmt: skip
    mapping = {"columns": {target: {"column": name} for target, name in columns.items()}, "region": "CN"}
    assert counts(run(text, mapping)) == (2, 0, 0, 0)
    first, second = clients()["007"], clients()["8"]
    assert (first.name, first.email, first.mobile) == ("王芳", "W@example.com", "+8613812345678")
    assert (first.opened_on, first.total_assets, first.risk_level) == (date(2026, 1, 31), Decimal("1234.50"), 3)
    assert (first.branch_id, first.adviser_id, first.tags) == (branch.id, adviser.id, ["vip", "基金"])
    assert (first.email_consent, first.sms_consent) == (True, None)
    assert (second.name, second.email, second.status, second.tags) == ("Ann Lee", None, "client", [])
    assert second.branch.code == "HO"


def test_row_numbers_constants_and_templates_fill_targets(app: Flask) -> None:
    mapping = {
        "columns": {
            "number": {"row_number": True},
            "email": {"template": "{code}.{row_number}@example.com"},
            "email_consent": {"constant": "yes"},
            "source": {"constant": "fair 2026"},
        },
        "other_columns": "ignore",
    }
    run("code,x\na,1\nb,2\n,3\n", mapping)
    assert {number: client.email for number, client in clients().items()} == {
        "1": "a.1@example.com",
        "2": "b.2@example.com",
        "3": None,
    }
    assert {client.source for client in clients().values()} == {"fair 2026"}
    assert db.session.scalars(select(CustomField)).first() is None


def test_unknown_columns_become_fields_of_the_type_their_values_have(app: Flask) -> None:
    text = "number,Age,Loan,Job,Note,Since,Code,工作,Empty\n" + "".join(
        f"{i},{20 + i},{'yes' if i % 2 else 'no'},{'student' if i % 3 else 'unknown'},note {i},2026-01-{i:02},00{i},是,"
        "\n"
        for i in range(1, 29)
    )
    run(text, BY_COLUMN | {"missing": ["Unknown"]})
    fields = {field.key: field for field in db.session.scalars(select(CustomField))}
    assert {key: field.type for key, field in fields.items()} == {
        "age": "number",
        "loan": "yesno",
        "job": "choice",
        "note": "text",
        "since": "date",
        "code": "text",
        "field_1": "yesno",
    }
    assert (fields["job"].choices, fields["field_1"].label) == (["student"], "工作")
    first, third = clients()["1"], clients()["3"]
    assert getattr(first, fields["since"].slot) == date(2026, 1, 1)
    assert getattr(first, fields["code"].slot) == "001"
    assert getattr(third, fields["job"].slot) is None


def test_the_same_file_again_changes_nothing_and_needs_no_new_mapping(app: Flask) -> None:
    text = "number,name,score,ok\n1,A,1.5,yes\n2,B,,no\n"
    mapping = BY_COLUMN | {"columns": {"number": {"column": "number"}, "email_consent": {"column": "ok"}}}
    run(text, mapping)
    before = db.session.execute(select(Client.id, Client.updated_at).order_by(Client.id)).all()
    again = upload(text)
    remembered = importing.suggested_mapping(again, importing.samples_of(again))
    assert remembered.columns["email_consent"] == {"column": "ok"}
    assert counts(run(text, remembered.to_json())) == (0, 0, 2, 0)
    assert counts(run(text, mapping)) == (0, 0, 2, 0)
    assert db.session.execute(select(Client.id, Client.updated_at).order_by(Client.id)).all() == before
    assert db.session.scalar(select(func.count(Consent.id))) == 2


def test_a_newer_file_updates_what_differs_and_keeps_what_it_does_not_name(app: Flask) -> None:
    make_client(number="1", name="A", city="Shanghai", status="dormant", flags=["deceased"])
    make_client(number="2", name="B")
    mapping = {
        "columns": {name: {"column": name} for name in ("number", "name", "status", "flags")},
        "other_columns": "ignore",
    }
    assert counts(run("number,name,status,flags\n1,,,\n2,B,client,\n3,C,,\n", mapping)) == (1, 1, 1, 0)
    first = clients()["1"]
    assert (first.name, first.city, first.status, first.flags) == (None, "Shanghai", "dormant", ["deceased"])


@pytest.mark.parametrize(
    ("before", "cell", "after"),
    [
        (["deceased", "open_complaint"], "vulnerable", ["deceased", "open_complaint", "vulnerable"]),
        (["deceased", "open_complaint"], "open_complaint", ["deceased", "open_complaint"]),
        (["deceased"], "", ["deceased"]),
        ([], "minor, frozen", ["minor", "frozen"]),
    ],
)
def test_a_file_adds_flags_and_takes_none_off(app: Flask, before: list[str], cell: str, after: list[str]) -> None:
    make_client(number="1", flags=before)
    text = f'number,flags\n1,"{cell}"\n'
    mapping = {"columns": {name: {"column": name} for name in ("number", "flags")}, "other_columns": "ignore"}
    assert counts(run(text, mapping)) == ((0, 0, 1, 0) if before == after else (0, 1, 0, 0))
    assert clients()["1"].flags == after
    assert counts(run(text, mapping)) == (0, 0, 1, 0)


def test_bad_rows_are_refused_with_every_reason_and_good_ones_taken(app: Flask) -> None:
    make_branch(code="B1")
    text = (
        "number,email,born,branch\n"
        "1,a@example.com,1990-01-01,B1\n"
        "2,nobody,yesterday,B1\n"
        "3,b@example.com,,B9\n"
        ",c@example.com,,\n"
        "1,d@example.com,,\n"
        "6,e@example.com,,,,x\n"
        "=7,f@example.com,,HO\n"
    )
    names = {"number": "number", "email": "email", "birth_date": "born", "branch": "branch"}
    done = run(text, {"columns": {target: {"column": name} for target, name in names.items()}})
    assert counts(done) == (2, 0, 0, 5)
    found = refusals(done)
    assert found[2] == ("email: “nobody” is not a complete e-mail address. born: “yesterday” is not a date.")
    assert found[3] == "branch: There is no branch with the code “B9” in your part of the firm."
    assert found[4] == "The client number is missing."
    assert found[5] == "The client number 1 stands in row 1 already."
    assert found[6].startswith("The row has 6 cells")
    assert clients()["1"].email == "a@example.com"
    lines = list(refusal_lines(done))
    assert lines[0] == "Row,Reason,number,email,born,branch\r\n"
    assert len(lines) == 6
    assert db.session.scalar(select(func.count()).select_from(ImportNumber)) == 0


def test_refused_cells_cannot_run_as_formulas(app: Flask) -> None:
    done = run('number,email\n1,"=HYPERLINK(""x"")"\n2,b@example.com\n', {
        "columns": {"number": {"column": "number"}, "email": {"column": "email"}}
    })  # fmt: skip
    assert list(refusal_lines(done))[1].endswith(""",1,"'=HY****"")"\r\n""")


def test_an_opt_out_wins_over_a_file(app: Flask) -> None:
    out, silent, agreed = (make_client(number=n, email_consent=None) for n in "123")
    with unit_of_work():
        service.withdraw_consent(client_ids=[out.id], channel="email", source="unsubscribe")
        service.grant_consent(client_ids=[agreed.id], channel="email", source="form")
    mapping = {"columns": {"number": {"column": "number"}, "email_consent": {"column": "ok"}}}
    done = run("number,ok\n1,yes\n2,yes\n3,no\n4,\n", mapping)
    assert (counts(done), done.opt_outs_kept) == ((1, 2, 1, 0), 1)
    assert [clients()[n].email_consent for n in "1234"] == [False, True, False, None]
    told = db.session.execute(select(Consent.client_id, Consent.granted).where(Consent.source == "import"))
    assert {(client_id, granted) for client_id, granted in told} == {(silent.id, True), (agreed.id, False)}


def test_a_number_that_was_merged_is_refused_but_its_opt_out_reaches_the_survivor(app: Flask) -> None:
    survivor = make_client(number="1", name="Ada", email_consent=True, sms_consent=True)
    make_client(number="2", name="Old", merged_into_id=survivor.id)
    mapping = {"columns": {name: {"column": name} for name in ("number", "name", "email_consent", "sms_consent")}}
    done = run("number,name,email_consent,sms_consent\n2,Older,no,yes\n3,New,yes,\n", mapping)
    assert counts(done) == (1, 0, 0, 1)
    assert refusals(done) == {1: "This client number was merged into 1. Use that number."}
    assert (clients()["1"].name, clients()["1"].email_consent, clients()["1"].sms_consent) == ("Ada", False, True)
    assert clients()["2"].name == "Old"


def test_an_importer_reaches_the_clients_of_their_own_part_only(app: Flask) -> None:
    north, south = make_branch(code="N"), make_branch(code="S")
    make_client(number="1", name="theirs", branch=south)
    make_client(number="2", name="ours", branch=north)
    importer = make_user(branch=north)
    mapping = {"columns": {name: {"column": name} for name in ("number", "name", "branch")}}
    done = run("number,name,branch\n1,X,N\n2,Y,N\n3,Z,S\n4,W,\n", mapping, actor=importer)
    assert counts(done) == (1, 1, 0, 2)
    assert set(refusals(done)) == {1, 3}
    assert {number: client.name for number, client in clients().items()} == {"1": "theirs", "2": "Y", "4": "W"}
    assert clients()["4"].branch_id == north.id


class DyingLease(Lease):
    """The lease of a worker that is killed when it wants to renew for the n-th time."""

    def __init__(self, lease: Lease, renewals: int) -> None:
        super().__init__(lease.job_id, lease.token)
        self.renewals = renewals

    def renew(self, *, done: int | None = None, total: int | None = None) -> None:
        self.renewals -= 1
        if self.renewals < 0:
            raise KeyboardInterrupt
        super().renew(done=done, total=total)


@pytest.mark.parametrize("renewals", range(6))
def test_an_import_killed_anywhere_goes_on_without_doubling_anyone(
    app: Flask, monkeypatch: pytest.MonkeyPatch, renewals: int
) -> None:
    monkeypatch.setattr(importing, "CHUNK_ROWS", 10)
    text = "number,ok\n" + "".join(f"{i},yes\n" for i in range(1, 31)) + "5,yes\nbad row,yes,,x\n"
    mapping = {"columns": {"number": {"column": "number"}, "email_consent": {"column": "ok"}}}
    client_import, job = start(text, mapping)
    claimed = claim(job.id)
    assert claimed is not None
    with pytest.raises(KeyboardInterrupt):
        importing.run_import(lease=DyingLease(claimed[0], renewals), import_id=client_import.id)
    db.session.rollback()
    run_job(job.id)
    db.session.expire_all()
    assert client_import.state == "running", "the dead worker's lease still holds"
    with unit_of_work() as session:
        session.execute(update(Job).values(lease_until=now() - timedelta(seconds=1)))
    run_job(job.id)
    db.session.expire_all()
    assert (client_import.state, counts(client_import)) == ("done", (30, 0, 0, 2))
    assert refusals(client_import)[31] == "The client number 5 stands in row 5 already."
    assert db.session.scalar(select(func.count(Consent.id))) == 30
    assert db.session.get_one(Job, job.id).state == "done"


def test_of_numbers_that_stand_in_chunks_loaded_side_by_side_the_first_row_counts(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "CHUNK_ROWS", 4)
    numbers = [f"{row % 17 + 1}" for row in range(60)]
    text = "number,name\n" + "".join(f"{number},row {row}\n" for row, number in enumerate(numbers, start=1))
    client_import = run(text, {"columns": {"number": {"column": "number"}, "name": {"column": "name"}}})
    assert counts(client_import) == (17, 0, 0, 43)
    assert {client.name for client in clients().values()} == {f"row {row}" for row in range(1, 18)}
    assert refusals(client_import)[18] == "The client number 1 stands in row 1 already."
    assert refusals(client_import)[60] == "The client number 9 stands in row 9 already."


def test_a_worker_that_lost_its_lease_records_nothing(app: Flask) -> None:
    client_import, job = start("number\n1\n2\n", BY_COLUMN)
    claimed = claim(job.id)
    assert claimed is not None
    with unit_of_work() as session:
        session.execute(update(Job).values(lease_until=now() - timedelta(seconds=1)))
    assert claim(job.id) is not None
    with pytest.raises(LeaseLost):
        importing.run_import(lease=claimed[0], import_id=client_import.id)
    db.session.rollback()
    assert clients() == {}


def test_a_client_whom_somebody_else_creates_at_the_same_moment_is_updated_on_the_second_try(app: Flask) -> None:
    branch_id = make_branch().id
    client_import, job = start(
        "number,name\n1,Ana\n2,Bo\n", {"columns": {"number": {"column": "number"}, "name": {"column": "name"}}}
    )
    with db.engine.connect() as other:
        other.execute(insert(Client).values(number="2", name="Somebody", branch_id=branch_id))

        def work() -> None:
            with app.app_context():
                run_job(job.id)

        worker = Thread(target=work)
        worker.start()
        with db.engine.connect() as watch:
            while not watch.execute(text("SELECT 1 FROM pg_locks WHERE NOT granted")).first():
                watch.rollback()
        other.commit()
        worker.join()
    db.session.expire_all()
    assert clients().keys() == {"2"}
    with unit_of_work() as session:
        session.execute(update(Job).values(run_at=now()))
    run_job(job.id)
    db.session.expire_all()
    assert (client_import.state, counts(client_import)) == ("done", (1, 1, 0, 0))
    assert {client.name for client in clients().values()} == {"Ana", "Bo"}


def test_a_file_of_addresses_alone_can_be_imported(app: Flask) -> None:
    mapping = {"columns": {"number": {"template": "lead-{row_number}"}, "email": {"column": "email"}}}
    assert counts(run("email\na@example.com\nb@example.com\n", mapping)) == (2, 0, 0, 0)
    assert set(clients()) == {"lead-1", "lead-2"}


def test_new_words_join_the_choices_of_a_field(app: Flask) -> None:
    with unit_of_work():
        service.define_field(key="tier", label="Tier", type="choice", choices=["gold"])
    run("number,tier\n1,gold\n2,silver\n", BY_COLUMN)
    assert db.session.scalars(select(CustomField.choices)).all() == [["gold", "silver"]]


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ([], "JSON object"),
        ({"columns": {}}, "client number"),
        ({"columns": {"shoe_size": {"column": "x"}}}, "no target"),
        ({"columns": {"number": {"column": "x", "constant": "y"}}}, "one source"),
        ({"columns": {"number": {"row_number": False}}}, "not written"),
        ({"columns": {"number": {"row_number": True}}, "colums": {}}, "colums"),
        ({"columns": {"number": {"row_number": True}}, "date_order": "ymd"}, "date_order"),
        ({"columns": {"number": {"row_number": True}}, "new_fields": {"a": {"type": "colour"}}}, "type"),
        ({"columns": {"number": {"row_number": True}}, "missing": "unknown"}, "list of the words"),
        ({"columns": {"number": {"row_number": True}}, "region": "China"}, "country code"),
    ],
)
def test_a_mapping_that_is_wrong_says_where(app: Flask, mapping: Any, words: str) -> None:
    with pytest.raises(BadMapping) as refusal:
        read_mapping(mapping)
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"columns": {"number": {"column": "nr"}}}, "no column “nr”"),
        ({"columns": {"number": {"template": "{row_number}-{nr}"}}}, "no column “nr”"),
        ({"columns": {"number": {"column": "number"}, "email_consent": {"constant": "maybe"}}}, "neither yes nor no"),
        ({"columns": {"number": {"column": "number"}, "custom.age": {"column": "x"}}}, "no field “age”"),
    ],
)
def test_a_mapping_that_does_not_fit_the_file_is_refused_before_anything_runs(
    app: Flask, mapping: Any, words: str
) -> None:
    client_import = upload("number,x\n1,2\n3,4\n")
    with pytest.raises(BadMapping) as refusal, unit_of_work():
        importing.start_import(client_import=client_import, mapping=mapping, actor=None)
    assert words in str(refusal.value)
    db.session.expire_all()
    assert client_import.state == "uploaded"
    assert db.session.scalars(select(CustomField)).first() is None


def test_an_import_is_started_once(app: Flask) -> None:
    client_import, _job = start("number\n1\n2\n", BY_COLUMN)
    with pytest.raises(importing.AlreadyRunning), unit_of_work():
        importing.start_import(client_import=client_import, mapping=BY_COLUMN, actor=None)


def test_the_preview_writes_nothing_and_names_the_problems(app: Flask) -> None:
    make_client(number="1")
    client_import = upload("number,email,age\n1,a@example.com,7\n2,nobody,8\n1,c@example.com,9\n")
    samples = importing.samples_of(client_import)
    mapping = importing.suggested_mapping(client_import, samples)
    shown = importing.preview(client_import=client_import, mapping=mapping, actor=None)
    assert (shown.refused, shown.known) == (2, 1)
    assert [row.reason for row in shown.rows] == [
        None,
        "email: “****” is not a complete e-mail address.",
        "The client number 1 stands in row 1 already.",
    ]
    assert len(clients()) == 1
    assert db.session.scalars(select(CustomField)).first() is None


def test_reasons_are_told_in_the_importers_language(app: Flask) -> None:
    done = run("number,email\n1,x\n2,b@example.com\n", {
        "columns": {"number": {"column": "number"}, "email": {"column": "email"}}
    }, actor=make_user(locale="zh_CN"))  # fmt: skip
    assert counts(done) == (1, 0, 0, 1)


def flask_command(*args: str) -> list[str]:
    return [sys.executable, "-m", "flask", "--app", "wsgi", "clients", "import", *args]


def test_the_command_imports_and_prints_the_counts(app: Flask, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("nr,mail\n1,a@example.com\n2,x\n")
    mapping = {"columns": {"number": {"column": "nr"}, "email": {"column": "mail"}}}
    (tmp_path / "m.json").write_text(json.dumps(mapping))
    refused = tmp_path / "refused.csv"
    done = subprocess.run(
        flask_command(str(tmp_path / "a.csv"), "--mapping", str(tmp_path / "m.json"), "--refused", str(refused)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "created 1\nupdated 0\nunchanged 0\nrefused 1\n"), done.stderr
    assert "2 of 2 rows" in done.stderr
    assert "not a complete e-mail address" in refused.read_text("utf-8-sig")


def test_the_command_fails_with_a_sentence(app: Flask, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"%PDF-1.4 nothing")
    (tmp_path / "m.json").write_text(json.dumps(BY_COLUMN))
    done = subprocess.run(
        flask_command(str(tmp_path / "a.csv"), "--mapping", str(tmp_path / "m.json")),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "This is a PDF" in done.stderr


def test_a_command_killed_in_the_middle_is_finished_by_a_worker(app: Flask, tmp_path: Path) -> None:
    rows = 60_000
    (tmp_path / "a.csv").write_text("nr,mail\n" + "".join(f"{i},c{i}@example.com\n" for i in range(rows)))
    mapping = {"columns": {"number": {"column": "nr"}, "email": {"column": "mail"}, "email_consent": {"constant": "y"}}}
    (tmp_path / "m.json").write_text(json.dumps(mapping))
    process = subprocess.Popen(
        flask_command(str(tmp_path / "a.csv"), "--mapping", str(tmp_path / "m.json")), stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert "rows" in process.stderr.readline()
    process.kill()
    process.communicate()
    client_import, job = db.session.scalars(select(ClientImport)).one(), db.session.scalars(select(Job)).one()
    assert client_import.state == "running"
    assert 0 < client_import.rows_done < rows
    with unit_of_work() as session:
        session.execute(update(Job).values(lease_until=datetime(2026, 1, 1, tzinfo=UTC)))
    run_job(job.id)
    db.session.expire_all()
    assert (client_import.state, counts(client_import)) == ("done", (rows, 0, 0, 0))
    assert db.session.scalar(select(func.count(Client.id))) == rows
    assert db.session.scalar(select(func.count(Consent.id))) == rows


def test_identity_numbers_fill_their_column_and_are_shown_masked(app: Flask) -> None:
    text = "number,ID card,pro,quiet\n1,110101199003074477,yes,yes\n2,!!secret-number!!,no,no\n"
    client_import = upload(text)
    mapping = importing.suggested_mapping(client_import, importing.samples_of(client_import))
    assert mapping.columns["identity_number"] == {"column": "ID card"}
    shown = importing.preview(client_import=client_import, mapping=mapping, actor=None)
    assert shown.rows[0].cells[1] == "****4477"
    assert "secret" not in str(shown.rows[1].reason)
    columns = {"number": "number", "identity_number": "ID card", "professional_investor": "pro"}
    targets = {target: {"column": name} for target, name in (columns | {"personalisation_refused": "quiet"}).items()}
    run(text, {"columns": targets})
    client = clients()["1"]
    assert (client.identity_number, client.professional_investor) == ("110101199003074477", True)
    run(text.replace("yes,yes", "yes,no"), {"columns": targets})
    assert clients()["1"].personalisation_refused, "a file never takes this choice back"
