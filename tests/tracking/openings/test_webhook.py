"""The signed webhook: good rows are taken, bad ones parked with the reason, nothing is lost and nothing is a 500."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from app.channels.webhook import signature
from app.core.clock import now
from app.core.extensions import db
from app.core.permissions import Role
from app.tracking.models import AccountOpening
from app.tracking.openings.models import ParkedOpening
from tests.factories.clients import make_client
from tests.factories.users import make_user, sign_in

SECRET = "a secret of the core system"


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENINGS_SECRET_CORE", f"older {SECRET.replace(' ', '-')}")


def _post(
    client: FlaskClient, body: Any, *, at: datetime | None = None, source: str = "core", **head: str
) -> TestResponse:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    timestamp = str(int((at or now()).timestamp()))
    headers = {
        "Bellwether-Timestamp": timestamp,
        "Bellwether-Signature": "v1=" + signature(SECRET.replace(" ", "-").encode(), timestamp, raw),
    } | {name.replace("_", "-"): value for name, value in head.items()}
    return client.post(f"/webhooks/openings/{source}", data=raw, headers=headers)


def _row(external_id: str = "1", **fields: Any) -> dict[str, Any]:
    return {"external_id": external_id, "client_number": "77", "opened_at": "2026-03-01T09:30:00+08:00"} | fields


def test_a_signed_report_is_taken_once(browser_client: FlaskClient) -> None:
    client = make_client(number="77")
    answer = _post(browser_client, _row(kind="transfer_in", amount=5))
    assert (answer.status_code, answer.json) == (201, {"taken": 1, "known": 0, "parked": []})
    again = _post(browser_client, _row(kind="transfer_in", amount=5))
    assert (again.status_code, again.json) == (200, {"taken": 0, "known": 1, "parked": []})
    row = db.session.scalars(select(AccountOpening)).one()
    assert (row.source, row.kind, row.client_id) == ("core", "transfer_in", client.id)


def test_bad_rows_of_a_batch_are_parked_with_the_reason(browser_client: FlaskClient) -> None:
    rows = [
        _row("ok"),
        _row("late", opened_at=(now() + timedelta(days=3)).isoformat()),
        _row("negative", amount=-1),
        {"external_id": "nobody", "opened_at": "2026-03-01T09:30:00+08:00"},
        _row("text", product="\x00"),
        _row("mail", email="not an address"),
        _row("huge", amount="1e999999"),
        _row("year", opened_at="9999-12-31T23:59:59-12:00"),
        "no object",
        _row("phone", mobile="12"),
        _row("list", client_number=["77"]),
    ]
    answer = _post(browser_client, {"openings": rows})
    assert answer.status_code == 201
    assert answer.json is not None
    assert (answer.json["taken"], [one["row"] for one in answer.json["parked"]]) == (1, list(range(1, 11)))
    assert answer.json["parked"][1]["reason"] == "amount: Must not be negative."
    assert db.session.scalar(select(func.count(ParkedOpening.id))) == 10
    _post(browser_client, {"openings": rows})
    assert db.session.scalar(select(func.count(ParkedOpening.id))) == 10
    sign_in(browser_client, make_user(role=Role.MARKETING))
    page = browser_client.get("/account-openings/parked").text
    assert "Must not be negative." in page
    first = db.session.scalars(select(ParkedOpening.id)).first()
    assert browser_client.post(f"/account-openings/parked/{first}/settle").status_code == 302
    assert browser_client.post(f"/account-openings/parked/{first}/settle").status_code == 409
    assert browser_client.get("/account-openings/parked?state=settled").text.count("Dealt with") >= 1


@pytest.mark.parametrize(("minutes", "taken"), [(4, 1), (6, 0), (23 * 60, 0)])
def test_an_opening_to_come_is_parked(browser_client: FlaskClient, minutes: int, taken: int) -> None:
    answer = _post(browser_client, _row(opened_at=(now() + timedelta(minutes=minutes)).isoformat()))
    assert answer.json is not None
    assert (answer.json["taken"], len(answer.json["parked"])) == (taken, 1 - taken)


def _nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize(
    "strange",
    [
        '"amount": NaN', '"amount": Infinity', '"amount": -Infinity', '"amount": 1e999', '"amount": "NaN"',
        '"amount": "1e-999999", "kind": "x"', '"amount": 9999999999999999.999', '"amount": "9999999999999999.999"',
        '"amount": ' + "9" * 5_000, '"client_number": ' + "9" * 5_000, '"amount": ' + "9" * 4_000,
        '"\\u0000": 1', '"\\ud800": 1', '"x": {"\\u0000": "\\ud800"}', '"product": "\\u0000"',
        '"product": "\\ud800"', '"kind": "\\udfff"', '"tracking_code": "' + "证" * 5_000 + '"',
        f'"x": {_nested(200)}', f'"x": {_nested(600)}',
    ],
)  # fmt: skip
def test_a_strange_row_is_parked_and_the_good_one_beside_it_kept(browser_client: FlaskClient, strange: str) -> None:
    good, bad = json.dumps(_row("good")), json.dumps(_row("bad"))[:-1] + f", {strange}}}"
    body = f'{{"openings": [{bad}, {good}]}}'.encode()
    for taken in (1, 0):
        answer = _post(browser_client, body)
        assert answer.json is not None
        assert (answer.json["taken"], [one["row"] for one in answer.json["parked"]]) == (taken, [0])
    parked = db.session.scalars(select(ParkedOpening)).one()
    assert parked.reason.endswith(".")
    assert "bad" in json.dumps(parked.row)
    sign_in(browser_client, make_user(role=Role.MARKETING))
    assert browser_client.get("/account-openings/parked").status_code == 200


def test_an_amount_below_a_cent_is_none(browser_client: FlaskClient) -> None:
    assert _post(browser_client, _row(amount="1e-999999")).status_code == 201
    assert db.session.scalars(select(AccountOpening.amount)).one() == 0


@pytest.mark.parametrize("levels", [*range(850, 1_000, 10), 5_000, 20_000])
def test_however_deeply_a_report_is_nested_the_answer_is_a_sentence(browser_client: FlaskClient, levels: int) -> None:
    answer = _post(browser_client, (json.dumps(_row())[:-1] + f', "x": {_nested(levels)}}}').encode())
    assert answer.status_code in (200, 400)
    assert answer.is_json


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"openings": []}', b"[" * 100_000, b"NaN", b"5"])
def test_what_is_no_report_is_refused(browser_client: FlaskClient, body: bytes) -> None:
    answer = _post(browser_client, body)
    assert answer.status_code == 400
    assert answer.is_json


def test_unsigned_stale_and_foreign_reports_are_refused(browser_client: FlaskClient) -> None:
    assert _post(browser_client, _row(), Bellwether_Signature="").status_code == 403
    assert _post(browser_client, _row(), Bellwether_Signature="v1=\xe9").status_code == 403
    assert _post(browser_client, _row(), Bellwether_Timestamp="soon").status_code == 403
    assert _post(browser_client, _row(), at=now() - timedelta(minutes=11)).status_code == 403
    assert _post(browser_client, _row(), source="elsewhere").status_code == 404
    assert _post(browser_client, _row(), source="CORE;").status_code == 404
    large = _post(browser_client, b"x" * (5 << 20))
    assert (large.status_code, large.is_json) == (413, True)
    assert db.session.scalar(select(func.count(AccountOpening.id))) == 0
