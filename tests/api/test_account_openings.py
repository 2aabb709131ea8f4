"""POST /api/v1/account-openings, as a core system calls it."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from app.api import keys
from app.core.clock import now
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.tracking.models import AccountOpening
from app.users.models import ApiKey
from app.users.service import revoke_api_key
from tests.factories.clients import make_client
from tests.factories.tracking import make_key

URL = "/api/v1/account-openings"


@pytest.fixture(autouse=True)
def _forget_keys() -> None:
    keys._known.clear()


@pytest.fixture
def key(app: Flask) -> str:
    return make_key()


def _post(client: FlaskClient, key: str, body: Any, **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(URL, json=body, headers={"Authorization": f"Bearer {key}"} | named)


def _opening(external_id: str = "1", **fields: Any) -> dict[str, Any]:
    return {"external_id": external_id, "client_number": "77", "opened_at": "2026-03-01T09:30:00+08:00"} | fields


def test_an_opening_is_taken_and_matched_to_its_client(browser_client: FlaskClient, key: str) -> None:
    client = make_client(number="77")
    answer = _post(browser_client, key, _opening(amount="1000.50", product="A-share", account_number=62001))
    assert (answer.status_code, answer.json) == (201, {"external_id": "1", "status": "taken"})
    row = db.session.scalars(select(AccountOpening)).one()
    assert (row.source, row.client_id, str(row.amount), row.account_number) == ("api", client.id, "1000.50", "62001")
    assert row.opened_at.isoformat() == "2026-03-01T01:30:00+00:00"


def test_reporting_it_again_changes_nothing(browser_client: FlaskClient, key: str) -> None:
    assert _post(browser_client, key, _opening()).status_code == 201
    answer = _post(browser_client, key, _opening())
    assert (answer.status_code, answer.json) == (200, {"external_id": "1", "status": "known"})
    assert db.session.scalar(select(func.count(AccountOpening.id))) == 1


def test_a_list_is_taken_with_a_word_on_each(browser_client: FlaskClient, key: str) -> None:
    _post(browser_client, key, _opening("1", source="core"))
    answer = _post(browser_client, key, {"source": "core", "openings": [_opening("1"), _opening("2")]})
    assert answer.status_code == 201
    assert answer.json == {
        "taken": 1,
        "known": 1,
        "results": [{"external_id": "1", "status": "known"}, {"external_id": "2", "status": "taken"}],
    }


def test_the_idempotency_key_stands_in_for_a_missing_id(browser_client: FlaskClient, key: str) -> None:
    body = {"client_number": 77, "opened_at": "2026-03-01T09:30:00Z"}
    assert _post(browser_client, key, body, Idempotency_Key="k1").status_code == 201
    assert _post(browser_client, key, body, Idempotency_Key="k1").status_code == 200


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "Basic bw_x", "Bearer bw_wrong", "Bearer é"])
def test_without_a_valid_key_nothing_is_taken(browser_client: FlaskClient, header: str) -> None:
    answer = browser_client.post(URL, json=_opening(), headers={"Authorization": header.encode().decode("latin-1")})
    assert answer.status_code == 401
    assert answer.json is not None
    assert "API key" in answer.json["error"]["message"]


def test_a_revoked_key_is_refused_once_it_is_looked_up_again(browser_client: FlaskClient, key: str) -> None:
    assert _post(browser_client, key, _opening()).status_code == 201
    with unit_of_work():
        revoke_api_key(key_id=db.session.scalars(select(ApiKey.id)).one(), actor=None)
    keys._known.clear()
    assert _post(browser_client, key, _opening("2")).status_code == 401


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ([], ""),
        ("x", ""),
        ({}, "/external_id"),
        (_opening(opened_at="2026-03-01T09:30:00"), "/opened_at"),
        (_opening(opened_at="yesterday"), "/opened_at"),
        (_opening(opened_at=5), "/opened_at"),
        (_opening(opened_at="2150-01-01T00:00:00Z"), "/opened_at"),
        (_opening(opened_at="0001-01-01T00:00:00+14:00"), "/opened_at"),
        (_opening(client_number=""), "/client_number"),
        (_opening(client_number=None), "/client_number"),
        (_opening(client_number="a\0b"), "/client_number"),
        (_opening(external_id="x" * 201), "/external_id"),
        (_opening(external_id=True), "/external_id"),
        (_opening(amount="a lot"), "/amount"),
        (_opening(amount="NaN"), "/amount"),
        (_opening(amount=1e300), "/amount"),
        (_opening(amount={}), "/amount"),
        (_opening(surprise=1), "/surprise"),
        (_opening(source="a b"), "/source"),
        ({"openings": []}, "/openings"),
        ({"openings": {}}, "/openings"),
        ({"openings": [_opening(str(number)) for number in range(1001)]}, "/openings"),
        ({"openings": [_opening(), 7]}, "/openings/1"),
        ({"openings": [_opening(), _opening("2", opened_at="x")]}, "/openings/1/opened_at"),
        ({"openings": [_opening()], "extra": 1}, "/extra"),
    ],
)
def test_what_is_wrong_is_named_by_its_path_and_nothing_is_taken(
    browser_client: FlaskClient, key: str, body: Any, path: str
) -> None:
    answer = _post(browser_client, key, body)
    assert answer.status_code == 422
    assert answer.json is not None
    assert path in [problem["path"] for problem in answer.json["error"]["problems"]]
    assert db.session.scalar(select(func.count(AccountOpening.id))) == 0


def test_a_body_that_is_not_json_is_refused(browser_client: FlaskClient, key: str) -> None:
    answer = browser_client.post(URL, data=b"{", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 400
    assert answer.json is not None


@pytest.mark.parametrize(("minutes", "status"), [(4, 201), (6, 422), (23 * 60, 422)])
def test_an_opening_may_be_ahead_by_no_more_than_clocks_are_apart(
    browser_client: FlaskClient, key: str, minutes: int, status: int
) -> None:
    at = (now() + timedelta(minutes=minutes)).isoformat()
    assert _post(browser_client, key, _opening(opened_at=at)).status_code == status


def test_the_description_for_machines_names_the_resource(browser_client: FlaskClient) -> None:
    answer = browser_client.get("/api/v1/openapi.json")
    assert answer.json is not None
    assert answer.json["openapi"].startswith("3.1")
    assert "post" in answer.json["paths"]["/api/v1/account-openings"]
