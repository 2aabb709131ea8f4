"""Leaving: by one click in the mail program, on the page, and by mail."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.clients.models import Client, Consent
from app.core.extensions import db, links
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Message
from app.tracking.mail.receiving import receive_reply
from app.tracking.models import Event, Reply
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


def test_an_automatic_answer_to_the_unsubscribe_address_does_nothing(app: Flask) -> None:
    (message,) = make_sent_messages()
    address = links().unsubscribe_address(message.id)
    with unit_of_work():
        receive_reply(raw=make_mail(to=address, Auto_Submitted="auto-replied"), recipient=address)
    assert _consent(message) is True
