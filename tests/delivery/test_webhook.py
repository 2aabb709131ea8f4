"""Campaigns with a webhook step: whom they reach, and what is posted."""

import json
import threading
from collections.abc import Iterator
from datetime import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app.campaigns.models import Campaign, State, Step
from app.campaigns.step_kinds import contacts_of, step_kind
from app.campaigns.webhook_step import set_webhook
from app.channels.models import ChannelAccount
from app.clients.models import Client
from app.core.extensions import db, signer
from app.core.tokens import Kind
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Message, Run
from app.delivery.rules import rules_of
from tests.factories.campaigns import make_campaign
from tests.factories.clients import make_clients
from tests.factories.delivery import plan, send_all, set_rules, states

DATA = json.dumps(
    {"client": "{{ client.number }}", "level": "{{ client.risk_level }}", "text": "Dear {{ client.name }}"}
)


@pytest.fixture
def posted(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """The bodies that a receiver on loopback was given; a webhook account leads there, whatever the time of the day."""
    set_rules()
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    config = app.extensions["bellwether_config"]
    before = config.webhook_networks
    object.__setattr__(config, "webhook_networks", (ip_network("127.0.0.0/8"),))
    monkeypatch.setenv("HOOK_KEY", "a signing key of the tests")
    with unit_of_work() as session:
        session.add(
            ChannelAccount(
                name="hook",
                channel="webhook",
                vendor="webhook",
                settings={"url": f"http://127.0.0.1:{server.server_port}/in"},
                secret_name="HOOK_KEY",
            )
        )
    yield bodies
    object.__setattr__(config, "webhook_networks", before)
    server.shutdown()
    server.server_close()


def mobile(number: int) -> str:
    return f"+861380013{number:04}"


def webhook_campaign(*, contact: str) -> Campaign:
    campaign = make_campaign()
    with unit_of_work():
        step = campaign.steps[0]
        step.channel, step.content_id = "webhook", None
        db.session.flush()
        set_webhook(campaign=campaign, step=step, contact=contact, text=DATA, actor=None)
    with unit_of_work():
        db.session.get_one(Campaign, campaign.id).state = State.RUNNING
    return campaign


def test_a_post_for_each_client_who_may_be_contacted_that_way(posted: list[dict[str, Any]]) -> None:
    agreed = make_clients(3, mobile=mobile, sms_consent=True, email_consent=False, risk_level=4)
    make_clients(2, mobile=mobile, sms_consent=False)
    campaign = webhook_campaign(contact="sms")
    assert contacts_of(campaign) == ["sms"]
    plan(campaign)
    send_all()
    assert states() == {"sent": 3}
    names = dict(db.session.execute(select(Client.number, Client.name).where(Client.id.in_(agreed))).all())
    assert {body["data"]["client"] for body in posted} == set(names)
    for body in posted:
        data = body["data"]
        assert data == {"client": data["client"], "level": 4, "text": f"Dear {names[data['client']]}"}
        assert body["campaign"] == campaign.code
    ids = {signer().read(body["message"], Kind.REPLY).message_id for body in posted}
    assert ids == set(db.session.scalars(select(Message.id)))


def test_who_withdraws_before_it_leaves_is_skipped(posted: list[dict[str, Any]]) -> None:
    first, _second = make_clients(2, mobile=mobile, sms_consent=True)
    plan(webhook_campaign(contact="sms"))
    with unit_of_work():
        db.session.get_one(Client, first).sms_consent = False
    send_all()
    assert states() == {"sent": 1, "skipped": 1}
    assert len(posted) == 1


def test_it_counts_as_what_it_is_to_the_client_for_caps(posted: list[dict[str, Any]]) -> None:
    """An SMS that leaves by a webhook is an SMS: the cap of SMS holds for it, and it counts for other SMS."""
    make_clients(3, mobile=mobile, sms_consent=True)
    set_rules(caps={"sms": {"day": 1}, "email": {"day": 1}})
    plan(webhook_campaign(contact="sms"))
    send_all()
    plan(webhook_campaign(contact="sms"))
    send_all()
    assert states() == {"sent": 3, "skipped": 3}
    later = rules_of(make_campaign(), step=Step(channel="sms"), run=db.session.scalars(select(Run).limit(1)).one())
    assert len(later.other_steps) == 2
    plan(webhook_campaign(contact="email"))
    send_all()
    assert states()["sent"] == 6, "another contact has places of its own"


def test_it_waits_while_it_is_quiet_on_the_channel_of_contact(posted: list[dict[str, Any]]) -> None:
    make_clients(3, mobile=mobile, sms_consent=True)
    set_rules(quiet_channels=["email"])
    plan(webhook_campaign(contact="sms"))
    send_all()
    assert states() == {"sent": 3}
    set_rules(quiet_channels=["sms"])
    quiet_only = webhook_campaign(contact="sms")
    with unit_of_work():  # within the quiet hours, whatever the time is now
        quiet_only.send_from, quiet_only.send_until = time(22), time(23)
    plan(quiet_only)
    send_all()
    assert states() == {"sent": 3, "planned": 3}


@pytest.mark.usefixtures("app")
def test_a_step_without_data_counts_the_consent_of_e_mail() -> None:
    assert step_kind("webhook").contact_of(Step(channel="webhook")) == "email"
