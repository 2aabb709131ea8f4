"""Progress and test sends, as the campaign page shows them."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from app.campaigns.models import State
from app.channels.email.models import MailboxMessage
from app.core.extensions import db
from app.core.permissions import Role
from tests.factories.campaigns import make_campaign
from tests.factories.clients import make_client, make_clients
from tests.factories.delivery import do_due_jobs, launched, send_all
from tests.factories.users import make_branch, make_user, sign_in

pytestmark = pytest.mark.usefixtures("app")


def test_progress_shows_what_was_sent_and_what_waits(browser_client: FlaskClient) -> None:
    make_clients(3)
    campaign = launched()
    sign_in(browser_client, make_user(role=Role.MARKETING))
    page = browser_client.get(f"/campaigns/{campaign.code}/progress").get_data(as_text=True)
    assert "0" in page
    assert 'hx-trigger="every 2s"' in page
    send_all()
    page = browser_client.get(f"/campaigns/{campaign.code}/progress").get_data(as_text=True)
    assert "Sent" in page
    assert "hx-trigger" not in page


def test_progress_reloads_the_page_once_the_state_has_changed(browser_client: FlaskClient) -> None:
    make_clients(1)
    campaign = launched()
    send_all()
    sign_in(browser_client, make_user(role=Role.MARKETING))
    response = browser_client.get(f"/campaigns/{campaign.code}/progress?seen=running")
    assert response.headers["HX-Refresh"] == "true"


def test_a_campaign_just_launched_says_that_it_is_being_planned(browser_client: FlaskClient) -> None:
    campaign = make_campaign(state=State.RUNNING)
    sign_in(browser_client, make_user(role=Role.MARKETING))
    assert "being planned" in browser_client.get(f"/campaigns/{campaign.code}/progress").get_data(as_text=True)


def test_a_test_goes_to_staff_filled_with_the_clients_values(browser_client: FlaskClient) -> None:
    client = make_client(first_name="Ana")
    officer = make_user(role=Role.MARKETING, email="officer@firm.example")
    campaign = make_campaign(owner=officer)
    sign_in(browser_client, officer)
    response = browser_client.post(
        f"/campaigns/{campaign.code}/test-send",
        data={"addresses": " Officer@firm.example ,", "client_number": client.number},
    )
    assert response.status_code == 302
    do_due_jobs()
    message = db.session.scalars(select(MailboxMessage)).one()
    assert (message.recipient, message.subject) == ("officer@firm.example", "[Test] Market brief")
    assert b"Dear=20" in message.mime or b"Dear " in message.mime
    assert b"Ana" in message.mime
    assert b"/c/" not in message.mime  # a test counts nothing


@pytest.mark.parametrize(
    ("addresses", "number", "sentence"),
    [
        ("stranger@example.com", "", "neither staff nor on the seed list"),
        ("", "", "at least one address"),
        ("officer@firm.example", "999", "no client with this number"),
        (",".join(f"a{n}@firm.example" for n in range(11)), "", "at most 10"),
    ],
)
def test_a_test_that_may_not_leave_is_refused_with_the_reason(
    browser_client: FlaskClient, addresses: str, number: str, sentence: str
) -> None:
    officer = make_user(role=Role.MARKETING, email="officer@firm.example")
    campaign = make_campaign(owner=officer)
    sign_in(browser_client, officer)
    response = browser_client.post(
        f"/campaigns/{campaign.code}/test-send",
        data={"addresses": addresses, "client_number": number},
        follow_redirects=True,
    )
    assert response.request.path == f"/campaigns/{campaign.code}/message"
    assert sentence in response.get_data(as_text=True)
    do_due_jobs()
    assert db.session.scalars(select(MailboxMessage)).all() == []


def test_a_test_never_shows_a_client_of_another_branch(browser_client: FlaskClient) -> None:
    hidden = make_client()
    officer = make_user(role=Role.MARKETING, email="officer@firm.example", branch=make_branch())
    campaign = make_campaign(owner=officer)
    sign_in(browser_client, officer)
    response = browser_client.post(
        f"/campaigns/{campaign.code}/test-send",
        data={"addresses": "officer@firm.example", "client_number": hidden.number},
        follow_redirects=True,
    )
    assert "no client with this number" in response.get_data(as_text=True)
    do_due_jobs()
    assert db.session.scalars(select(MailboxMessage)).all() == []
