"""Leaving: by one click in the mail program, on the page, and by mail."""

import json

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.channels.email.mime import MimeBuilder
from app.channels.email.sendgrid import request_body
from app.clients.models import Client, Consent
from app.core.clock import now
from app.core.extensions import db, links
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Message
from app.tracking.mail.receiving import receive_reply
from app.tracking.models import Event, Reply
from tests.factories.mail import ENVELOPE, TEMPLATE, make_email
from tests.factories.tracking import interpret, make_mail, make_sent_messages, reload


def _path(message: Message) -> str:
    return links().unsubscribe(message.id).removeprefix("http://localhost")


def _consent(message: Message) -> bool | None:
    db.session.expire_all()
    return db.session.get_one(Client, message.client_id).email_consent


def test_a_get_asks_and_changes_nothing(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    answer = browser_client.get(_path(message))
    assert answer.status_code == 200
    assert b"<form" in answer.data
    assert _consent(message) is True
    assert db.session.scalar(select(func.count(Event.id))) == 0


@pytest.mark.parametrize(
    ("form", "source"), [({"List-Unsubscribe": "One-Click"}, "one-click"), ({"confirm": "1"}, "page")]
)
def test_a_post_without_cookies_withdraws_consent_at_once(
    app: Flask, form: dict[str, str], source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)
    (message,) = make_sent_messages()
    client = app.test_client(use_cookies=False)
    answer = client.post(_path(message), data=form)
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers
    assert _consent(message) is False
    assert reload(message).unsubscribed_at is not None
    consent = db.session.scalars(select(Consent)).one()
    assert (consent.granted, consent.channel, consent.source) == (False, "email", source)


def test_saying_it_again_leaves_the_first_time_and_one_piece_of_evidence(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    browser_client.post(_path(message), data={"List-Unsubscribe": "One-Click"})
    first = reload(message).unsubscribed_at
    assert browser_client.post(_path(message), data={"confirm": "1"}).status_code == 200
    interpret()
    assert reload(message).unsubscribed_at == first
    assert db.session.scalar(select(func.count(Consent.id))) == 1
    assert db.session.scalar(select(func.count(Event.id))) == 2


def test_a_forged_address_is_not_found(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    path = _path(message)
    forged = path[:5] + ("A" if path[5] != "A" else "B") + path[6:]
    assert browser_client.get(forged).status_code == 404
    assert browser_client.post(forged, data={"List-Unsubscribe": "One-Click"}).status_code == 404
    assert _consent(message) is True


def test_a_test_messages_link_says_that_it_is_one(browser_client: FlaskClient) -> None:
    path = links().unsubscribe(0).removeprefix("http://localhost")
    assert b"test message" in browser_client.post(path, data={"confirm": "1"}).data


def test_the_page_speaks_the_clients_language(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    answer = browser_client.get(_path(message), headers={"Accept-Language": "zh-CN,zh;q=0.9"})
    assert b'lang="zh-CN"' in answer.data


def test_a_mail_to_the_unsubscribe_address_does_the_same(app: Flask) -> None:
    (message,) = make_sent_messages()
    address = links().unsubscribe_address(message.id)
    with unit_of_work():
        assert receive_reply(raw=make_mail(to=address, text="", subject="unsubscribe"), recipient=address) is None
    assert _consent(message) is False
    assert db.session.scalar(select(func.count(Reply.id))) == 0


@pytest.mark.parametrize(
    "head",
    [
        {"Auto_Submitted": "auto-generated"}, {"Auto_Submitted": "auto-replied"}, {"Precedence": "bulk"},
        {"Precedence": "list"}, {"X_Auto_Response_Suppress": "All"}, {"X_Autoreply": "yes"},
        {"Return_Path": "<client@example.com>"},
    ],
)  # fmt: skip
def test_it_is_a_wish_whatever_program_wrote_it(app: Flask, head: dict[str, str]) -> None:
    (message,) = make_sent_messages()
    address = links().unsubscribe_address(message.id)
    with unit_of_work():
        receive_reply(raw=make_mail(to=address, text="unsubscribe", subject="unsubscribe", **head), recipient=address)
    assert _consent(message) is False
    assert reload(message).unsubscribed_at is not None


def test_what_a_mail_system_returns_there_is_no_wish(app: Flask) -> None:
    (message,) = make_sent_messages()
    address = links().unsubscribe_address(message.id)
    mailer = make_mail(to=address).replace(b"client@example.com", b"MAILER-DAEMON@mx.example.com")
    for raw in (make_mail(to=address, Return_Path="<>"), mailer):
        with unit_of_work():
            receive_reply(raw=raw, recipient=address)
    assert _consent(message) is True
    assert reload(message).unsubscribed_at is None


def test_an_absence_note_to_another_address_is_no_wish(app: Flask) -> None:
    (message,) = make_sent_messages()
    for address in (links().reply_address(message.id), links().bounce_address(message.id)):
        with unit_of_work():
            raw = make_mail(to=address, text="unsubscribe", Auto_Submitted="auto-replied")
            receive_reply(raw=raw, recipient=address)
    assert _consent(message) is True


@pytest.mark.parametrize("vendor", ["smtp", "sendgrid"])
def test_the_unsubscribe_address_stands_in_its_header_alone(vendor: str) -> None:
    """Nothing is sent from it and nothing asks to be answered to it, so no absence note can come to it."""
    email = make_email(7)
    if vendor == "smtp":
        sent = MimeBuilder(TEMPLATE, ENVELOPE).build(email, now()).decode()
    else:
        sent = json.dumps(request_body(TEMPLATE, ENVELOPE, [email]))
    assert sent.count(email.unsubscribe_address) == 1
    assert f"<mailto:{email.unsubscribe_address}>" in sent
