"""Clicks over the message, and responses by hour of the week."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.campaigns.models import Campaign
from app.core.extensions import db, settings
from app.delivery.models import Message
from app.reports.maps.queries import link_map, message_of, week_hours
from app.users.models import User
from tests.factories.campaigns import make_campaign, make_content
from tests.factories.clients import make_client, make_clients
from tests.factories.ledger import LAUNCH, make_launched_campaign, make_run
from tests.factories.tracking import make_events
from tests.factories.users import make_branch, make_user, sign_in

BRIEF, OPEN = "https://news.example.com/brief", "https://www.example.com/open?client=7"
HTML = (
    '<html><body><p><a class="x>y" href="https://news.example.com/brief">Brief</a></p>'
    '<p><a href="https://www.example.com/open?client={{ client.number }}">Open</a></p></body></html>'
)


@pytest.fixture
def chief(app: Flask) -> User:
    return make_user(role="head_office")


def clicked(campaign: Campaign, client_id: int, link: str, *, machine: bool | None) -> None:
    message_id = db.session.scalars(
        select(Message.id).where(Message.campaign_id == campaign.id, Message.client_id == client_id)
    ).one()
    make_events([{"kind": "click", "message_id": message_id, "at": LAUNCH, "link": link, "machine": machine}])


def test_links_count_clients_people_and_machines_apart(app: Flask, chief: User) -> None:
    ids = make_clients(4)
    campaign = make_launched_campaign()
    make_run(campaign, ids)
    for client_id, link, machine in (
        (ids[0], BRIEF, False), (ids[0], BRIEF, False), (ids[0], OPEN, False), (ids[1], BRIEF, False),
        (ids[1], BRIEF, True), (ids[2], BRIEF, True), (ids[3], BRIEF, None),
    ):  # fmt: skip
        clicked(campaign, client_id, link, machine=machine)
    found = link_map(campaign, message_of(campaign, None, None), viewer=chief)
    assert found.clickers == 2
    assert [(line.link, line.people, line.machines, line.share) for line in found.lines] == [
        (BRIEF, 2, 1, 1.0),
        (OPEN, 1, 0, 0.5),
    ]


def test_a_branch_counts_its_own_clicks(app: Flask) -> None:
    branch = make_branch()
    mine, other = make_client(branch=branch), make_client()
    campaign = make_launched_campaign()
    make_run(campaign, [mine.id, other.id])
    clicked(campaign, mine.id, BRIEF, machine=False)
    clicked(campaign, other.id, BRIEF, machine=False)
    manager = make_user(role="branch_manager", branch=branch)
    assert link_map(campaign, message_of(campaign, None, None), viewer=manager).clickers == 1


def test_hours_are_those_of_the_firms_week(app: Flask, chief: User) -> None:
    ids = make_clients(3)
    campaign = make_launched_campaign()
    tuesday = datetime(2026, 3, 3, 21, 15, tzinfo=ZoneInfo(settings().time_zone))
    make_run(campaign, ids, opened={ids[0]: tuesday}, clicked={ids[1]: tuesday})
    hours = week_hours(campaign, viewer=chief)
    assert len(hours.opened[1][21]) == 2  # a click proves an open
    assert len(hours.clicked[1][21]) == 1
    assert sum(len(hour) for day in hours.opened for hour in day) == 2


def test_the_numbers_stand_beside_the_links_in_a_sandbox(browser_client: FlaskClient, app: Flask, chief: User) -> None:
    ids = make_clients(2)
    campaign = make_campaign(code="SPRING", content=make_content(source=HTML), launched_at=LAUNCH)
    make_run(campaign, ids)
    clicked(campaign, ids[0], BRIEF, machine=False)
    clicked(campaign, ids[0], OPEN, machine=False)
    clicked(campaign, ids[1], "https://www.example.com/open?client=8", machine=False)
    sign_in(browser_client, chief)
    page = browser_client.get("/reports/SPRING/map/")
    assert page.status_code == 200
    assert BRIEF in page.text
    framed = browser_client.get("/reports/SPRING/map/message")
    assert framed.headers["Content-Security-Policy"].startswith("sandbox")
    assert ">1 · 50%</span>Brief" in framed.text
    assert ">2</span>Open" in framed.text  # one link of the template, two addresses
    assert browser_client.get("/reports/SPRING/map/message?step=999").status_code == 404
    assert browser_client.get("/reports/SPRING/map/?step=999").status_code == 404
