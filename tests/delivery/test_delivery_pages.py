"""The pages of delivery: empty, with something on them, acted on, and out of reach."""

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from app.campaigns.models import State
from app.channels.models import ChannelAccount
from app.core.clock import now
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.delivery.deliverability.models import DnsCheck
from app.delivery.deliverability.service import count_arrivals
from app.delivery.models import Batch, Message
from app.delivery.progress import pace
from app.delivery.queries import campaign_progress
from tests.delivery.test_outcomes import end, message_ids, sent_campaign
from tests.factories.clients import make_clients
from tests.factories.delivery import do_due_jobs, launched, set_state, states
from tests.factories.users import make_branch, make_user, sign_in

pytestmark = pytest.mark.usefixtures("app")
PAGES = ("/awaiting-receipt", "/failed-messages", "/deliverability", "/deliverability/domains", "/channel-accounts")


def page(client: FlaskClient, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status, path
    return response.get_data(as_text=True)


@pytest.fixture
def boss(browser_client: FlaskClient) -> FlaskClient:
    return sign_in(browser_client, make_user(role=Role.ADMINISTRATOR, email="boss@firm.example"))


def test_every_page_says_what_it_is_for_while_it_is_empty(boss: FlaskClient) -> None:
    for path in PAGES:
        assert "<h1" in page(boss, path)
    assert "Nothing awaits receipt" in page(boss, PAGES[0])


def test_awaiting_messages_are_shown_masked_and_settled(boss: FlaskClient) -> None:
    sent_campaign(unconfirmed=[0, 1])
    end("unconfirmed", message_ids()[:2], reason="the worker stopped while sending", unconfirmed_at=now())
    shown = page(boss, "/awaiting-receipt")
    assert "The worker stopped while sending" in shown
    assert "•••@" in shown
    form = {"message": [message_ids()[0]], "verb": "sent", "reason": "it is in the relay's log"}
    assert boss.post("/awaiting-receipt", data=form).status_code == 302
    assert states() == {"sent": 5, "unconfirmed": 1}
    assert "1 message is settled" in page(boss, "/awaiting-receipt")


def test_all_of_a_list_are_settled_by_a_worker(boss: FlaskClient) -> None:
    sent_campaign(unconfirmed=[0, 1, 2])
    form = {"which": "all", "verb": "failed", "reason": "not in the log", "up_to": str(message_ids()[1])}
    boss.post("/awaiting-receipt", data=form)
    do_due_jobs()
    assert states() == {"sent": 3, "failed": 2, "unconfirmed": 1}


@pytest.mark.parametrize(
    "form",
    [
        {}, {"verb": "sent"}, {"message": "x", "verb": "sent", "reason": "y"},
        {"message": "1", "verb": "sent", "reason": " "},
        {"which": "all", "verb": "planned", "reason": "y"},
        {"which": "all", "verb": "sent", "reason": "\x00", "up_to": "9" * 30},
    ],
)  # fmt: skip
def test_a_decision_that_is_not_whole_changes_nothing(boss: FlaskClient, form: dict[str, str]) -> None:
    sent_campaign(unconfirmed=[0])
    assert boss.post("/awaiting-receipt", data=form).status_code == 302
    do_due_jobs()
    assert states() == {"sent": 5, "unconfirmed": 1}


def test_failed_messages_are_shown_in_the_vendors_words_and_sent_again(boss: FlaskClient) -> None:
    campaign = sent_campaign(failed=[0, 1])
    shown = page(boss, f"/failed-messages?campaign={campaign.code}")
    assert "550 5.1.1 no such user" in shown
    boss.post("/failed-messages", data={"message": message_ids()[:2], "reason": "mended"})
    assert states() == {"sent": 4, "planned": 2}


def test_messages_of_another_branch_are_not_shown(browser_client: FlaskClient) -> None:
    sent_campaign(unconfirmed=[0], failed=[1])
    officer = sign_in(browser_client, make_user(role=Role.MARKETING, branch=make_branch()))
    assert "Nothing awaits receipt" in page(officer, "/awaiting-receipt")
    assert "No message failed" in page(officer, "/failed-messages")
    page(officer, "/deliverability", 404)


def test_an_account_is_added_changed_paused_and_tested_on_its_pages(boss: FlaskClient) -> None:
    form = {
        "name": "Relay two",
        "weight": "3",
        "location": "foreign",
        "setting_connections": "4",
        "secret_name": "NOT_SET_9",
    }
    assert boss.post("/channel-accounts/new/smtp", data=form).status_code == 302
    account_id = db.session.scalars(select(ChannelAccount.id)).one()
    path = f"/channel-accounts/{account_id}"
    shown = page(boss, path)
    assert "NOT_SET_9" in shown
    assert "not set here" in shown
    assert boss.post(f"{path}/edit", data=form | {"weight": "7"}).status_code == 302
    assert boss.post(f"{path}/edit", data=form | {"weight": "700"}).status_code == 422
    boss.post(f"{path}/legal-basis", data={"text": "Standard contract"})
    boss.post(f"{path}/pause", data={"reason": "its vendor is down"})
    boss.post(f"{path}/test")
    do_due_jobs()
    shown = page(boss, path)
    assert "Standard contract" in shown
    assert "its vendor is down" in shown
    db.session.rollback()
    assert (db.session.get_one(ChannelAccount, account_id).weight, "Relay two" in page(boss, "/channel-accounts")) == (
        7,
        True,
    )


def test_a_secret_that_is_set_is_never_shown(boss: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_NINE", "smtp://user:geheim@127.0.0.1:25")
    with unit_of_work() as session:
        session.add(ChannelAccount(name="Nine", channel="email", vendor="smtp", secret_name="RELAY_NINE"))
    shown = page(boss, "/channel-accounts/1") + page(boss, "/channel-accounts/1/edit") + page(boss, "/channel-accounts")
    assert "geheim" not in shown
    assert "set here" in shown


def test_the_deliverability_page_leads_to_the_clients(boss: FlaskClient) -> None:
    sent_campaign()
    with unit_of_work() as session:
        session.execute(update(Message).where(Message.id == message_ids()[0]).values(bounced_at=now()))
    with unit_of_work():
        count_arrivals()
    assert "example.com" in page(boss, "/deliverability?days=7&account=1&domain=example.com")
    assert "/clients/" in page(boss, "/deliverability/clients/bounced?domain=example.com")
    page(boss, "/deliverability?days=x&account=y&domain=%00")
    page(boss, "/deliverability/clients/everything", 404)


def test_the_domains_page_shows_what_was_found_and_keeps_settings(boss: FlaskClient) -> None:
    found = {"record": "SPF", "state": "bad", "finding": "spf_missing", "values": {"domain": "x.example"}, "seen": ""}
    with unit_of_work() as session:
        session.add(DnsCheck(domain="bellwether.example", findings=[found]))
    assert "x.example has no SPF record" in page(boss, "/deliverability/domains")
    form = {
        "alarm_rate": "0.1",
        "pause_rate": "0.3",
        "window_days": "7",
        "minimum_sent": "500",
        "dkim_selectors": "s1\ns2",
    }
    assert boss.post("/deliverability/settings", data=form).status_code == 302
    assert "s1\ns2" in page(boss, "/deliverability/domains")
    assert boss.post("/deliverability/settings", data=form | {"alarm_rate": "5"}).status_code == 422


def test_progress_tells_pace_and_what_waits(boss: FlaskClient) -> None:
    make_clients(8)
    campaign = launched()
    with unit_of_work() as session:
        session.execute(update(Batch).values(due_at=now() + timedelta(hours=5)))
    assert "8 wait until" in page(boss, f"/campaigns/{campaign.code}/progress")
    with unit_of_work() as session:
        session.execute(update(Batch).values(due_at=now()))
        session.add(ChannelAccount(name="default", channel="email", vendor="mailbox", state="paused"))
    assert "no account can take them" in page(boss, f"/campaigns/{campaign.code}/progress")
    set_state(campaign, State.PAUSED)
    assert "8 wait because the campaign is paused" in page(
        boss, f"/campaigns/{campaign.code}/progress?samples=,x.y,1.9"
    )


def test_pace_is_what_was_done_since_the_page_asked_before() -> None:
    campaign = sent_campaign(10)
    progress = campaign_progress(campaign.id)
    assert progress is not None
    earlier = int((now() - timedelta(seconds=4)).timestamp() * 10)
    found = pace(progress, f"{earlier}.2,9.9,nonsense")
    assert found.now is not None
    assert 1.8 <= found.now <= 2.1
    assert found.left is None


def test_the_doctor_prints_figures_and_ends_with_one_where_something_is_wrong(app: Flask) -> None:
    runner = app.test_cli_runner()
    sent_campaign()
    sound = runner.invoke(args=["delivery", "doctor"])
    assert sound.exit_code == 0, sound.output
    with unit_of_work() as session:
        session.execute(update(Batch).values(sent=func.coalesce(Batch.sent, 0) - 1))
    ill = runner.invoke(args=["delivery", "doctor"])
    assert ill.exit_code == 1
    assert "batches whose counts differ from their rows" in ill.output
