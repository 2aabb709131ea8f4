"""Clients, segments and frozen audiences over HTTP: every answer is held to the published description."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from sqlalchemy import select
from werkzeug.test import TestResponse

from app.api import keys
from app.api.v1.openapi import build
from app.audiences.models import Segment
from app.audit.models import AuditEntry
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.users.models import ApiKey, User
from app.users.service import create_api_key
from tests.factories.audiences import make_segment
from tests.factories.clients import make_client, make_clients, make_custom_field
from tests.factories.users import make_branch, make_user

LAKESIDE = {"all": [{"field": "city", "op": "is", "value": "Lakeside"}]}
Call = Callable[..., TestResponse]


@pytest.fixture(autouse=True)
def _forget_keys() -> None:
    keys._known.clear()


def make_key(*resources: str, by: User | None = None) -> str:
    with unit_of_work():
        return create_api_key(name="a system", resources=resources, actor=by)[1]


@pytest.fixture
def call(app: Flask) -> Call:
    """Calls the interface with a key for everything; each answer must be as the description says."""
    everything = make_key("clients", "segments")
    document = build("http://localhost")

    def call(method: str, path: str, *, key: str = everything, shape: str = "", **more: Any) -> TestResponse:
        answer = app.test_client().open(
            f"/api/v1{path}", method=method, headers={"Authorization": f"Bearer {key}"}, **more
        )
        if shape:
            expected = document["paths"][f"/api/v1{shape}"][method.lower()]["responses"]
            assert str(answer.status_code) in expected, answer.text
            schema = expected[str(answer.status_code)]["content"]["application/json"]["schema"]
            Draft202012Validator({**schema, "components": document["components"]}).validate(answer.json)
        return answer

    return call


def test_clients_are_read_page_by_page_with_contact_data_masked(call: Call) -> None:
    make_custom_field("balance", type="number", slot="number_01")
    make_clients(5, number=lambda n: f"K{n}", number_01=1.5, mobile="+8613800000001", total_assets=10)
    first = call("GET", "/clients?limit=3", shape="/clients").json
    rest = call("GET", f"/clients?limit=3&after={first['next']}", shape="/clients").json
    assert [one["number"] for one in first["items"] + rest["items"]] == ["K1", "K2", "K3", "K4", "K5"]
    assert rest["next"] is None
    one = first["items"][0]
    assert one["custom"] == {"balance": 1.5}
    assert one["total_assets"] == "10.00"
    assert one["email"] != "c1@example.com"
    assert "13800000001" not in one["mobile"]


def test_a_key_for_contact_data_reads_it_unmasked(call: Call) -> None:
    make_client(number="K1", email="ada@clients.example")
    key = make_key("clients", "contact-data")
    assert call("GET", "/clients/K1", key=key, shape="/clients/{number}").json["email"] == "ada@clients.example"


def read_in_full() -> list[tuple[int | None, int | None, dict[str, Any]]]:
    entries = db.session.scalars(
        select(AuditEntry).where(AuditEntry.action == "api_key.contact_read").order_by(AuditEntry.id)
    )
    return [(one.actor_id, one.subject_id, one.changes) for one in entries]


def test_reading_contact_data_in_full_leaves_a_trace_without_addresses(call: Call) -> None:
    make_clients(5, number=lambda n: f"K{n}")
    maker = make_user(role=Role.ADMINISTRATOR)
    key = make_key("clients", "contact-data", by=maker)
    key_id = db.session.scalars(select(ApiKey.id).where(ApiKey.created_by_id == maker.id)).one()
    call("GET", "/clients?limit=3", key=key, shape="/clients")
    call("GET", "/clients/K5", key=key, shape="/clients/{number}")
    call("GET", "/clients/K9", key=key)
    call("GET", "/clients?status=lead", key=key, shape="/clients")
    call("GET", "/clients", shape="/clients")  # masked
    assert read_in_full() == [
        (maker.id, key_id, {"resource": [None, "clients"], "rows": [None, 3], "clients": ["K1", "K3"]}),
        (maker.id, key_id, {"resource": [None, "clients"], "rows": [None, 1], "clients": ["K5", "K5"]}),
    ]


def test_a_key_reads_what_its_maker_may_see(call: Call) -> None:
    north = make_branch(code="N", name="North")
    make_client(number="N1", branch=north)
    make_client(number="S1")
    manager = make_user(role=Role.BRANCH_MANAGER, branch=north)
    key = make_key("clients", "segments", by=manager)
    assert [one["number"] for one in call("GET", "/clients", key=key).json["items"]] == ["N1"]
    assert call("GET", "/clients/S1", key=key, shape="/clients/{number}").status_code == 404
    segment = make_segment()
    listed = call("GET", f"/segments/{segment.id}/clients", key=key, shape="/segments/{segment_id}/clients").json
    assert listed == {"items": ["N1"], "next": None, "total": 1}
    with unit_of_work():
        db.session.get_one(User, manager.id).active = False
    assert call("GET", "/clients", key=key).status_code == 401


def test_a_key_opens_only_what_it_was_made_for(call: Call) -> None:
    key = make_key("account-openings")
    for path in ("/clients", "/segments", "/snapshots"):
        assert call("GET", path, key=key, shape=path).status_code == 403
    assert call("GET", "/clients", key="bw_wrong", shape="/clients").status_code == 401


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "after=-1", "after=1e3", "changed_since=now",
                                   "changed_since=2026-01-01", "status=rich", f"after={2**64}"])  # fmt: skip
def test_wrong_parameters_are_named(call: Call, query: str) -> None:
    answer = call("GET", f"/clients?{query}", shape="/clients")
    assert answer.status_code == 400
    assert answer.json["error"]["problems"][0]["path"] == f"?{query.split('=')[0]}"


def test_clients_changed_since_a_moment(call: Call) -> None:
    make_client(number="K1")
    assert call("GET", "/clients?changed_since=2020-01-01T00:00:00%2B08:00").json["items"] != []
    assert call("GET", "/clients?changed_since=2099-01-01T00:00:00Z").json["items"] == []


def test_a_segment_is_made_read_counted_and_changed(call: Call) -> None:
    make_clients(3, city="Lakeside")
    make_clients(2, city="Hilltop")
    made = call("POST", "/segments", json={"name": "Lake", "rule": LAKESIDE}, shape="/segments")
    assert made.status_code == 201
    address = f"/segments/{made.json['id']}"
    assert "Lakeside" in call("GET", address, shape="/segments/{segment_id}").json["sentence"]
    counted = call("POST", "/segments/count", json={"rule": LAKESIDE}, shape="/segments/count").json
    assert (counted["matched"], counted["book"]) == (3, 5)
    changed = call(
        "PUT", address, json={"name": "All", "rule": {"all": []}, "description": "x"}, shape="/segments/{segment_id}"
    )
    assert (changed.status_code, changed.json["version"]) == (200, 2)
    assert [one["name"] for one in call("GET", "/segments", shape="/segments").json["items"]] == ["All"]
    again = call("POST", "/segments", json={"name": "all", "rule": LAKESIDE}, shape="/segments")
    assert again.status_code == 409


def test_a_wrong_rule_is_refused_with_the_place(call: Call) -> None:
    rule = {"all": [{"field": "city", "op": "is", "value": "x"}, {"field": "shoe_size", "op": "is", "value": 1}]}
    answer = call("POST", "/segments", json={"name": "Lake", "rule": rule}, shape="/segments")
    assert answer.status_code == 422
    assert answer.json["error"]["problems"][0]["path"] == "/rule/all/1/field"
    assert db.session.query(Segment).count() == 0


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"rule": LAKESIDE}, "/name"),
        ({"name": "x", "rule": LAKESIDE, "colour": 1}, "/colour"),
        ({"name": 7, "rule": LAKESIDE}, "/name"),
        ({"name": "a\0b", "rule": LAKESIDE}, "/name"),
        ({"name": "x", "rule": LAKESIDE, "description": "y" * 1_001}, "/description"),
        ([], ""),
        ({"name": "x", "rule": "everyone"}, "/rule"),
    ],
)
def test_a_wrong_body_is_refused_with_the_place(call: Call, body: Any, path: str) -> None:
    answer = call("POST", "/segments", json=body, shape="/segments")
    assert answer.status_code == 422
    assert answer.json["error"]["problems"][0]["path"] == path


def test_a_bomb_of_brackets_is_no_json(call: Call) -> None:
    answer = call("POST", "/segments/count", data="[" * 200_000, content_type="application/json")
    assert answer.status_code == 400


def test_the_fields_are_told_with_their_comparisons(call: Call) -> None:
    told = call("GET", "/segment-fields", shape="/segment-fields").json
    assert "city" in {field["key"] for field in told["fields"]}


def test_a_segment_is_frozen_and_its_clients_are_read(call: Call) -> None:
    make_clients(3, number=lambda n: f"K{n}", city="Lakeside")
    segment = make_segment(name="Lake", rule=LAKESIDE)
    made = call("POST", "/snapshots", json={"segment_id": segment.id}, shape="/snapshots")
    assert (made.status_code, made.json["size"], made.json["exclusions"]["email"]) == (201, 3, {})
    address = f"/snapshots/{made.json['id']}"
    assert call("GET", address, shape="/snapshots/{snapshot_id}").json["name"] == "Lake"
    first = call("GET", f"{address}/clients?limit=2", shape="/snapshots/{snapshot_id}/clients").json
    rest = call("GET", f"{address}/clients?limit=2&after={first['next']}").json
    assert (first["items"], rest["items"], rest["next"], rest["total"]) == (["K1", "K2"], ["K3"], None, 3)
    assert len(call("GET", "/snapshots", shape="/snapshots").json["items"]) == 1


@pytest.mark.parametrize("wrong", [0, -1, True, "1", None, 2**70, 1.5])
def test_freezing_what_is_not_there_is_refused(call: Call, wrong: Any) -> None:
    assert call("POST", "/snapshots", json={"segment_id": wrong}, shape="/snapshots").status_code == 404


def test_the_description_is_valid_and_names_every_route(app: Flask, browser_client: FlaskClient) -> None:
    document = browser_client.get("/api/v1/openapi.json").json
    told = {
        (path.replace("{", "<").replace("}", ">"), method.upper())
        for path, item in document["paths"].items()
        for method in item
    }
    real = {
        (rule.rule.replace("<int:", "<"), method)
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/") and rule.endpoint != "api_v1.document"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert told == real
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
