"""The pages of control groups and variants: chosen, checked, shown to those who approve."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.campaigns.models import Campaign, GlobalControl, State, Variant
from app.core.extensions import db
from app.core.permissions import Role
from tests.factories.advising import make_script
from tests.factories.campaigns import make_campaign
from tests.factories.clients import make_clients
from tests.factories.experiments import add_variants
from tests.factories.ledger import make_segment
from tests.factories.sms import make_sms_campaign
from tests.factories.users import make_user, sign_in


@pytest.fixture
def browser(app: Flask, browser_client: FlaskClient) -> FlaskClient:
    return sign_in(browser_client, make_user(role=Role.MARKETING))


def text_of(browser: FlaskClient, address: str, status: int = 200) -> str:
    answer = browser.get(address)
    assert answer.status_code == status, answer.text
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())


def fresh(campaign: Campaign) -> Campaign:
    db.session.expire_all()
    return db.session.get_one(Campaign, campaign.id)


def test_shares_are_chosen_and_shown_with_their_numbers(browser: FlaskClient) -> None:
    make_clients(200)
    one, two = make_segment("Porto"), make_segment("Lisbon")
    campaign = make_campaign(include=[one, two])
    address = f"/campaigns/{campaign.code}/control"
    answer = browser.post(address, data={"percent": "10", f"segment_{one.id}": "25", f"segment_{two.id}": ""})
    assert answer.status_code == 302
    assert fresh(campaign).control_percent == 10
    assert [link.control_percent for link in fresh(campaign).segments] == [25, None]
    assert "25 % of “Porto”" in text_of(browser, f"/campaigns/{campaign.code}")
    size = f"{address}/size?percent=10&segment_{one.id}=&segment_{two.id}=&base=2&rise=0.5"
    assert "About 20 of 200 clients are not contacted." in text_of(browser, size)
    assert "All 200 eligible clients are contacted." in text_of(browser, size.replace("=10&", "=0&"))
    assert "−" in text_of(browser, f"/campaigns/{campaign.code}/audience/counts")
    assert "Control group, about" in text_of(browser, f"/campaigns/{campaign.code}/audience/counts")


@pytest.mark.parametrize("percent", ["", "-1", "91", "abc", "nan", "1e999", "\0", "9" * 500])
def test_a_share_that_is_none_is_refused_with_a_sentence(browser: FlaskClient, percent: str) -> None:
    campaign = make_campaign()
    answer = browser.post(f"/campaigns/{campaign.code}/control", data={"percent": percent})
    assert answer.status_code in (400, 422)
    assert fresh(campaign).control_percent == 0


@pytest.mark.parametrize(
    "query",
    [
        "percent=abc", "percent=nan&base=nan", "percent=10&base=200&rise=5", "percent=10&base=1e309&rise=-4",
        "percent=90&eligible=999999999999999999999", "percent=10&per_day=0", "percent=10&per_day=1e-30&eligible=500",
        "percent=10&eligible=7", "percent=10&base=99.9999&rise=0.00001&eligible=1000", "percent=1e400",
    ],
)  # fmt: skip
def test_the_size_of_anything_typed_is_a_page(browser: FlaskClient, query: str) -> None:
    make_clients(3)
    campaign = make_campaign()
    assert browser.get(f"/campaigns/{campaign.code}/control/size?{query}").status_code == 200
    add_variants(campaign, [50])
    step = campaign.steps[0].id
    for more in ("", "&metric=clicked&share_A=50&share_B=50&length=3&unit=days&test_percent=20", "&metric=x&share_A=0"):
        address = f"/campaigns/{campaign.code}/steps/{step}/comparison/size?{query}{more}"
        assert browser.get(address).status_code == 200


def test_a_small_control_group_is_warned_of(browser: FlaskClient) -> None:
    make_clients(60)
    campaign = make_campaign(control_percent=10)
    assert "too small ever" in text_of(browser, f"/campaigns/{campaign.code}/control/size")
    assert "control group is too small" in text_of(browser, f"/campaigns/{campaign.code}/audience/counts")


def test_a_notice_has_no_control_group(browser: FlaskClient) -> None:
    campaign = make_campaign(purpose="service")
    assert "Only marketing campaigns" in text_of(browser, f"/campaigns/{campaign.code}/control")


def test_variants_are_added_written_compared_and_removed(browser: FlaskClient) -> None:
    make_clients(10)
    campaign = make_campaign()
    step = campaign.steps[0].id
    base = f"/campaigns/{campaign.code}"
    answer = browser.post(f"{base}/steps/{step}/variants")
    assert answer.headers["Location"].endswith("variant=B")
    page = browser.get(answer.headers["Location"]).text
    assert "This begins as a copy of variant A." in page
    assert 'value="Market brief"' in page
    words = {"format": "html", "subject": "In B", "preheader": "", "source": "<p>Only B</p>", "seen": "0"}
    answer = browser.post(f"{base}/message?step_id={step}&variant=B", data=words)
    assert answer.status_code == 302, answer.text
    assert "Only B" in browser.get(f"{base}/message/preview?step_id={step}&variant=B").text
    assert "Only B" not in browser.get(f"{base}/message/preview?step_id={step}").text
    assert browser.get(f"{base}/message?step_id={step}&variant=C").status_code == 404
    comparison = {"metric": "opened", "length": "2", "unit": "days", "test_percent": "20", "share_A": "60"}
    assert browser.post(f"{base}/steps/{step}/comparison", data=comparison).status_code == 422
    assert browser.post(f"{base}/steps/{step}/comparison", data=comparison | {"share_B": "30"}).status_code == 400
    assert browser.post(f"{base}/steps/{step}/comparison", data=comparison | {"share_B": "40"}).status_code == 302
    found = fresh(campaign).steps[0]
    assert (found.test_metric, found.test_hours, found.test_percent) == ("opened", 48, 20)
    assert "A 60 %, B 40 %. Compared by “Opened”, 2 days after the launch." in text_of(browser, f"{base}/review")
    assert browser.post(f"{base}/steps/{step}/variants/B/remove").status_code == 302
    assert db.session.scalar(select(Variant)) is None
    assert browser.get(f"{base}/steps/{step}/comparison").status_code == 404


def test_those_who_approve_see_every_variant(app: Flask, browser_client: FlaskClient) -> None:
    make_clients(10)
    campaign = make_campaign(state=State.DRAFT)
    add_variants(campaign, [30, 30])
    sign_in(browser_client, make_user(role=Role.COMPLIANCE))
    page = browser_client.get(f"/campaigns/{campaign.code}/review").text
    for letter in "ABC":
        assert f"Variant {letter}" in page
        assert f"variant={letter}" in page
    assert "A 40 %, B 30 %, C 30 %" in page


def test_sms_and_scripts_have_variants_too(browser: FlaskClient) -> None:
    make_clients(3)
    campaign = make_sms_campaign(state=State.DRAFT)
    step = campaign.steps[0].id
    base = f"/campaigns/{campaign.code}"
    assert browser.post(f"{base}/steps/{step}/variants").headers["Location"].endswith("variant=B")
    assert browser.get(f"{base}/sms?step_id={step}&variant=B").status_code == 200
    words = {"text": "Other words. Reply STOP to opt out", "signature": "", "template": "", "seen": "0"}
    assert browser.post(f"{base}/sms?step_id={step}&variant=B", data=words).status_code == 302
    assert "Other words" in browser.get(f"{base}/sms/measure?step_id={step}&variant=B").text
    script = make_script()
    call = make_campaign()
    step = call.steps[0]
    step.channel, step.content_id, step.call_script_id = "call", None, script.id
    db.session.commit()
    step_id = step.id
    assert browser.post(f"/campaigns/{call.code}/steps/{step_id}/variants").status_code == 302
    words = {"kind": "call", "goal": "Another goal", "words": "Good day", "seen": "0"}
    answer = browser.post(f"/campaigns/{call.code}/script?step_id={step_id}&variant=B", data=words)
    assert answer.status_code == 302, answer.text
    db.session.expire_all()
    stored = db.session.scalars(select(Variant).where(Variant.step_id == step_id)).one().call_script
    assert stored is not None
    assert stored.goal == "Another goal"
    assert "Another goal" in browser.get(f"/campaigns/{call.code}/review").text


def test_an_administrator_chooses_the_firms_group(app: Flask, browser_client: FlaskClient) -> None:
    sign_in(browser_client, make_user(role=Role.ADMINISTRATOR))
    address = "/settings/control-group"
    assert browser_client.get(address).status_code == 200
    assert browser_client.post(address, data={"percent": "60"}).status_code == 422
    assert browser_client.post(address, data={"percent": "2.5"}).status_code == 302
    assert db.session.get_one(GlobalControl, 1).percent == 2.5
    assert "Draw the group anew" in browser_client.get(address).text
