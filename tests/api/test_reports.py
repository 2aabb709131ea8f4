"""The reports over HTTP: every answer is held to the published description."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from werkzeug.test import TestResponse

from app.api import keys
from app.api.v1.openapi import build
from app.core.unit_of_work import unit_of_work
from app.users.models import User
from app.users.service import create_api_key
from tests.factories.clients import make_client, make_clients
from tests.factories.ledger import make_launched_campaign, make_run
from tests.factories.users import make_branch, make_user

Call = Callable[..., TestResponse]


@pytest.fixture(autouse=True)
def _forget_keys() -> None:
    keys._known.clear()


def make_key(*resources: str, by: User | None = None) -> str:
    with unit_of_work():
        return create_api_key(name="a system", resources=resources, actor=by)[1]


@pytest.fixture
def call(app: Flask) -> Call:
    """Reads an address with a key; the answer must be as the description says."""
    document: dict[str, Any] = build("http://localhost")

    def call(path: str, *, key: str, shape: str) -> TestResponse:
        answer = app.test_client().get(f"/api/v1{path}", headers={"Authorization": f"Bearer {key}"})
        expected = document["paths"][f"/api/v1{shape}"]["get"]["responses"]
        assert str(answer.status_code) in expected, answer.text
        schema = expected[str(answer.status_code)]["content"]["application/json"]["schema"]
        Draft202012Validator({**schema, "components": document["components"]}).validate(answer.json)
        return answer

    return call


def test_a_report_has_counts_and_rates_per_segment(call: Call) -> None:
    ids = make_clients(20)
    campaign = make_launched_campaign(code="SPRING")
    make_launched_campaign(code="LATER", launched_at=None)
    make_run(campaign, ids, segments={"everyone": ids, "students": ids[:5]}, opened=ids[:8])
    key = make_key("reports")
    listed = call("/reports?limit=1", key=key, shape="/reports").json
    assert [one["code"] for one in listed["items"]] == ["SPRING"]
    assert listed["next"] is None
    report = call("/reports/spring", key=key, shape="/reports/{code}").json
    assert report["whole_firm"] is True
    assert report["total"]["counts"]["opened"] == 8
    assert report["total"]["rates"]["opened"] | {"interval": None} == {
        "of": "delivered", "share": 0.4, "interval": None,
    }  # fmt: skip
    assert [(row["name"], row["counts"]["targeted"]) for row in report["segments"]] == [
        ("everyone", 20),
        ("students", 5),
    ]


def test_a_key_counts_what_its_maker_may_see(call: Call) -> None:
    branch = make_branch()
    mine, other = make_client(branch=branch), make_client()
    make_run(make_launched_campaign(code="SPRING"), [mine.id, other.id])
    key = make_key("reports", by=make_user(role="branch_manager", branch=branch))
    report = call("/reports/SPRING", key=key, shape="/reports/{code}").json
    assert (report["whole_firm"], report["total"]["counts"]["targeted"]) == (False, 1)
    assert call("/reports/NONE", key=key, shape="/reports/{code}").status_code == 404


def test_a_key_for_something_else_reads_no_reports(call: Call) -> None:
    assert call("/reports", key=make_key("clients"), shape="/reports").status_code == 403
    assert call("/reports/X", key="bw_wrong", shape="/reports/{code}").status_code == 401
