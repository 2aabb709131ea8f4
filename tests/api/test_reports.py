"""The reports over HTTP: every answer is held to the published description."""

from collections.abc import Callable
from decimal import Decimal
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
from tests.factories.effect import make_compared_run, make_openings
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


def test_a_report_says_what_the_campaign_caused(call: Call) -> None:
    clients = make_clients(2_000)
    campaign = make_launched_campaign(code="DRIVE", fixed_cost=Decimal(500))
    control = clients[::4]
    few = [*clients[:5], control[0]]
    make_compared_run(campaign, clients, control, segments={"everyone": clients, "few": few})
    make_openings([client for client in clients if client not in set(control)][:150], campaign=campaign, brought_in=900)
    make_openings(control[:20])
    effect = call("/reports/DRIVE", key=make_key("reports"), shape="/reports/{code}").json["effect"]
    whole = effect["total"]
    assert (whole["treated"]["clients"], whole["treated"]["opened"]) == (1500, 150)
    assert (whole["control"]["clients"], whole["control"]["opened"]) == (500, 20)
    assert whole["absolute_lift"]["value"] == pytest.approx(150 / 1500 - 20 / 500)
    assert whole["absolute_lift"]["low"] > 0
    assert effect["cost_per_account"] == "3.33"
    assert effect["split_check"]["ok"] is True
    everyone, few_clients = effect["segments"]
    assert everyone["judgement"] == "more"
    assert (few_clients["judgement"], few_clients["absolute_lift"]) == ("too_few", None)


def test_without_a_control_group_nothing_is_said_of_cause(call: Call) -> None:
    make_run(make_launched_campaign(code="SPRING"), make_clients(3))
    assert call("/reports/SPRING", key=make_key("reports"), shape="/reports/{code}").json["effect"] is None
