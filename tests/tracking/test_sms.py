"""SMS that come in, and receipts."""

import json
from base64 import b64encode
from hmac import digest

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from app.campaigns.sms_rules import meaning_of
from app.channels.models import ChannelAccount
from app.channels.sms.models import MailboxSms
from app.clients.models import Client, Consent, Suppression
from app.core.extensions import db, settings, signer
from app.core.tokens import Kind
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Message
from app.tracking.models import Event, ParkedSms, Reply
from app.tracking.sms import InboundSms, receive_sms, webhook_token
from tests.factories.clients import make_client
from tests.factories.delivery import plan, send_all
from tests.factories.sms import make_sms_campaign
from tests.factories.users import make_user, sign_in

NUMBER = "+8613800138000"
SID = "AC" + "1" * 32


def sent_to(client: Client) -> Message:
    plan(make_sms_campaign(purpose="statutory"))
    send_all()
    return db.session.scalars(select(Message).where(Message.client_id == client.id)).one()


def receive(text: str, *, sender: str = NUMBER, external_id: str = "1") -> None:
    with unit_of_work():
        receive_sms(InboundSms("test", external_id, sender, text))
    db.session.expire_all()


@pytest.mark.parametrize("word", ["R", "r", " T ", "TD。", "n", "退订", "拒收！", "STOP"])
def test_opt_out_words_of_mainland_china(word: str) -> None:
    assert meaning_of(word, market="mainland_china") == "opt_out"


@pytest.mark.parametrize(
    ("word", "meaning"), [("Stop.", "opt_out"), ("R", "reply"), ("help", "help"), ("do not stop", "reply")]
)
def test_words_elsewhere(word: str, meaning: str) -> None:
    assert meaning_of(word, market="other") == meaning


def test_a_reply_belongs_to_the_last_sms_and_comes_once(app: Flask) -> None:
    client = make_client(mobile=NUMBER, sms_consent=True)
    message = sent_to(client)
    receive("Call me")
    receive("Call me")
    reply = db.session.scalars(select(Reply)).one()
    assert (reply.message_id, reply.client_id, reply.kind, reply.text) == (message.id, client.id, "reply", "Call me")
    assert db.session.scalars(select(Event.kind).where(Event.source == "sms")).all() == ["reply"]


def test_an_opt_out_withdraws_the_consent_of_all_who_share_the_number(app: Flask) -> None:
    one, other = make_client(mobile=NUMBER, sms_consent=True), make_client(mobile=NUMBER, sms_consent=True)
    sent_to(one)
    receive("STOP")
    assert (one.sms_consent, other.sms_consent, one.email_consent) == (False, False, True)
    evidence = db.session.scalars(select(Consent).where(Consent.channel == "sms", Consent.granted.is_(False))).all()
    assert {(consent.source, consent.wording) for consent in evidence} == {("sms", "STOP")}


def test_an_unknown_number_is_parked_and_its_opt_out_suppresses_it(app: Flask) -> None:
    receive("who are you?\0", external_id="1")
    receive("stop", external_id="2")
    receive("stop", external_id="2")
    parked = db.session.scalars(select(ParkedSms).order_by(ParkedSms.id)).all()
    assert [(one.text, one.acted) for one in parked] == [("who are you?", None), ("stop", "opted out")]
    assert db.session.scalars(select(Suppression.address).where(Suppression.channel == "sms")).all() == [NUMBER]


