"""What strangers send: a clear answer, nothing half-written, never an error of ours."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from app.core.extensions import db, links, signer
from app.core.tokens import Kind, Signer
from app.tracking.models import Event
from app.tracking.reported import MAX_REPORTS, NotReports, read_reports
from tests.factories.tracking import INBOUND_TOKEN, Vendor, make_sent_messages

STRANGER = Signer("the secret key of somebody else, long enough")


@pytest.fixture
def vendor(app: Flask) -> Iterator[Vendor]:
    vendor = Vendor()
    config = app.extensions["bellwether_config"]
    app.extensions["bellwether_config"] = replace(config, sendgrid_webhook_key=vendor.public_key)
    yield vendor
    app.extensions["bellwether_config"] = config


def count() -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count(Event.id))) or 0


PUBLIC = {
    "/o/{}.gif": Kind.OPEN,
    "/c/{}": Kind.CLICK,
    "/u/{}": Kind.UNSUBSCRIBE,
    "/p/{}": Kind.PREFERENCES,
    "/v/{}": Kind.VIEW,
}
EXTRA = {Kind.CLICK: b"\0\0https://example.com/"}


@pytest.mark.parametrize("path", PUBLIC)
def test_truncated_tampered_and_foreign_tokens_open_nothing(browser_client: FlaskClient, path: str) -> None:
    (message,) = make_sent_messages()
    kind = PUBLIC[path]
    whole = signer().sign(kind, message.id, EXTRA.get(kind, b""))
    foreign = STRANGER.sign(kind, message.id, EXTRA.get(kind, b""))
    other_kinds = [signer().sign(one, message.id, EXTRA.get(one, b"")) for one in Kind if one not in (kind, Kind.TRAP)]
    forged = [whole[:cut] for cut in range(1, len(whole), 5)] + [foreign, whole + "A", whole + "=", whole.swapcase()]
    for token in (*forged, *other_kinds):
        answer = browser_client.get(path.format(token))
        assert answer.status_code == 404, token
        assert "Location" not in answer.headers
    assert count() == 0


def test_a_click_whose_target_was_changed_leads_nowhere(browser_client: FlaskClient) -> None:
    ours = signer().sign(Kind.CLICK, 1, b"\0\0https://example.com/")
    theirs = signer().sign(Kind.CLICK, 1, b"\0\0https://evil.example/")
    spliced = theirs[: len(theirs) // 2] + ours[len(theirs) // 2 :]
    assert browser_client.get(f"/c/{spliced}").status_code == 404


def test_a_hit_that_is_replayed_is_another_hit_and_changes_no_result(browser_client: FlaskClient) -> None:
    path = links().open_pixel(1).removeprefix("http://localhost")
    for _time in range(3):
        assert browser_client.get(path).status_code == 200
    assert count() == 3


def test_a_message_number_that_is_none_harms_nobody(browser_client: FlaskClient) -> None:
    for number in (0, -1, 2**63 - 1, -(2**63)):
        assert browser_client.get(f"/o/{signer().sign(Kind.OPEN, number)}.gif").status_code == 200
        for path, kind in (("/u/{}", Kind.UNSUBSCRIBE), ("/p/{}", Kind.PREFERENCES), ("/v/{}", Kind.VIEW)):
            assert browser_client.get(path.format(signer().sign(kind, number))).status_code in (200, 404)
        assert browser_client.post(f"/p/{signer().sign(Kind.PREFERENCES, number)}").status_code == 200


TEN_MEGABYTES = b"x" * (10 << 20)


@pytest.mark.parametrize(
    "path",
    [
        "/webhooks/sendgrid/events",
        "/webhooks/twilio/status/x",
        "/webhooks/twilio/inbound",
        "/webhooks/receipts",
        "/webhooks/sms/1/receipts/x",
        "/webhooks/sms/1/inbound/x",
        f"/webhooks/sendgrid/inbound/{INBOUND_TOKEN}",
    ],
)
@pytest.mark.parametrize("media_type", ["application/json", "application/x-www-form-urlencoded", "text/plain", "x"])
def test_ten_megabytes_of_nothing_are_refused(
    browser_client: FlaskClient, vendor: Vendor, path: str, media_type: str
) -> None:
    answer = browser_client.post(path, data=TEN_MEGABYTES, content_type=media_type)
    assert answer.status_code in (400, 403, 413, 503)
    assert count() == 0


def test_ten_signed_megabytes_are_too_large(browser_client: FlaskClient, vendor: Vendor) -> None:
    assert vendor.post(browser_client, b'[{"event":"' + TEN_MEGABYTES + b'"}]').status_code == 413


@pytest.mark.parametrize("body", [b"[" + b"{}," * MAX_REPORTS + b"{}]", b"[" + b"{}," * 2_700_000 + b"{}]"])
def test_more_events_than_are_taken_are_refused(browser_client: FlaskClient, vendor: Vendor, body: bytes) -> None:
    assert vendor.post(browser_client, body).status_code == 413
    assert count() == 0


def test_a_redelivered_batch_is_the_same_batch_whatever_its_order(browser_client: FlaskClient, vendor: Vendor) -> None:
    token = signer().sign(Kind.REPLY, 1)
    reports = [
        {"event": "open", "timestamp": 1_700_000_000 + n, "bw": token, "email": "a@b.example"} for n in range(30)
    ]
    vendor.post(browser_client, json.dumps(reports).encode())
    vendor.post(browser_client, json.dumps(reports[::-1] + reports).encode())
    assert count() == 30


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=150)
@given(reports=st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=5), blanks=st.sampled_from([None, 1]))
def test_reports_are_read_as_they_were_written(reports: list[dict[str, Any]], blanks: int | None) -> None:
    """The quick way reads what the careful way reads, and keeps JSON that says the same."""
    body = json.dumps(reports, indent=blanks).encode()
    found = read_reports(body)
    assert repr([report for report, _written in found]) == repr(json.loads(body))
    for report, written in found:
        assert "\\u0000" not in written
        assert written.encode()
        kept = json.loads(written)
        if "nan" not in repr(report) and "inf" not in repr(report) and "\\x00" not in repr(report):
            assert repr(kept) == repr(report) or "\\ud" in repr(report)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(body=st.text(alphabet='[]{},:"ab\\u0d8 \n1e.-N', max_size=40).map(str.encode) | st.binary(max_size=30))
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    try:
        plain = json.loads(body)
    except (ValueError, RecursionError):
        plain = None
    listed = [plain] if isinstance(plain, dict) else plain
    if isinstance(listed, list) and all(isinstance(one, dict) for one in listed):
        assert repr([report for report, _written in read_reports(body)]) == repr(listed)
    else:
        with pytest.raises(NotReports):
            read_reports(body)
