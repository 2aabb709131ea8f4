"""The hosted form of a campaign: what it takes, what it refuses, and whose it becomes."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.campaigns.models import Campaign, State
from app.clients.duplicates.tables import move_rows
from app.clients.models import Client, Consent
from app.clients.timeline import END
from app.core.clock import today
from app.core.extensions import db, links
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.tracking.lead_forms.addresses import form_address
from app.tracking.lead_forms.limits import PER_SENDER
from app.tracking.lead_forms.models import FormAttempt, LeadForm, LeadSubmission
from app.tracking.lead_forms.queries import lead_timeline
from tests.factories.campaigns import make_campaign
from tests.factories.clients import make_client
from tests.factories.openings import report_opening
from tests.factories.tracking import make_sent_messages
from tests.factories.users import make_user, sign_in

DESIGN = {
    "title": "A first talk",
    "introduction": "Leave your number.",
    "ask_name": "required",
    "ask_mobile": "optional",
    "ask_email": "optional",
    "ask_message": "optional",
    "consent_text": "I agree to be contacted.",
    "consent_channels": ["email", "sms", "call"],
    "thanks": "Thank you, we will call.",
    "next_url": "https://open.example.com/start?from=form",
}


def _form(campaign: Campaign | None = None, **fields: Any) -> LeadForm:
    """A committed open form of a running campaign."""
    campaign = campaign or make_campaign(state=State.RUNNING)
    asked = {"name": "required", "mobile": "optional", "email": "optional", "message": "optional"}
    values: dict[str, Any] = {
        "title": "A first talk", "fields": asked, "consent_text": "I agree.", "consent_channels": ["email", "sms"],
        "enabled": True,
    } | fields  # fmt: skip
    with unit_of_work() as session:
        form = LeadForm(campaign_id=campaign.id, **values)
        session.add(form)
    return form


def _path(form: LeadForm, **more: Any) -> str:
    return form_address(form.id, **more).removeprefix("http://localhost")


def _send(client: FlaskClient, path: str, **fields: str) -> Any:
    return client.post(path, data={"name": "Ann Lee", "consent": "1", "email": "ann@example.com"} | fields)


def test_a_stranger_becomes_a_lead_with_the_consent_as_evidence(browser_client: FlaskClient) -> None:
    form = _form(consent_version=3)
    path = _path(form)
    page = browser_client.get(path)
    assert page.status_code == 200
    assert "Set-Cookie" not in page.headers
    answer = _send(browser_client, path, message="Please call.\nAfter six.")
    assert answer.status_code == 303
    lead = db.session.scalars(select(Client)).one()
    assert (lead.status, lead.name, lead.email, lead.email_consent) == ("lead", "Ann Lee", "ann@example.com", True)
    assert lead.sms_consent is None  # no number was given
    assert db.session.scalars(select(Consent.wording)).one() == "[3] I agree."
    submission = db.session.scalars(select(LeadSubmission)).one()
    assert (submission.client_id, submission.matched_by, submission.consent) == (lead.id, "new", "granted")
    assert submission.consent_text == "I agree."
    assert [entry.text for entry in lead_timeline([lead.id], 10, END)] == [
        f"Sent in the form of {db.session.get_one(Campaign, form.campaign_id).name}"
    ]


def test_the_same_form_sent_twice_is_one(browser_client: FlaskClient) -> None:
    path = _path(_form())
    for _time in range(2):
        assert _send(browser_client, path, nonce="a" * 32).status_code == 303
    assert db.session.scalar(select(func.count(LeadSubmission.id))) == 1
    _send(browser_client, path, nonce="b" * 32)
    assert db.session.scalar(select(func.count(LeadSubmission.id))) == 2
    assert db.session.scalar(select(func.count(Client.id))) == 1


def test_a_known_client_stays_as_they_are(browser_client: FlaskClient) -> None:
    known = make_client(name="Known", email="Ann@example.com", email_consent=None)
    _send(browser_client, _path(_form()), name="Somebody Else", mobile="+8613800138000")
    db.session.expire_all()
    client = db.session.scalars(select(Client)).one()
    assert (client.id, client.name, client.mobile, client.email_consent) == (known.id, "Known", None, True)
    assert client.sms_consent is None


def test_a_form_does_not_undo_an_opt_out(browser_client: FlaskClient) -> None:
    make_client(email="ann@example.com", email_consent=False)
    _send(browser_client, _path(_form()))
    assert db.session.scalars(select(LeadSubmission.consent)).one() == "opted_out_before"
    assert db.session.scalars(select(Client.email_consent)).one() is False


def test_without_the_tick_there_is_no_consent(browser_client: FlaskClient) -> None:
    browser_client.post(_path(_form()), data={"name": "Ann", "email": "ann@example.com"})
    assert db.session.scalars(select(Client.email_consent)).one() is None
    assert db.session.scalars(select(LeadSubmission.consent)).one() == "not_given"


def test_where_several_clients_fit_a_person_says_whose_it_is(browser_client: FlaskClient) -> None:
    make_client(email="ann@example.com", number="A1", email_consent=None)
    make_client(email="ann@example.com", number="A2", email_consent=None)
    form = _form()
    _send(browser_client, _path(form))
    submission = db.session.scalars(select(LeadSubmission)).one()
    assert (submission.client_id, submission.matched_by, submission.consent) == (None, "several", "waiting")
    sign_in(browser_client, make_user(role=Role.MARKETING))
    code = db.session.get_one(Campaign, form.campaign_id).code
    assert "Several clients fit" in browser_client.get(f"/campaigns/{code}/form/answers").text
    url = f"/campaigns/{code}/form/answers/{submission.id}/client"
    assert browser_client.post(url, data={"number": "none"}).status_code == 404
    assert browser_client.post(url, data={"number": "A2"}).status_code == 302
    assert browser_client.post(url, data={"number": "A1"}).status_code == 409
    db.session.expire_all()
    assert db.session.scalars(select(LeadSubmission.consent)).one() == "granted"
    assert db.session.scalar(select(Client.email_consent).where(Client.number == "A2")) is True


def test_a_lead_belongs_to_the_adviser_whose_link_it_was(browser_client: FlaskClient) -> None:
    adviser = make_user(role=Role.ADVISER)
    form = _form()
    _send(browser_client, _path(form, adviser_id=adviser.id))
    lead = db.session.scalars(select(Client)).one()
    assert (lead.adviser_id, lead.branch_id) == (adviser.id, adviser.branch_id)
    assert db.session.scalars(select(LeadSubmission.adviser_id)).one() == adviser.id


def test_the_link_in_a_message_leads_to_the_form_and_back_to_the_opening(browser_client: FlaskClient) -> None:
    campaign = make_campaign(state=State.RUNNING)
    form = _form(campaign, next_url="https://open.example.com/start?from=form")
    (message,) = make_sent_messages(campaign=campaign)
    path = links().lead_form(message.id).removeprefix("http://localhost")
    answer = _send(browser_client, path)
    submission = db.session.scalars(select(LeadSubmission)).one()
    assert (submission.message_id, submission.form_id) == (message.id, form.id)
    thanks = browser_client.get(answer.headers["Location"]).text
    assert "https://open.example.com/start?from=form&amp;code=" in thanks
    code = thanks.split("&amp;code=")[1].split('"')[0]
    opening = report_opening(opened_at=submission.received_at, tracking_code=code)
    assert (opening.client_id, opening.matched_by) == (submission.client_id, "tracking_code")


def test_machines_are_thanked_and_nothing_is_kept(browser_client: FlaskClient) -> None:
    answer = _send(browser_client, _path(_form()), website="https://spam.example")
    assert answer.status_code == 303
    assert db.session.scalar(select(func.count(LeadSubmission.id))) == 0


def test_too_many_tries_are_refused(browser_client: FlaskClient) -> None:
    path = _path(_form())
    codes = [browser_client.post(path, data={}).status_code for _try in range(PER_SENDER + 1)]
    assert codes[0] == 422
    assert codes[-1] == 429
    senders = set(db.session.scalars(select(FormAttempt.sender)))
    assert not any("127.0.0.1" in sender for sender in senders)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "x" * 101},
        {"name": "a\0b"},
        {"email": "no address"},
        {"email": ""},
        {"email": "", "mobile": "12"},
        {"message": "x" * 2_001},
    ],
)
def test_what_will_not_do_is_said_beside_the_field(browser_client: FlaskClient, fields: dict[str, str]) -> None:
    answer = _send(browser_client, _path(_form()), **fields)
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert db.session.scalar(select(func.count(Client.id))) == 0


def test_a_form_is_open_with_its_campaign_until_its_last_day(browser_client: FlaskClient) -> None:
    assert browser_client.get(_path(_form(enabled=False))).status_code == 410
    assert browser_client.get(_path(_form(make_campaign()))).status_code == 410
    assert browser_client.get(_path(_form(closes_on=today() - timedelta(days=1)))).status_code == 410
    closed = _path(_form(make_campaign(state=State.CANCELLED)))
    assert _send(browser_client, closed).status_code == 410
    assert browser_client.get(_path(_form(closes_on=today()))).status_code == 200


@pytest.mark.parametrize("token", ["x", "A" * 60, "%00", "../../etc"])
def test_addresses_that_we_did_not_make_are_not_found(browser_client: FlaskClient, token: str) -> None:
    _form()
    assert browser_client.get(f"/f/{token}").status_code == 404


def test_a_body_of_megabytes_is_refused(browser_client: FlaskClient) -> None:
    assert browser_client.post(_path(_form()), data={"message": "x" * (1 << 20)}).status_code == 413


def test_an_officer_designs_opens_and_prints_a_form(browser_client: FlaskClient) -> None:
    officer = make_user(role=Role.MARKETING)
    sign_in(browser_client, officer)
    campaign = make_campaign(owner=officer)
    url = f"/campaigns/{campaign.code}/form"
    assert browser_client.get(url).status_code == 200
    assert browser_client.post(url, data=DESIGN | {"next_url": "http://x.example"}).status_code == 400
    assert browser_client.post(url, data=DESIGN | {"consent_channels": []}).status_code == 400
    assert browser_client.post(url, data=DESIGN).status_code == 302
    browser_client.post(url, data=DESIGN | {"consent_text": "Other words."})
    form = db.session.scalars(select(LeadForm)).one()
    assert (form.consent_version, form.consent_text, form.enabled) == (2, "Other words.", False)
    browser_client.post(f"{url}/open", data={"enabled": "y", "closes_on": "2099-01-31"})
    db.session.expire_all()
    assert db.session.scalars(select(LeadForm.enabled)).one()
    assert browser_client.get(f"{url}/qr.svg").data.startswith(b"<?xml")
    assert browser_client.get(f"{url}/qr.png?download=1").data.startswith(b"\x89PNG")
    assert browser_client.get(f"{url}/qr.png?adviser=999").status_code == 404
    assert "cannot be sent" in browser_client.get(f"{url}/preview").text
    assert "Nothing was sent in yet" in browser_client.get(f"{url}/answers").text


def test_what_was_launched_keeps_its_words_but_may_be_closed(browser_client: FlaskClient) -> None:
    sign_in(browser_client, make_user(role=Role.MARKETING))
    form = _form()
    url = f"/campaigns/{db.session.get_one(Campaign, form.campaign_id).code}/form"
    assert browser_client.post(url, data=DESIGN).status_code == 409
    assert browser_client.post(f"{url}/open", data={}).status_code == 302
    db.session.expire_all()
    assert not db.session.scalars(select(LeadForm.enabled)).one()


def test_merged_clients_keep_what_they_sent_in(app: Flask) -> None:
    form = _form()
    loser, survivor = make_client(), make_client()
    with unit_of_work() as session:
        session.add(
            LeadSubmission(
                form_id=form.id, nonce="1", client_id=loser.id, consent="not_given", consent_version=1,
                consent_text="x", matched_by="new",
            )
        )  # fmt: skip
    with unit_of_work():
        move_rows(loser.id, survivor.id)
    assert db.session.scalars(select(LeadSubmission.client_id)).all() == [survivor.id]