@pytest.fixture
def twilio(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_TWILIO", "auth token")
    with unit_of_work():
        db.session.add(
            ChannelAccount(
                name="t",
                channel="sms",
                vendor="twilio",
                secret_name="TEST_TWILIO",
                state="paused",
                settings={"account_sid": SID, "sender": "+14155550100"},
            )
        )


def signed(browser: FlaskClient, path: str, form: dict[str, str], key: str = "auth token") -> int:
    return post_signed(browser, path, form, key).status_code


def post_signed(browser: FlaskClient, path: str, form: dict[str, str], key: str = "auth token") -> TestResponse:
    words = settings().public_url + path + "".join(name + form[name] for name in sorted(form))
    signature = b64encode(digest(key.encode(), words.encode(), "sha1")).decode()
    return browser.post(path, data=form, headers={"X-Twilio-Signature": signature})


@pytest.mark.usefixtures("twilio")
def test_twilio_callbacks_are_taken_only_with_the_accounts_signature(browser_client: FlaskClient) -> None:
    path = f"/webhooks/twilio/status/{signer().sign(Kind.REPLY, 77)}"
    form = {"AccountSid": SID, "MessageSid": "SM1", "MessageStatus": "delivered"}
    assert signed(browser_client, path, form, key="guessed") == 403
    assert browser_client.post(path, data=form).status_code == 403
    assert signed(browser_client, path, form) == 200
    assert signed(browser_client, path, form | {"MessageStatus": "a new word"}) == 200
    assert signed(browser_client, "/webhooks/twilio/status/forged", form) == 404
    events = db.session.execute(select(Event.kind, Event.message_id).order_by(Event.id)).all()
    assert [tuple(event) for event in events] == [("delivered", 77), ("other", 77)]


@pytest.mark.usefixtures("twilio")
def test_twilio_passes_on_sms_and_help_is_answered(browser_client: FlaskClient) -> None:
    form = {"AccountSid": SID, "MessageSid": "SM2", "From": NUMBER, "Body": "STOP"}
    assert signed(browser_client, "/webhooks/twilio/inbound", form) == 200
    assert signed(browser_client, "/webhooks/twilio/inbound", form, key="x") == 403
    assert db.session.scalars(select(ParkedSms.acted)).all() == ["opted out"]
    asked = form | {"MessageSid": "SM3", "Body": "Help"}
    answer = post_signed(browser_client, "/webhooks/twilio/inbound", asked)
    assert settings().firm_name in answer.text
    assert "Reply STOP to opt out." in answer.text
    again = post_signed(browser_client, "/webhooks/twilio/inbound", asked)  # known already
    assert "<Message>" not in again.text


def test_a_gateways_receipts_and_messages_are_read_by_its_settings(app: Flask, browser_client: FlaskClient) -> None:
    with unit_of_work():
        account = ChannelAccount(
            name="g",
            channel="sms",
            vendor="http_gateway",
            state="paused",
            settings={"receipt_list": "r", "receipt_token": "ext", "receipt_status": "st", "inbound_list": "m"},
        )
        db.session.add(account)
    base, token = f"/webhooks/sms/{account.id}", webhook_token(account)
    receipts = {"r": [{"ext": signer().sign(Kind.REPLY, 5), "st": "DELIVRD", "id": "a"}, {"ext": "forged", "st": "?"}]}
    assert browser_client.post(f"{base}/receipts/wrong", json=receipts).status_code == 403
    assert browser_client.post(f"{base}/receipts/{token}", json=[1, "x", None]).status_code == 400
    assert browser_client.post(f"{base}/receipts/{token}", json=receipts).status_code == 200
    events = db.session.execute(select(Event.kind, Event.message_id).order_by(Event.id)).all()
    assert [tuple(event) for event in events] == [("delivered", 5), ("other", None)]
    messages = {"m": [{"from": NUMBER, "text": "stop", "id": 9}, {"from": {}, "text": 1}]}
    assert browser_client.post(f"{base}/inbound/{token}", json=messages).status_code == 200
    assert db.session.scalars(select(ParkedSms.external_id)).all() == ["9"]


@pytest.mark.parametrize("kind", ["receipts", "inbound"])
def test_whatever_a_gateway_sends_the_answer_is_a_sentence(app: Flask, browser_client: FlaskClient, kind: str) -> None:
    with unit_of_work():
        account = ChannelAccount(name="g", channel="sms", vendor="http_gateway", state="paused")
        db.session.add(account)
    path = f"/webhooks/sms/{account.id}/{kind}/{webhook_token(account)}"
    bodies = ["", "null", "[]", "[1]", "{}", "NaN", '"x"', "[" * 5_000, "{", "9" * 5_000]
    nested = ["[" * levels + "]" * levels for levels in (450, 900, 960)]
    for name in ("token", "id", "status", "from", "text"):
        others = {"from": NUMBER, "text": "hello", "status": "delivered"}
        others.pop(name, None)
        for value in (*nested, "NaN", "1e999", '"\\u0000"', '"\\ud800"', "{}", "true", "9" * 4_000):
            bodies.append(json.dumps(others)[:-1] + f', "{name}": {value}}}')
    for body in bodies:
        answer = browser_client.post(path, data=body, content_type="application/json")
        assert (answer.status_code, answer.mimetype) in ((200, "text/plain"), (400, "text/plain")), body[:80]


def test_an_sms_of_the_local_mailbox_is_read_and_answered(browser_client: FlaskClient) -> None:
    client = make_client(mobile=NUMBER, sms_consent=True)
    sent_to(client)
    sign_in(browser_client, make_user())
    assert NUMBER in browser_client.get("/mailbox/sms").text
    assert browser_client.get("/mailbox/sms?recipient=99999").status_code == 200
    path = f"/mailbox/sms/{db.session.scalars(select(MailboxSms.id)).one()}"
    assert "Reply STOP" in browser_client.get(path).text
    assert browser_client.post(path, data={"text": "stop"}).status_code == 302
    db.session.expire_all()
    assert client.sms_consent is False
    assert browser_client.get("/mailbox/sms/999999").status_code == 404


def test_the_command_line_prints_the_addresses_that_vendors_call(app: Flask) -> None:
    with unit_of_work():
        db.session.add(ChannelAccount(name="g", channel="sms", vendor="http_gateway"))
    printed = app.test_cli_runner().invoke(args=["tracking", "sms-addresses"]).output.splitlines()
    assert [line.split("\t")[:2] for line in printed] == [["g", "receipts"], ["g", "inbound"]]
