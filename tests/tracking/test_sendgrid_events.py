"""The vendor's event webhook: signed requests, its words, repeats."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.core.clock import now
from app.core.extensions import db, signer
from app.core.tokens import Kind
from app.tracking.intake import Intake
from app.tracking.models import Event
from tests.factories.tracking import Vendor, interpret, make_sent_messages, reload
from tests.tracking.samples import sample_files


@pytest.fixture
def vendor(app: Flask) -> Iterator[Vendor]:
    vendor = Vendor()
    config = app.extensions["bellwether_config"]
    app.extensions["bellwether_config"] = replace(config, sendgrid_webhook_key=vendor.public_key)
    yield vendor
    app.extensions["bellwether_config"] = config


def _count() -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count(Event.id))) or 0


def _report(message_id: int, event: str, **fields: Any) -> dict[str, Any]:
    return {
        "email": "c1@example.com",
        "timestamp": int(now().timestamp()),
        "event": event,
        "sg_event_id": f"id-{event}",
        "sg_message_id": "m.1",
        "bw": signer().sign(Kind.REPLY, message_id),
    } | fields


@pytest.mark.parametrize("path", sample_files("sendgrid/events/*.json"))
def test_every_example_of_the_vendor_is_taken_once(browser_client: FlaskClient, vendor: Vendor, path: Path) -> None:
    body = path.read_bytes()
    reports = json.loads(body)
    assert vendor.post(browser_client, body).status_code == 200
    assert _count() == (len(reports) if isinstance(reports, list) else 1)
    interpret()
    assert db.session.scalar(select(func.count(Event.id)).where(Event.interpreted_at.is_(None))) == 0


@pytest.mark.parametrize("path", sample_files("sendgrid/events/docs-event-0*.json"))
def test_an_example_that_comes_again_is_not_kept_again(browser_client: FlaskClient, vendor: Vendor, path: Path) -> None:
    body = path.read_bytes()
    vendor.post(browser_client, body)
    before = _count()
    assert vendor.post(browser_client, body).status_code == 200
    assert _count() == before


def test_reports_reach_their_message(browser_client: FlaskClient, vendor: Vendor) -> None:
    (message,) = make_sent_messages()
    words = ["processed", "delivered", "open", "click", "spamreport", "group_unsubscribe"]
    vendor.post(browser_client, json.dumps([_report(message.id, word) for word in words]).encode())
    interpret()
    reload(message)
    assert message.delivered_at is not None
    assert message.clicked_at is not None
    assert message.complained_at is not None
    assert message.unsubscribed_at is not None
    assert message.bounced_at is None


def test_a_repeat_under_a_new_event_id_is_the_same_report(browser_client: FlaskClient, vendor: Vendor) -> None:
    (message,) = make_sent_messages()
    report = _report(message.id, "delivered")
    for event_id in ("first", "second"):
        vendor.post(browser_client, json.dumps([report | {"sg_event_id": event_id}]).encode())
    assert _count() == 1


def test_a_word_we_do_not_know_is_kept_as_other(browser_client: FlaskClient, vendor: Vendor) -> None:
    (message,) = make_sent_messages()
    assert vendor.post(browser_client, json.dumps([_report(message.id, "teleported")]).encode()).status_code == 200
    event = db.session.scalars(select(Event)).one()
    assert (event.kind, event.message_id) == ("other", message.id)
    assert event.payload is not None
    assert event.payload["event"] == "teleported"


def test_a_forged_message_id_is_not_believed(browser_client: FlaskClient, vendor: Vendor) -> None:
    (message,) = make_sent_messages()
    for token in ("x", signer().sign(Kind.OPEN, message.id), None, 7):
        vendor.post(browser_client, json.dumps([_report(message.id, "click", bw=token)]).encode())
    interpret()
    assert reload(message).clicked_at is None


@pytest.mark.parametrize("age", [timedelta(hours=26), timedelta(minutes=-20)])
def test_a_signature_out_of_its_time_is_refused(browser_client: FlaskClient, vendor: Vendor, age: timedelta) -> None:
    assert vendor.post(browser_client, b"[]", at=now() - age).status_code == 403


def test_a_retry_of_a_day_is_accepted(browser_client: FlaskClient, vendor: Vendor) -> None:
    assert vendor.post(browser_client, b"[]", at=now() - timedelta(hours=24)).status_code == 200


def test_an_altered_body_or_a_strangers_key_is_refused(browser_client: FlaskClient, vendor: Vendor) -> None:
    body = json.dumps([_report(1, "open")]).encode()
    assert vendor.post(browser_client, body, signed=body + b" ").status_code == 403
    assert Vendor().post(browser_client, body).status_code == 403
    assert browser_client.post("/webhooks/sendgrid/events", data=body).status_code == 403
    assert _count() == 0


def test_the_bytes_are_what_is_signed(browser_client: FlaskClient, vendor: Vendor) -> None:
    body = b'[ {"event":"open",  "timestamp":1513299569, "url":"caf\xc3\xa9"}\r\n]'
    assert vendor.post(browser_client, body).status_code == 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b"7", b"[1]", b'"x"', b"null", b"[" * 100_000, b"\xff\xfe", b"[" + b"9" * 5000 + b"]"]
)
def test_what_is_no_list_of_events_is_refused(browser_client: FlaskClient, vendor: Vendor, body: bytes) -> None:
    assert vendor.post(browser_client, body).status_code == 400


def test_hostile_values_are_stored_harmlessly(browser_client: FlaskClient, vendor: Vendor) -> None:
    body = (
        b'[{"event":"open","timestamp":NaN,"useragent":"a\\u0000b\\ud800","ip":7,"x":[1e999,{"\\u0000":"\\ud800"}]},'
        b'{"event":["x"],"timestamp":1e300},{"event":"open","timestamp":-1e18},{"event":"open","timestamp":true}]'
    )
    assert vendor.post(browser_client, body).status_code == 200
    assert _count() == 4


@pytest.mark.parametrize("ahead", [timedelta(minutes=6), timedelta(days=400), timedelta(days=365 * 900)])
def test_nothing_happens_in_the_future(browser_client: FlaskClient, vendor: Vendor, ahead: timedelta) -> None:
    (message,) = make_sent_messages()
    report = _report(message.id, "open", timestamp=int((now() + ahead).timestamp()))
    assert vendor.post(browser_client, json.dumps([report]).encode()).status_code == 200
    interpret()
    opened_at = reload(message).opened_at
    assert opened_at is not None
    assert opened_at <= now()


def test_a_report_of_a_clock_a_little_ahead_is_known_when_it_comes_again(
    browser_client: FlaskClient, vendor: Vendor
) -> None:
    (message,) = make_sent_messages()
    body = json.dumps([_report(message.id, "open", timestamp=int((now() + timedelta(minutes=2)).timestamp()))]).encode()
    for _again in range(2):
        assert vendor.post(browser_client, body).status_code == 200
    assert _count() == 1


@pytest.mark.parametrize("levels", [200, 450, *range(850, 1_000, 10), 5_000])
@pytest.mark.parametrize("name", ["x", "bw", "event", "timestamp", "email", "url"])
def test_however_deeply_a_report_is_nested_the_answer_is_a_sentence(
    browser_client: FlaskClient, vendor: Vendor, name: str, levels: int
) -> None:
    for more in ("", ', "y": "\\u0000"', ', "y": NaN'):
        body = f'[{{"event": "open", "{name}": {"[" * levels}{"]" * levels}{more}}}]'.encode()
        answer = vendor.post(browser_client, body)
        assert (answer.status_code, answer.mimetype) in ((200, "text/plain"), (400, "text/plain"))


def test_without_a_key_the_route_says_that_it_is_not_set_up(browser_client: FlaskClient) -> None:
    answer = browser_client.post("/webhooks/sendgrid/events", data=b"[]")
    assert answer.status_code == 503
    assert "SENDGRID_WEBHOOK_KEY" in answer.text


def test_while_the_database_is_away_the_vendor_is_asked_to_try_again(
    app: Flask, browser_client: FlaskClient, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = Intake("postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setitem(app.extensions, "bellwether_intake", dead)
    assert vendor.post(browser_client, json.dumps([_report(1, "open")]).encode()).status_code == 503
