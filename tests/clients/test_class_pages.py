"""The pages of value models."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text

from app.clients.classes import views
from app.clients.classes.models import MODELS, ClassOverride, ClientClass, ModelVersion
from app.clients.classes.parsing import dump_parameters
from app.clients.classes.versions import active_parameters, active_version
from app.core import clock
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from tests.factories.clients import make_client
from tests.factories.users import make_branch, make_user, sign_in
from tests.factories.value_models import changed, computed, put_in_force


@pytest.fixture
def manager(browser_client: FlaskClient) -> FlaskClient:
    return sign_in(browser_client, make_user(role=Role.HEAD_OFFICE))


def as_form(model: str, **values: Any) -> dict[str, str]:
    """What the browser sends for the parameters in force, with these changes."""
    data = dump_parameters(active_parameters(model)) | values
    sent: dict[str, str] = {}
    for name, value in data.items():
        if name != "classes" and value not in (None, False):
            sent[name] = "y" if value is True else str(value)
    for position, row in enumerate(data["classes"]):
        sent |= {f"classes-{position}-{key}": str(value) for key, value in row.items() if value is not None}
    return sent


def page(client: FlaskClient, path: str, **query: str) -> str:
    answer = client.get(path, query_string=query)
    assert answer.status_code == 200, answer.get_data(as_text=True)[:2000]
    return answer.get_data(as_text=True)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_has_its_pages(manager: FlaskClient, model: str) -> None:
    make_client(total_assets=300_000)
    computed()
    assert "Value models" in page(manager, "/value-models")
    assert f'id="sizes-{model}"' in page(manager, "/value-models/sizes")
    for part in ("", "/sizes", "/coverage", "/edit", "/versions/1", "/versions/1/preview"):
        page(manager, f"/value-models/{model}{part}")
    for value_class in active_parameters(model).classes:
        assert value_class.label_en in page(manager, f"/value-models/{model}/classes/{value_class.code}")


@pytest.mark.parametrize("model", MODELS)
def test_a_form_sent_as_it_came_changes_nothing(manager: FlaskClient, model: str) -> None:
    computed()
    answer = manager.post(f"/value-models/{model}/edit", data=as_form(model) | {"note": "as it was"})
    assert answer.status_code == 302
    first, draft = db.session.scalars(
        select(ModelVersion).where(ModelVersion.model == model).order_by(ModelVersion.number)
    )
    assert (draft.state, draft.note, draft.parameters) == ("draft", "as it was", first.parameters)
    assert "Nothing differs" in page(manager, f"/value-models/{model}/versions/2")


@pytest.mark.parametrize("part", ["sizes", "coverage", "versions/1/preview"])
def test_figures_that_take_too_long_are_given_up_with_a_sentence(
    manager: FlaskClient, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    computed()
    monkeypatch.setattr(views, "TIME_LIMIT_MS", 300)
    with db.engine.begin() as other:
        other.execute(text("LOCK TABLE client, client_class IN ACCESS EXCLUSIVE MODE"))
        answer = manager.get(f"/value-models/profit_stability/{part}")
    assert answer.status_code == 422
    assert "takes too long" in answer.get_data(as_text=True)
    assert "Count again" in answer.get_data(as_text=True)
    assert page(manager, f"/value-models/profit_stability/{part}")


def test_from_draft_to_force(manager: FlaskClient) -> None:
    client = make_client(total_assets=300_000)
    computed()
    form = as_form("aum_tier") | {"classes-1-assets": "250,000"}
    preview = manager.post("/value-models/aum_tier/preview", data=form).get_data(as_text=True)
    assert "1 client would move." in preview
    assert db.session.scalar(select(ClientClass.aum_tier)) == "gold"
    manager.post("/value-models/aum_tier/edit", data=form)
    shown = page(manager, "/value-models/aum_tier/versions/2")
    assert "1,000,000" in shown
    assert "250,000" in shown
    seen = active_version("aum_tier")
    assert seen is not None
    answer = manager.post("/value-models/aum_tier/versions/2/activate", data={"seen": str(seen.id)})
    assert answer.status_code == 302
    db.session.expire_all()
    computed()
    assert db.session.get_one(ClientClass, client.id).aum_tier == "platinum"


def test_who_saw_an_older_version_in_force_is_told(manager: FlaskClient) -> None:
    computed()
    seen = active_version("aum_tier")
    assert seen is not None
    put_in_force("aum_tier", changed("aum_tier"))
    manager.post("/value-models/aum_tier/edit", data=as_form("aum_tier"))
    answer = manager.post("/value-models/aum_tier/versions/3/activate", data={"seen": str(seen.id)})
    assert answer.status_code == 409
    assert "another version in force" in answer.get_data(as_text=True)


def test_what_is_wrong_stands_at_its_field(manager: FlaskClient) -> None:
    form = as_form("aum_tier") | {"classes-1-assets": "many", "assets_from": "custom.nothing"}
    answer = manager.post("/value-models/aum_tier/edit", data=form)
    assert answer.status_code == 422
    assert 'id="classes-1-assets-error"' in answer.get_data(as_text=True)
    form = as_form("aum_tier") | {"assets_from": "custom.nothing"}
    answer = manager.post("/value-models/aum_tier/preview", data=form)
    assert answer.status_code == 422
    assert "Please choose one of the list." in answer.get_data(as_text=True)


def test_classes_are_added_and_removed_without_script(manager: FlaskClient) -> None:
    answer = manager.post("/value-models/aum_tier/edit", data=as_form("aum_tier") | {"action": "add"})
    assert 'name="classes-3-code"' in answer.get_data(as_text=True)
    answer = manager.post("/value-models/aum_tier/edit", data=as_form("aum_tier") | {"action": "remove-0"})
    text = answer.get_data(as_text=True)
    assert 'value="platinum"' in text
    assert 'value="diamond"' not in text
    assert db.session.scalars(select(ModelVersion)).all() == []


@pytest.mark.parametrize(
    "sent",
    [
        {"classes-0-code": "a\x00b"},
        {"classes-99999999999-code": "x"},
        {"classes-0-assets": "9" * 5_000},
        {"revision": "9" * 50, "note": "\x00"},
        {"assets_from": "\x00"},
    ],
)
def test_hostile_forms_are_refused(manager: FlaskClient, sent: dict[str, str]) -> None:
    for path in ("edit", "preview"):
        answer = manager.post(f"/value-models/aum_tier/{path}", data=as_form("aum_tier") | sent)
        assert answer.status_code in (200, 302, 422)


def test_a_draft_is_scheduled_taken_off_and_discarded(manager: FlaskClient) -> None:
    computed()
    manager.post("/value-models/life_cycle/edit", data=as_form("life_cycle", new_days=60))
    address = "/value-models/life_cycle/versions/2"
    today = clock.today()
    assert manager.post(f"{address}/schedule", data={"on": today.isoformat()}).status_code == 422
    assert manager.post(f"{address}/schedule", data={"on": "soon"}).status_code == 422
    assert manager.post(f"{address}/schedule", data={"on": (today + timedelta(days=2)).isoformat()}).status_code == 302
    assert "Scheduled" in page(manager, address)
    assert manager.get(f"{address}/edit").status_code == 409
    manager.post(f"{address}/unschedule")
    manager.post(f"{address}/edit", data=as_form("life_cycle", new_days=50) | {"revision": "1"})
    assert "50" in page(manager, address)
    manager.post(f"{address}/discard")
    assert "Discarded" in page(manager, "/value-models/life_cycle")
    assert manager.post(f"{address}/activate", data={"seen": "1"}).status_code == 409
    manager.post("/value-models/life_cycle/versions/1/return")
    assert "As version 1" in page(manager, "/value-models/life_cycle/versions/3")


def test_a_cell_leads_to_its_clients_and_to_a_segment(app: Flask, browser_client: FlaskClient) -> None:
    browser_client = sign_in(browser_client, make_user(role=Role.MARKETING))
    make_client(number="8001", total_assets=300_000)
    make_client(number="8002")
    computed()
    text = page(browser_client, "/value-models/aum_tier/classes/gold")
    assert "8001" in text
    assert "8002" not in text
    start = text.index("/segments/new?")
    query = parse_qs(urlsplit(text[start : text.index('"', start)].replace("&amp;", "&")).query)
    assert json.loads(query["rule"][0]) == {"all": [{"field": "aum_tier", "op": "is", "value": "gold"}]}
    assert browser_client.get("/segments/new", query_string={"rule": query["rule"][0]}).status_code == 200
    assert browser_client.get("/value-models/aum_tier/classes/none").status_code == 404


def test_counts_are_of_the_clients_the_reader_may_see(app: Flask, browser_client: FlaskClient) -> None:
    branch = make_branch()
    make_client(number="8001", total_assets=300_000, branch=branch)
    make_client(number="8002", total_assets=300_000)
    computed()
    reader = sign_in(browser_client, make_user(role=Role.BRANCH_MANAGER, branch=branch))
    text = page(reader, "/value-models/aum_tier/classes/gold")
    assert "8001" in text
    assert "8002" not in text
    assert reader.get("/value-models/aum_tier/edit").status_code == 403


def test_the_client_page_tells_the_classes_and_takes_an_override(app: Flask, browser_client: FlaskClient) -> None:
    client = make_client(number="8001", total_assets=300_000)
    computed()
    reader = sign_in(browser_client, make_user(role=Role.BRANCH_MANAGER))
    assert "Gold" in page(reader, "/clients/8001/classes")
    assert "Until" in page(reader, "/clients/8001/classes", model="aum_tier")
    sent = {"model": "aum_tier", "class_code": "diamond", "reason": "Assets elsewhere"}
    assert reader.post("/clients/8001/classes/override", data=sent).status_code == 422
    sent["expires_on"] = (clock.today() + timedelta(days=5)).isoformat()
    assert reader.post("/clients/8001/classes/override", data=sent | {"class_code": "\x00"}).status_code == 422
    answer = reader.post("/clients/8001/classes/override", data=sent)
    assert answer.status_code == 200
    assert "Diamond" in answer.get_data(as_text=True)
    assert "Assets elsewhere" in answer.get_data(as_text=True)
    answer = reader.post("/clients/8001/classes/end-override", data={"model": "aum_tier"})
    assert "Gold" in answer.get_data(as_text=True)
    db.session.expire_all()
    assert db.session.get(ClassOverride, (client.id, "aum_tier")) is None


def test_an_adviser_sees_classes_but_sets_none(app: Flask, browser_client: FlaskClient) -> None:
    adviser = make_user(role=Role.ADVISER)
    make_client(number="8001", total_assets=300_000, adviser_id=adviser.id)
    computed()
    reader = sign_in(browser_client, adviser)
    text = page(reader, "/clients/8001/classes")
    assert "Gold" in text
    assert "Set by hand" not in text
    assert reader.post("/clients/8001/classes/override", data={}).status_code == 403


def test_computing_may_be_asked_for(manager: FlaskClient) -> None:
    with unit_of_work():
        pass
    assert manager.post("/value-models/compute").status_code == 302
