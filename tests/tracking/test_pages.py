"""The pages of staff: replies, account openings, the local mailbox; and the command line."""

import io
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.channels.email.models import MailboxMessage
from app.clients.timeline import timeline
from app.core.clock import now
from app.core.extensions import db, links
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.tracking.mail.receiving import receive_reply
from app.tracking.models import AccountOpening, Attribution, OpeningImport, Reply
from app.tracking.openings.files import find_columns
from tests.factories.clients import make_client
from tests.factories.tracking import interpret, make_events, make_mail, make_sent_messages
from tests.factories.users import make_branch, make_user, sign_in


def _reply(text: str = "Please call me.", **headers: str) -> Reply:
    (message,) = make_sent_messages()
    address = links().reply_address(message.id)
    with unit_of_work():
        reply = receive_reply(raw=make_mail(to=address, text=text, **headers), recipient=address)
        assert reply is not None
        return reply


def _officer(client: FlaskClient) -> FlaskClient:
    return sign_in(client, make_user(role=Role.MARKETING))


# ---- Replies --------------------------------------------------------------------------------------------------------


def test_replies_are_listed_newest_first_without_the_automatic_ones(browser_client: FlaskClient) -> None:
    _reply("The first one")
    _reply("I am away", Auto_Submitted="auto-replied")
    _reply("<script>alert(1)</script>")
    page = _officer(browser_client).get("/replies").text
    assert page.index("&lt;script&gt;") < page.index("The first one")
    assert "<script>alert" not in page
    assert "I am away" not in page
    assert "I am away" in browser_client.get("/replies?view=automatic").text


def test_an_empty_list_says_what_it_is_for(browser_client: FlaskClient) -> None:
    assert "No replies yet" in _officer(browser_client).get("/replies").text


def test_a_reply_is_shown_as_text(browser_client: FlaskClient) -> None:
    reply = _reply("Line one\n<b>two</b>")
    page = _officer(browser_client).get(f"/replies/{reply.id}").text
    assert "&lt;b&gt;two&lt;/b&gt;" in page


def test_replies_of_clients_elsewhere_are_not_seen(browser_client: FlaskClient) -> None:
    reply = _reply("From the head office")
    sign_in(browser_client, make_user(role=Role.MARKETING, branch=make_branch()))
    assert "From the head office" not in browser_client.get("/replies").text
    assert browser_client.get(f"/replies/{reply.id}").status_code == 404


def test_the_list_goes_on_to_older_and_newer_replies(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    for number in range(60):
        with unit_of_work():
            receive_reply(raw=make_mail(to=f"x{number}"), recipient=links().reply_address(message.id)) or None
    assert db.session.scalar(select(func.count(Reply.id))) == 60
    _officer(browser_client)
    assert "older=11" in browser_client.get("/replies").text
    older = browser_client.get("/replies?older=11").text
    assert "newer=10" in older
    assert 'rel="next"' not in older


# ---- Account openings -----------------------------------------------------------------------------------------------


def _upload(client: FlaskClient, content: bytes, name: str = "openings.csv"):  # type: ignore[no-untyped-def]
    return client.post(
        "/account-openings/import", data={"file": (io.BytesIO(content), name)}, content_type="multipart/form-data"
    )


def test_a_file_is_read_credited_and_explained(browser_client: FlaskClient) -> None:
    client = make_client(number="77")
    make_sent_messages(clients=[client.id], sent_at=now() - timedelta(days=3))
    day = (now() - timedelta(days=1)).date().isoformat()
    content = (
        f"客户号;开户日期;产品;金额\n77;{day};基金;1,000.50\n78;{day};A股;\n;{day};;\n79;soon;;\n80;2999-01-01;;\n"
    )
    answer = _upload(_officer(browser_client), content.encode("gb18030"))
    assert answer.status_code == 302
    done = db.session.scalars(select(OpeningImport)).one()
    assert (done.rows, done.taken, done.known, len(done.refused)) == (5, 2, 0, 3)
    page = browser_client.get(answer.headers["Location"]).text
    assert "“soon” is not a date." in page
    assert db.session.scalar(select(func.count()).select_from(Attribution)) == 1
    listed = browser_client.get("/account-openings").text
    assert "基金" in listed
    assert "Client unknown" in listed
    refused = browser_client.get(f"/account-openings/import/{done.id}/refused.csv")
    assert refused.text.count("\n") == 4


def test_the_same_file_again_takes_nothing_new(browser_client: FlaskClient) -> None:
    content = b"client_number,opened_at\n1,2026-03-01\n2,2026-03-02T10:00:00+08:00\n"
    _officer(browser_client)
    _upload(browser_client, content)
    _upload(browser_client, content)
    first, second = db.session.scalars(select(OpeningImport).order_by(OpeningImport.id))
    assert (first.taken, second.taken, second.known) == (2, 0, 2)
    times = {row.opened_at.isoformat() for row in db.session.scalars(select(AccountOpening))}
    assert times == {"2026-03-01T23:59:59.999999+00:00", "2026-03-02T02:00:00+00:00"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "empty"),
        (b"name,amount\nx,1\n", "client_number"),
        (b"%PDF-1.4", "PDF"),
    ],
)
def test_a_file_that_will_not_do_is_refused_with_a_sentence(
    browser_client: FlaskClient, content: bytes, sentence: str
) -> None:
    answer = _upload(_officer(browser_client), content)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert db.session.scalar(select(func.count(OpeningImport.id))) == 0


