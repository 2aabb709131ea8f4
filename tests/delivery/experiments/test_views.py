"""The fragment of a launched campaign: who is contacted, the variants, the choice for the rest."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from app.campaigns.models import Campaign, State
from app.core.clock import now
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Message, RunTest
from tests.factories.campaigns import make_campaign
from tests.factories.clients import make_clients
from tests.factories.delivery import do_due_jobs, launched, plan
from tests.factories.experiments import add_variants, contacted, end_tests, groups_of, run_of
from tests.factories.users import make_branch, make_user, sign_in


def text_of(browser: FlaskClient, address: str) -> str:
    answer = browser.get(address)
    assert answer.status_code == 200, answer.text
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())


@pytest.fixture
def browser(app: Flask, browser_client: FlaskClient) -> FlaskClient:
    return sign_in(browser_client, make_user(role=Role.MARKETING))


def varied(clients: int = 400, **test: object) -> Campaign:
    make_clients(clients)
    campaign = make_campaign(state=State.RUNNING, control_percent=20)
    add_variants(campaign, [50], **test)
    plan(campaign)
    return campaign


def test_it_tells_treated_and_control(browser: FlaskClient) -> None:
    make_clients(200)
    campaign = launched(control_percent=20)
    control = len(run_of(campaign).control_ids)
    text = text_of(browser, f"/campaigns/{campaign.code}/experiment")
    assert f"200 eligible clients = {200 - control} treated + {control} in the control group" in text
    assert "experiment" in browser.get(f"/campaigns/{campaign.code}").text


def test_there_is_no_verdict_before_the_end(browser: FlaskClient) -> None:
    campaign = varied(test_percent=50)
    text = text_of(browser, f"/campaigns/{campaign.code}/experiment")
    assert "There is no verdict before" in text
    assert "to the rest" not in text


def test_a_winner_is_sent_to_the_rest_by_a_button(browser: FlaskClient) -> None:
    campaign = varied(1_500, test_percent=60)
    arm = list(groups_of(run_of(campaign))[f"variant:{campaign.steps[0].id}"]["B"])
    with unit_of_work() as session:
        session.execute(update(Message).where(Message.client_id.in_(arm[: len(arm) // 3])).values(clicked_at=now()))
    end_tests()
    text = text_of(browser, f"/campaigns/{campaign.code}/experiment")
    assert "Variant B is the winner" in text
    assert "Send B to the rest" in text
    assert "A against B" in text
    answer = browser.post(f"/campaigns/{campaign.code}/steps/{campaign.steps[0].id}/rest", data={"variant": "B"})
    assert answer.status_code == 302
    do_due_jobs()
    assert db.session.scalars(select(RunTest.chosen)).one() == "B"
    assert len(contacted(campaign)) == 1_500 - len(run_of(campaign).control_ids)
    assert "Send B" not in text_of(browser, f"/campaigns/{campaign.code}/experiment")


def test_inconclusive_is_a_normal_answer(browser: FlaskClient) -> None:
    campaign = varied()
    end_tests()
    assert "Inconclusive" in text_of(browser, f"/campaigns/{campaign.code}/experiment")


def test_nobody_is_chosen_for_by_a_variant_that_is_not_there(browser: FlaskClient) -> None:
    campaign = varied(test_percent=50)
    end_tests()
    address = f"/campaigns/{campaign.code}/steps/{campaign.steps[0].id}/rest"
    assert browser.post(address, data={"variant": "E"}).status_code == 404
    assert browser.post(address, data={"variant": "\0"}).status_code == 404
    assert browser.post(address).status_code == 404


def test_people_of_a_branch_count_their_own_clients(app: Flask, browser_client: FlaskClient) -> None:
    branch = make_branch(name="Harbour")
    make_clients(100)
    make_clients(40, branch_id=branch.id)
    campaign = launched(control_percent=0)
    sign_in(browser_client, make_user(role=Role.BRANCH_MANAGER, branch=branch))
    text = text_of(browser_client, f"/campaigns/{campaign.code}/experiment")
    assert "40 eligible clients" in text
    assert "Only clients of Harbour" in text


def test_before_the_launch_there_is_nothing(browser: FlaskClient) -> None:
    assert browser.get(f"/campaigns/{make_campaign().code}/experiment").text == ""
