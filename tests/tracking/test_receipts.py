"""Signed receipts of any system: who may send them, what they mean, and what is refused."""

import hmac
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from app.core.clock import now
from app.core.extensions import db, signer
from app.core.tokens import Kind
from app.tracking.intake import Intake
from app.tracking.models import Event
from app.tracking.reported import MAX_REPORTS
from tests.factories.tracking import interpret, make_sent_messages, reload

KEY = "the receipts' key of the tests"


@pytest.fixture
def keyed(app: Flask) -> Iterator[Flask]:
    config = app.extensions["bellwether_config"]
    app.extensions["bellwether_config"] = replace(config, receipts_key=KEY)
    yield app
    app.extensions["bellwether_config"] = config


def _post(client: FlaskClient, body: bytes, *, at: datetime | None = None, **changes: Any) -> TestResponse:
    timestamp = str(int((at or now()).timestamp()))
    signed = changes.get("signed", timestamp.encode() + b"." + body)
    digest = hmac.digest(changes.get("key", KEY).encode(), signed, "sha256").hex()
    headers = {"Bellwether-Timestamp": timestamp, "Bellwether-Signature": f"v1={digest}"} | changes.get("headers", {})
    return client.post("/webhooks/receipts", data=body, headers=headers, content_type="application/json")


def _token(message_id: int) -> str:
    return signer().sign(Kind.REPLY, message_id)


def _count() -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count(Event.id))) or 0


def test_receipts_reach_their_message(browser_client: FlaskClient, keyed: Flask) -> None:
    (message,) = make_sent_messages()
    at = message.sent_at + timedelta(minutes=20)  # type: ignore[operator]
    reports = [
        {"message": _token(message.id), "event": "Delivered", "at": at.isoformat(), "id": "1"},
        {"message": _token(message.id), "event": "opened", "at": at.timestamp() + 60},
        {"message": _token(message.id), "event": "deferred", "at": str(int(at.timestamp()))},
    ]
    assert _post(browser_client, json.dumps(reports).encode()).status_code == 200
    interpret()
    reload(message)
    assert message.delivered_at == at
    assert message.opened_at == at + timedelta(seconds=60)
    assert message.deferred_at is not None


def test_a_single_report_needs_no_list(browser_client: FlaskClient, keyed: Flask) -> None:
    (message,) = make_sent_messages()
    body = json.dumps({"message": _token(message.id), "event": "bounced"}).encode()
    assert _post(browser_client, body).status_code == 200
    interpret()
    assert reload(message).bounced_at is not None


def test_a_report_that_comes_again_is_the_same_one(browser_client: FlaskClient, keyed: Flask) -> None:
    body = json.dumps([{"message": _token(1), "event": "delivered", "at": "2026-03-02T09:00:00Z", "id": "a"}]).encode()
    for age in (0, 60):
        assert _post(browser_client, body, at=now() - timedelta(seconds=age)).status_code == 200
    assert _count() == 1


def test_a_word_we_do_not_know_is_kept_as_other(browser_client: FlaskClient, keyed: Flask) -> None:
    (message,) = make_sent_messages()
    body = json.dumps([{"message": _token(message.id), "event": "teleported"}]).encode()
    assert _post(browser_client, body).status_code == 200
    event = db.session.scalars(select(Event)).one()
    assert (event.kind, event.message_id, (event.payload or {})["event"]) == ("other", message.id, "teleported")


def test_foreign_forged_and_other_tokens_name_no_message(browser_client: FlaskClient, keyed: Flask) -> None:
    (message,) = make_sent_messages()
    whole = _token(message.id)
    tokens = ["x", whole[:-2], whole[:5] + "zz" + whole[7:], signer().sign(Kind.OPEN, message.id), None, 7, [whole]]
    body = json.dumps([{"message": token, "event": "delivered"} for token in tokens]).encode()
    assert _post(browser_client, body).status_code == 200
    interpret()
    assert reload(message).delivered_at is None
    assert {event.message_id for event in db.session.scalars(select(Event))} == {None}


