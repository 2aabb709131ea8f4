"""Campaigns of several steps: added, removed, put in order, written and copied."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.campaigns import service
from app.campaigns.models import Campaign, State
from app.campaigns.preflight import preflight
from app.campaigns.queries import history
from app.campaigns.sms_step import set_sms
from app.content.sms.models import Registration
from app.content.sms.service import save_template
from app.core.errors import AppError, Conflict, NotFound
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from tests.factories.campaigns import make_campaign
from tests.factories.sms import make_signature, make_sms_campaign, make_sms_template
from tests.factories.users import make_user, sign_in


def channels(campaign: Campaign) -> list[str]:
    db.session.expire_all()
    return [step.channel for step in campaign.steps]


def errors(campaign: Campaign) -> list[str]:
    return [str(found.message) for found in preflight(campaign) if found.severity == "error"]


def add(campaign: Campaign, channel: str = "sms") -> None:
    with unit_of_work():
        service.add_step(campaign=campaign, channel=channel, actor=None)


def test_steps_are_added_moved_and_removed_and_each_act_is_on_record(app: Flask) -> None:
    campaign = make_campaign()
    add(campaign)
    assert channels(campaign) == ["email", "sms"]
    with unit_of_work():
        service.move_step(campaign=campaign, step=campaign.steps[1], position=0, actor=None)
    assert channels(campaign) == ["sms", "email"]
    assert [step.position for step in campaign.steps] == [0, 1]
    with unit_of_work():
        service.remove_step(campaign=campaign, step=campaign.steps[1], actor=None)
    assert channels(campaign) == ["sms"]
    with pytest.raises(AppError, match="at least one"), unit_of_work():
        service.remove_step(campaign=campaign, step=campaign.steps[0], actor=None)
    acts = [line.action for line in history(campaign)]
    assert acts == ["campaign.step_removed", "campaign.step_moved", "campaign.step_added"]


def test_a_step_of_an_unknown_channel_is_refused_and_so_is_a_change_after_submission(app: Flask) -> None:
    with pytest.raises(NotFound):
        add(make_campaign(), "pigeon")
    with pytest.raises(Conflict):
        add(make_campaign(state=State.IN_REVIEW))


def test_a_step_that_says_nothing_blocks_approval(app: Flask) -> None:
    campaign = make_campaign()
    add(campaign)
    assert errors(campaign) == ["Step 2 (SMS) says nothing yet."]


def test_an_sms_is_written_as_immutable_versions_and_an_old_editor_is_refused(app: Flask) -> None:
    campaign = make_sms_campaign(state=State.DRAFT)
    step = campaign.steps[0]
    first = step.sms_content_id
    words = {"signature_id": None, "template_id": None, "actor": None}
    with unit_of_work():
        set_sms(campaign=campaign, step=step, text="New words", seen_content_id=first, **words)
    assert step.sms_content_id != first
    with pytest.raises(Conflict), unit_of_work():
        set_sms(campaign=campaign, step=step, text="Late words", seen_content_id=first, **words)


def test_a_copy_has_the_same_steps(app: Flask) -> None:
    campaign = make_sms_campaign(state=State.DRAFT, keep_email=True)
    with unit_of_work():
        copy = service.duplicate(campaign=campaign, actor=None)
    assert [(step.channel, step.content_id, step.sms_content_id) for step in copy.steps] == [
        (step.channel, step.content_id, step.sms_content_id) for step in campaign.steps
    ]


def test_an_unregistered_signature_or_template_blocks_approval(app: Flask) -> None:
    signature = make_signature(state=Registration.PENDING)
    campaign = make_sms_campaign(state=State.DRAFT, signature=signature, template=make_sms_template())
    assert errors(campaign) == ["The signature “Bellwether” is not registered with the vendor."]


def test_another_wording_is_another_template_to_the_vendor(app: Flask) -> None:
    template = make_sms_template()
    campaign = make_sms_campaign(state=State.DRAFT, template=template)
    facts = {"name": "News", "vendor_reference": "TPL-1", "state": "registered", "note": "", "actor": None}
    with pytest.raises(AppError, match="variables"), unit_of_work():
        save_template(template=template, text="Hi {{ client.city }}", variables=[], **facts)
    with unit_of_work():
        save_template(template=template, text="Hi. 拒收请回复R", variables=[], **facts)
    assert template.state == Registration.NOT_SUBMITTED
    assert len(errors(campaign)) == 2  # not registered, and another wording


def test_the_pages_of_steps_and_sms(browser_client: FlaskClient) -> None:
    sign_in(browser_client, make_user())
    make_signature()
    campaign = make_campaign()
    base = f"/campaigns/{campaign.code}"
    page = browser_client.post(f"{base}/steps", data={"channel": "sms"}).location
    assert page.startswith(f"{base}/sms?step_id=")
    editor = browser_client.get(page).text
    assert "sms-form" in editor
    assert ">Bellwether<" in editor
    words = {"text": "Dear {{ client.first_name }} STOP", "signature": "", "template": "", "seen": "0"}
    shown = browser_client.post(page.replace("/sms?", "/sms/measure?"), data=words).text
    assert "Dear Maria STOP" in shown
    assert "GSM-7" in shown
    assert (
        "no merge field"
        in browser_client.post(page.replace("/sms?", "/sms/measure?"), data=words | {"text": "{{ a.b }}"}).text
    )
    assert browser_client.post(page, data=words).status_code == 302
    assert browser_client.post(page, data=words | {"text": "{{ broken"}).status_code == 422
    assert browser_client.post(page, data=words | {"text": "late"}).status_code == 409
    assert browser_client.get(f"{base}/review").status_code == 200
    assert browser_client.get(base).status_code == 200
    assert browser_client.get(f"{base}/audience/counts").status_code == 200
    for path in ("/sms", "/replies/parked"):
        assert browser_client.get(path).status_code in (200, 403)
