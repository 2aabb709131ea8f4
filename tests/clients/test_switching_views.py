"""The pages and the command of a switch."""

import io
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.clients.models import Client, Suppression
from app.clients.switching.models import ClientSwitch
from app.core.extensions import db
from app.core.jobs import run_job
from app.core.permissions import Role
from tests.clients.test_switching import LISTMONK, MAILCHIMP, zipped
from tests.factories.clients import make_client
from tests.factories.users import make_branch, make_user, sign_in


def send(browser: FlaskClient, data: bytes, name: str, **fields: str) -> str:
    answer = browser.post("/client-switches/", data={"file": (io.BytesIO(data), name), **fields}, follow_redirects=True)
    page: str = answer.get_data(as_text=True)
    return page


def work(switch: ClientSwitch) -> None:
    assert switch.job_id is not None
    run_job(switch.job_id)
    db.session.expire_all()


def test_an_archive_is_previewed_confirmed_and_taken_over(app: Flask, browser_client: FlaskClient) -> None:
    make_client(number="1", email="ann@example.com", email_consent=True)
    sign_in(browser_client, make_user(role=Role.MARKETING))
    page = send(browser_client, zipped(MAILCHIMP), "audience.zip", wording="Yes", legal_basis="web form")
    assert "Waiting for a worker" in page
    switch = db.session.scalars(select(ClientSwitch)).one()
    url = f"/client-switches/{switch.id}"
    assert "hx-get" in browser_client.get(f"{url}/progress").get_data(as_text=True)
    work(switch)
    assert browser_client.get(f"{url}/progress").headers["HX-Refresh"] == "true"
    page = browser_client.get(url).get_data(as_text=True)
    assert "This is a preview" in page
    assert db.session.scalars(select(Suppression)).first() is None
    browser_client.post(f"{url}/start")
    db.session.expire_all()
    work(switch)
    assert "What changed" in browser_client.get(url).get_data(as_text=True)
    assert db.session.scalars(select(Client.email_consent)).all() == [False]
    assert "audience.zip" in browser_client.get("/client-switches/").get_data(as_text=True)


def test_a_file_of_no_product_gets_a_sentence_and_nothing_is_kept(app: Flask, browser_client: FlaskClient) -> None:
    sign_in(browser_client, make_user(role=Role.MARKETING))
    assert "does not look like an export" in send(browser_client, b"a,b\n1,2\n3,4\n", "x.csv")
    assert "state the words" in send(browser_client, LISTMONK.encode(), "x.csv", wording="Yes")
    assert db.session.scalars(select(ClientSwitch)).first() is None


def test_the_files_of_others_are_not_shown(app: Flask, browser_client: FlaskClient) -> None:
    sign_in(browser_client, make_user(role=Role.MARKETING))
    send(browser_client, LISTMONK.encode(), "s.csv")
    switch = db.session.scalars(select(ClientSwitch)).one()
    other = app.test_client()
    sign_in(other, make_user(role=Role.MARKETING, branch=make_branch(code="N")))
    assert other.get(f"/client-switches/{switch.id}").status_code == 404


def test_without_the_permission_there_is_no_page(app: Flask, browser_client: FlaskClient) -> None:
    sign_in(browser_client, make_user(role=Role.ADVISER))
    assert browser_client.get("/client-switches/").status_code == 403


def test_the_command_tells_what_it_changed(app: Flask, tmp_path: Path) -> None:
    path = tmp_path / "subscribers.csv"
    path.write_text(LISTMONK)
    runner = app.test_cli_runner()
    told = runner.invoke(args=["clients", "switch", str(path), "--dry-run"]).output
    assert "suppressed 1" in told
    assert db.session.scalars(select(Suppression)).first() is None
    told = runner.invoke(args=["clients", "switch", str(path), "--from", "listmonk"]).output
    assert "opted_out 1" in told
    assert "row 3: “nobody” is not a complete e-mail address." in told
    assert db.session.scalars(select(Suppression.address)).all() == ["ann@example.com"]
    failed = runner.invoke(args=["clients", "switch", str(path), "--from", "braze"])
    assert failed.exit_code == 1
    assert "does not look like an export" in failed.output