def test_nothing_happens_in_the_future(browser_client: FlaskClient, keyed: Flask) -> None:
    (message,) = make_sent_messages()
    ahead = (now() + timedelta(days=400)).isoformat()
    _post(browser_client, json.dumps([{"message": _token(message.id), "event": "delivered", "at": ahead}]).encode())
    assert db.session.scalars(select(Event.at)).one() <= now()


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": {"Bellwether-Signature": ""}},
        {"headers": {"Bellwether-Timestamp": ""}},
        {"headers": {"Bellwether-Timestamp": "soon"}},
        {"headers": {"Bellwether-Timestamp": "9" * 40}},
        {"headers": {"Bellwether-Signature": "v1=" + "0" * 64}},
        {"headers": {"Bellwether-Signature": "v1=é"}},
        {"key": "another key"},
        {"signed": b"1.[]"},
        {"age": timedelta(minutes=11)},
        {"age": timedelta(minutes=-11)},
    ],
)
def test_unsigned_forged_and_stale_requests_are_refused(
    browser_client: FlaskClient, keyed: Flask, changes: dict[str, Any]
) -> None:
    body = json.dumps([{"message": _token(1), "event": "delivered"}]).encode()
    at = now() - changes.pop("age", timedelta())
    assert _post(browser_client, body, at=at, **changes).status_code == 403
    assert _count() == 0


def test_one_right_signature_of_several_is_enough(browser_client: FlaskClient, keyed: Flask) -> None:
    """Keys can be changed without a gap: for a while the sender signs with both."""
    timestamp = str(int(now().timestamp()))
    right = hmac.digest(KEY.encode(), timestamp.encode() + b".[]", "sha256").hex()
    headers = {"Bellwether-Timestamp": timestamp, "Bellwether-Signature": f"v1={'0' * 64}, v1={right}"}
    assert browser_client.post("/webhooks/receipts", data=b"[]", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b"7", b"[1]", b'"x"', b"null", b"[" * 100_000, b"\xff\xfe", b"[" + b"9" * 5000 + b"]"]
)
def test_what_is_no_list_of_receipts_is_refused(browser_client: FlaskClient, keyed: Flask, body: bytes) -> None:
    assert _post(browser_client, body).status_code == 400


def test_ten_megabytes_are_refused(browser_client: FlaskClient, keyed: Flask) -> None:
    assert _post(browser_client, b'[{"event": "' + b"x" * (10 << 20) + b'"}]').status_code == 413


def test_too_many_at_once_are_refused(browser_client: FlaskClient, keyed: Flask) -> None:
    assert _post(browser_client, json.dumps([{}] * (MAX_REPORTS + 1)).encode()).status_code == 413
    assert _count() == 0


def test_hostile_values_are_stored_harmlessly(browser_client: FlaskClient, keyed: Flask) -> None:
    body = (
        b'[{"event":"open","at":NaN,"user_agent":"a\\u0000b\\ud800","ip":7,"x":[1e999,{"\\u0000":"\\ud800"}]},'
        b'{"event":["x"],"at":1e300},{"event":"open","at":"0001-01-01T00:00:00+14:00"},{"event":"open","at":true},'
        b'{"event":{"a":1},"at":"9999-12-31T23:59:59-14:00","id":{"\\u0000":[]}},{"event":"open","at":-1e18}]'
    )
    assert _post(browser_client, body).status_code == 200
    assert _count() == 6
    assert interpret() == 6


@pytest.mark.parametrize("levels", [450, 900, 960, 5_000])
@pytest.mark.parametrize("name", ["x", "message", "event", "at", "id", "link"])
def test_however_deeply_a_receipt_is_nested_the_answer_is_a_sentence(
    browser_client: FlaskClient, keyed: Flask, name: str, levels: int
) -> None:
    for more in ("", ', "y": "\\u0000"', ', "y": NaN'):
        body = f'[{{"event": "open", "{name}": {"[" * levels}{"]" * levels}{more}}}]'.encode()
        answer = _post(browser_client, body)
        assert (answer.status_code, answer.mimetype) in ((200, "text/plain"), (400, "text/plain"))


def test_a_token_that_is_no_text_names_no_message(browser_client: FlaskClient, keyed: Flask) -> None:
    assert _post(browser_client, b'[{"event": "open", "message": "\\ud800"}]').status_code == 200
    assert db.session.scalars(select(Event.message_id)).one() is None


def test_without_a_key_the_route_says_that_it_is_not_set_up(browser_client: FlaskClient) -> None:
    answer = browser_client.post("/webhooks/receipts", data=b"[]")
    assert answer.status_code == 503
    assert "RECEIPTS_KEY" in answer.text


def test_while_the_database_is_away_the_sender_is_asked_to_try_again(
    keyed: Flask, browser_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = Intake("postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setitem(keyed.extensions, "bellwether_intake", dead)
    assert _post(browser_client, json.dumps([{"event": "delivered"}]).encode()).status_code == 503