def test_no_file_chosen_is_said(browser_client: FlaskClient) -> None:
    assert "Please choose a file." in _officer(browser_client).post("/account-openings/import").text


def test_who_only_reads_may_not_upload(browser_client: FlaskClient) -> None:
    sign_in(browser_client, make_user(role=Role.HEAD_OFFICE))
    assert browser_client.get("/account-openings").status_code == 200
    assert browser_client.get("/account-openings/import").status_code == 403


@pytest.mark.parametrize("state", ["credited", "unprompted", "unmatched", "waiting", "nonsense"])
def test_every_state_can_be_asked_for(browser_client: FlaskClient, state: str) -> None:
    assert _officer(browser_client).get(f"/account-openings?state={state}").status_code == 200


def test_columns_are_known_by_many_names() -> None:
    assert find_columns(["Client No.", "Opening Date", "x", "ID"]) == {
        "client_number": 0,
        "opened_at": 1,
        "external_id": 3,
    }


def test_openings_are_imported_from_the_command_line(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "openings.csv"
    file.write_text("client_number,opened_at\n1,2026-03-01\n2,never\n")
    result = app.test_cli_runner().invoke(args=["tracking", "import-openings", str(file)])
    assert (result.exit_code, result.stdout) == (0, "2 rows: 1 taken, 0 known already, 1 refused.\n")
    file.write_text("")
    assert app.test_cli_runner().invoke(args=["tracking", "import-openings", str(file)]).exit_code == 1


def test_events_are_interpreted_anew_from_the_command_line(app: Flask) -> None:
    (message,) = make_sent_messages()
    make_events([{"kind": "open", "message_id": message.id}])
    interpret()
    result = app.test_cli_runner().invoke(args=["tracking", "reinterpret"])
    assert (result.exit_code, result.output) == (0, "1 events interpreted.\n")
    assert app.test_cli_runner().invoke(args=["tracking", "reinterpret", "--campaign", "none"]).exit_code == 1
    assert app.test_cli_runner().invoke(args=["tracking", "credit-openings"]).exit_code == 0


# ---- The local mailbox ----------------------------------------------------------------------------------------------


def _delivered(subject: str = "Market brief") -> MailboxMessage:
    (message,) = make_sent_messages()
    pixel, click = links().open_pixel(message.id), links().click(message.id, 0, "https://example.com/")
    mime = (
        f"From: Firm <news@example.com>\r\nTo: c1@example.com\r\nSubject: {subject}\r\n"
        f"Reply-To: <{links().reply_address(message.id)}>\r\nMessage-ID: <m1@example.com>\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/alternative; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nThe plain words\r\n"
        "--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
        f'<html><head><title>x</title></head><body><a href="{click}">Read</a><img src="{pixel}"></body></html>\r\n'
        "--b--\r\n"
    )
    with unit_of_work() as session:
        kept = MailboxMessage(
            recipient="c1@example.com", sender="news@example.com", subject=subject, mime=mime.encode()
        )
        session.add(kept)
    return kept


def test_messages_are_found_by_the_beginning_of_the_address(browser_client: FlaskClient) -> None:
    _delivered()
    _officer(browser_client)
    assert "Market brief" in browser_client.get("/mailbox?recipient=C1@").text
    assert "No message to such an address" in browser_client.get("/mailbox?recipient=c2").text


def test_a_message_is_shown_in_a_sandbox_whose_links_open_outside(browser_client: FlaskClient) -> None:
    kept = _delivered()
    _officer(browser_client)
    assert "<iframe" in browser_client.get(f"/mailbox/{kept.id}").text
    assert "The plain words" in browser_client.get(f"/mailbox/{kept.id}?part=text").text
    assert "Reply-To" in browser_client.get(f"/mailbox/{kept.id}?part=headers").text
    answer = browser_client.get(f"/mailbox/{kept.id}/html")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-popups")
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert '<head><base target="_blank">' in answer.text


def test_an_answer_arrives_among_the_replies(browser_client: FlaskClient) -> None:
    kept = _delivered()
    answer = _officer(browser_client).post(f"/mailbox/{kept.id}/answer", data={"text": "Yes please"})
    assert answer.status_code == 302
    assert "Yes please" in browser_client.get("/replies").text
    assert browser_client.post(f"/mailbox/{kept.id}/answer", data={"text": ""}).status_code == 422


def test_the_time_line_of_a_client_tells_what_came_back(app: Flask) -> None:
    (message,) = make_sent_messages()
    make_events([{"kind": "click", "message_id": message.id}])
    interpret()
    kinds = {entry.kind for entry in timeline([message.client_id]).entries}
    assert {"opened", "clicked"} <= kinds
