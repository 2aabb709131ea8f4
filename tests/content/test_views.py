"""The pages of the template library."""

import pytest
from flask.testing import FlaskClient

from app.content import starters
from app.content.models import Template
from app.content.service import create_template
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from tests.factories.users import make_user, sign_in

WORDS = {"format": "html", "subject": "News", "preheader": "This week", "source": "<p>Hello</p>"}


@pytest.fixture
def officer(browser_client: FlaskClient) -> FlaskClient:
    return sign_in(browser_client, make_user())


def make_template(name: str = "News") -> Template:
    with unit_of_work():
        return create_template(name=name, **WORDS, actor=None)


@pytest.mark.parametrize("role", [role for role in Role if role != Role.MARKETING])
def test_the_library_is_for_those_who_write_campaigns(browser_client: FlaskClient, role: Role) -> None:
    sign_in(browser_client, make_user(role=role))
    assert browser_client.get("/templates").status_code == 403
    assert browser_client.post("/templates/preview").status_code == 403


def test_an_empty_library_offers_the_stock_templates(officer: FlaskClient) -> None:
    page = officer.get("/templates").text
    assert "No template of your own yet" in page
    for starter in starters.STARTERS:
        assert f"start=stock:{starter.key}" in page


@pytest.mark.parametrize("starter", starters.STARTERS, ids=lambda starter: starter.key)
def test_a_stock_template_is_shown_sandboxed_with_the_firms_footer(
    officer: FlaskClient, starter: starters.Starter
) -> None:
    response = officer.get(f"/templates/stock/{starter.key}/preview")
    assert response.headers["Content-Security-Policy"].startswith("sandbox")
    assert "1 Harbour Road" in response.text
    assert "Unsubscribe" in response.text


def test_a_template_is_made_from_a_stock_one_and_edited(officer: FlaskClient) -> None:
    assert "mj-body" in officer.get("/templates/new?start=stock:welcome").text
    made = officer.post("/templates/new", data=WORDS | {"name": "Ours", "seen": "0"})
    template = db.session.query(Template).one()
    assert made.location == f"/templates/{template.id}"
    seen = template.content_id
    officer.post(f"/templates/{template.id}", data=WORDS | {"name": "Ours", "source": "<p>Bye</p>", "seen": seen})
    db.session.expire_all()
    assert template.content.source == "<p>Bye</p>"
    late = officer.post(f"/templates/{template.id}", data=WORDS | {"name": "Ours", "source": "<p>X</p>", "seen": seen})
    assert late.status_code == 422
    assert "&lt;p&gt;X&lt;/p&gt;" in late.text


def test_a_refused_template_keeps_what_was_written(officer: FlaskClient) -> None:
    make_template("Taken")
    response = officer.post("/templates/new", data=WORDS | {"name": "Taken"})
    assert response.status_code == 422
    assert "has this name" in response.text
    assert "&lt;p&gt;Hello&lt;/p&gt;" in response.text
    assert officer.post("/templates/new", data={"name": ""}).status_code == 422


def test_templates_are_duplicated_archived_and_found_again(officer: FlaskClient) -> None:
    template = make_template()
    copy = officer.post(f"/templates/{template.id}/duplicate").location
    assert "News (2)" in officer.get(copy).text
    officer.post(f"/templates/{template.id}/archive")
    assert ">News</a>" not in officer.get("/templates").text
    assert ">News</a>" in officer.get("/templates?archived=1").text
    assert "This template is archived" in officer.get(f"/templates/{template.id}").text


def test_the_preview_of_what_is_being_written(officer: FlaskClient) -> None:
    assert "Hello" in officer.post("/templates/preview", data=WORDS).text
    assert "needs a subject" in officer.post("/templates/preview", data={}).text


def test_a_template_that_is_not_there(officer: FlaskClient) -> None:
    assert officer.get("/templates/9").status_code == 404
    assert "no such template" in officer.get("/templates/stock/nothing/preview").text
