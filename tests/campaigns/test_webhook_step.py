"""The page of a webhook step."""

import json

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.campaigns.models import Campaign
from app.campaigns.webhook_step import WEBHOOK_STEP
from app.core.extensions import db
from tests.factories.campaigns import make_campaign
from tests.factories.users import make_user, sign_in


@pytest.fixture
def campaign(app: Flask, browser_client: FlaskClient) -> Campaign:
    sign_in(browser_client, make_user(role="marketing"))
    campaign = make_campaign()
    browser_client.post(f"/campaigns/{campaign.code}/steps", data={"channel": "webhook"})
    db.session.expire_all()
    return campaign


def address(campaign: Campaign) -> str:
    return f"/campaigns/{campaign.code}/webhook?step_id={campaign.steps[1].id}"


def test_data_is_written_shown_and_kept_in_versions(campaign: Campaign, browser_client: FlaskClient) -> None:
    page = browser_client.get(address(campaign)).text
    assert "{{ client.number }}" in page
    data = {"contact": "sms", "data": json.dumps({"client": "{{ client.name }}"}), "seen": "0"}
    assert browser_client.post(address(campaign), data=data).status_code == 302
    db.session.expire_all()
    step = campaign.steps[1]
    first = step.webhook_content
    assert first is not None
    assert (first.contact, first.data) == ("sms", {"client": "{{ client.name }}"})
    assert "Maria Lopez" in browser_client.get(address(campaign)).text
    assert WEBHOOK_STEP.summary(step) == "client"
    browser_client.post(address(campaign), data=data | {"seen": str(first.id)})
    db.session.expire_all()
    assert step.webhook_content is first
    answer = browser_client.post(address(campaign), data=data | {"contact": "call"})
    assert answer.status_code == 409
    assert "receiver of the webhook" in browser_client.get(f"/campaigns/{campaign.code}/review").text


@pytest.mark.parametrize(
    "data",
    [
        {"contact": "sms", "data": "<script>"},
        {"contact": "letter", "data": "{}"},
        {"contact": "sms", "data": '{"a": "\x00"}', "seen": "x"},
        {"contact": "sms", "data": '{"a": "{{ client.secret }}"}'},
        {"data": "[" * 10_000},
        {},
    ],
)
def test_what_cannot_be_kept_comes_back_with_a_sentence(
    campaign: Campaign, browser_client: FlaskClient, data: dict[str, str]
) -> None:
    answer = browser_client.post(address(campaign), data=data)
    assert answer.status_code == 422
    assert "<script>" not in answer.text.partition('id="webhook-data"')[2].partition("</textarea>")[0]
    db.session.expire_all()
    assert campaign.steps[1].webhook_content is None


def test_who_may_only_look_sees_it_and_saves_nothing(campaign: Campaign, browser_client: FlaskClient) -> None:
    data = {"contact": "email", "data": '{"client": "{{ client.name }}"}', "seen": "0"}
    browser_client.post(address(campaign), data=data)
    browser_client.post("/sign-out")
    sign_in(browser_client, make_user(role="compliance"))
    db.session.expire_all()
    page = browser_client.get(address(campaign))
    assert page.status_code == 200
    assert "Maria Lopez" in page.text
    assert browser_client.post(address(campaign), data=data | {"contact": "sms"}).status_code == 403
