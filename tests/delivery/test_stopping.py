"""Stopping all marketing, pausing, revising after the launch, and launches whose audience moved."""

import time
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from app.audit.models import AuditEntry
from app.campaigns.models import Campaign, State
from app.campaigns.sending_plan import SendingPlan, set_sending_plan
from app.campaigns.service import (
    WrongState,
    accept_audience,
    approve,
    launch,
    pause,
    resume,
    revise,
    set_content,
    set_segments,
    submit,
)
from app.content.models import EmailContent
from app.core.clock import now
from app.core.errors import AppError, Conflict, Forbidden
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Batch, MarketingStop, Message, Run
from app.delivery.rendering import render_message_html
from app.delivery.sending import hand_over, record_results, release
from app.delivery.stopping import restart_marketing, stop_in_force, stop_marketing
from app.delivery.sweeping import dispatch_due_batches
from app.users.models import User
from tests.factories.campaigns import HTML, make_campaign
from tests.factories.clients import make_clients
from tests.factories.delivery import claimed, do_due_jobs, handed_over, launched, send_all, states
from tests.factories.users import make_user, sign_in

pytestmark = pytest.mark.usefixtures("app")


def stopped(by: User, reason: str = "wrong offer") -> None:
    with unit_of_work():
        stop_marketing(reason=reason, actor=by)


# ---- Stop ----


def test_a_stop_needs_a_reason_and_a_second_person_restarts() -> None:
    first, second, adviser = (make_user(role=role) for role in ("marketing", "compliance", "adviser"))
    with pytest.raises(AppError), unit_of_work():
        stop_marketing(reason="  ", actor=first)
    stopped(first)
    with pytest.raises(Conflict), unit_of_work():
        stop_marketing(reason="again", actor=second)
    with pytest.raises(Forbidden), unit_of_work():
        restart_marketing(actor=first)
    with pytest.raises(Forbidden), unit_of_work():
        restart_marketing(actor=adviser)
    with unit_of_work():
        restart_marketing(actor=second)
    assert stop_in_force() is None
    with pytest.raises(Conflict), unit_of_work():
        restart_marketing(actor=second)
    acts = db.session.execute(
        select(AuditEntry.action, AuditEntry.reason).where(AuditEntry.subject == "marketing")
    ).all()
    assert acts == [("marketing.stop", "wrong offer"), ("marketing.restart", None)]


def test_nothing_is_sent_out_or_launched_while_stopped_and_all_goes_on_afterwards() -> None:
    make_clients(3)
    launched()
    first, second = make_user(role="marketing"), make_user(role="head_office")
    stopped(first)
    with unit_of_work() as session:
        session.execute(update(Batch).values(due_at=now() - timedelta(seconds=1)))
        assert dispatch_due_batches() == 0
    send_all()
    assert states() == {"planned": 3}
    ready = make_campaign(state=State.APPROVED)
    with pytest.raises(AppError, match="stopped"), unit_of_work():
        launch(campaign=ready, actor=first)
    service = make_campaign(state=State.APPROVED, purpose="service")
    with unit_of_work():
        launch(campaign=service, actor=first)
    with unit_of_work():
        restart_marketing(actor=second)
    send_all()
    assert states() == {"sent": 3}


def test_the_page_stops_with_one_button_and_every_page_says_so(browser_client: FlaskClient) -> None:
    officer = make_user(role="marketing")
    sign_in(browser_client, officer)
    assert "/marketing/stop" in browser_client.get("/campaigns").text
    assert browser_client.post("/marketing/stop", data={"reason": ""}).status_code == 422
    assert browser_client.post("/marketing/stop", data={"reason": "A\0B"}).status_code in (400, 422)
    assert browser_client.post("/marketing/stop", data={"reason": "The offer is wrong"}).status_code == 302
    assert "The offer is wrong" in browser_client.get("/campaigns").text
    assert browser_client.post("/marketing/restart").status_code == 403
    sign_in(browser_client, make_user(role="compliance"))
    assert browser_client.post("/marketing/restart").status_code == 302
    assert "The offer is wrong" not in browser_client.get("/campaigns").text


def test_the_command_line_stops_and_restarts(app: Flask) -> None:
    first, second = make_user(role="marketing").email, make_user(role="administrator").email
    run = app.test_cli_runner().invoke
    assert run(args=["delivery", "stop", "--as", first, "--reason", "wrong price"]).exit_code == 0
    refused = run(args=["delivery", "restart", "--as", first])
    assert refused.exit_code == 1
    assert "Somebody else" in refused.output
    assert run(args=["delivery", "restart", "--as", second]).exit_code == 0
    assert db.session.scalar(select(func.count(MarketingStop.id))) == 1


# ---- Pause and revise ----


def begun(clients: int = 6, sent: int = 2) -> Campaign:
    """A running campaign of which some messages have left and the others are planned in the same batch."""
    make_clients(clients)
    officer = make_user(role="marketing")
    campaign = launched(owner=officer, submitter=officer)
    batch_id = db.session.scalars(select(Batch.id)).one()
    work, window = handed_over(sent, batch_id=batch_id)
    record(work, window.rows)
    release(work)
    return campaign


def record(work: Any, rows: Any) -> None:
    results = work.prepared.material.send(work.channel, rows)
    with unit_of_work():
        record_results(work, results)


def test_pause_stops_and_resume_goes_on_exactly() -> None:
    campaign = begun()
    officer = db.session.get_one(User, campaign.submitted_by_id)
    with unit_of_work():
        pause(campaign=campaign, actor=officer)
    send_all()
    assert states() == {"sent": 2, "planned": 4}
    with unit_of_work():
        resume(campaign=campaign, actor=officer)
    do_due_jobs()
    send_all()
    assert states() == {"sent": 6}


def test_an_edit_after_the_launch_needs_a_pause_a_new_approval_and_touches_only_the_unsent() -> None:
    campaign = begun()
    officer = db.session.get_one(User, campaign.submitted_by_id)
    checker = make_user(role="compliance")
    words = {"format": "html", "preheader": "The week", "source": HTML.replace("market brief", "corrected brief")}
    with pytest.raises(WrongState), unit_of_work():
        set_content(campaign=campaign, subject="Corrected", actor=officer, **words)
    with unit_of_work():
        pause(campaign=campaign, actor=officer)
    with pytest.raises(WrongState), unit_of_work():
        set_content(campaign=campaign, subject="Corrected", actor=officer, **words)
    with unit_of_work():
        revise(campaign=campaign, actor=officer)
    with pytest.raises(WrongState), unit_of_work():
        set_segments(campaign=campaign, include=[], actor=officer)
    with unit_of_work():
        set_content(campaign=campaign, subject="Corrected", actor=officer, **words)
    with unit_of_work():
        set_sending_plan(campaign=campaign, plan=SendingPlan(priority=3), actor=officer)
    with unit_of_work():
        submit(campaign=campaign, actor=officer)
    with pytest.raises(WrongState), unit_of_work():
        resume(campaign=campaign, actor=officer)
    send_all()
    assert states() == {"sent": 2, "planned": 4}
    with unit_of_work():
        approve(campaign=campaign, actor=checker)
    with pytest.raises(WrongState), unit_of_work():
        launch(campaign=campaign, actor=officer)
    with unit_of_work():
        resume(campaign=campaign, actor=officer)
    do_due_jobs()
    send_all()
    send_all()
    assert states() == {"sent": 6}
    sent_with = db.session.execute(
        select(EmailContent.subject, func.count(Message.id))
        .join(Batch, Batch.content_id == EmailContent.id)
        .join(Message, Message.batch_id == Batch.id)
        .group_by(EmailContent.subject)
    ).all()
    assert dict(map(tuple, sent_with)) == {"Market brief": 2, "Corrected": 4}
    shown = [
        "corrected brief" in render_message_html(message_id)
        for message_id in db.session.scalars(select(Message.id).order_by(Message.sent_at, Message.id))
    ]
    assert shown == [False] * 2 + [True] * 4


def test_a_worker_with_the_old_words_hands_nothing_over_once_the_words_changed() -> None:
    make_clients(4)
    campaign = launched()
    work = claimed()
    assert work is not None
    with unit_of_work() as session:
        content = EmailContent(format="html", subject="New", source="<p>a</p>", html="<p>a</p>", text="a")
        session.add(content)
        session.flush()
        session.get_one(Campaign, campaign.id).steps[0].content_id = content.id
    with unit_of_work():
        assert hand_over(work, limit=10) is None


# ---- The audience moved ----


def ready_to_launch(clients: int) -> tuple[Campaign, User, User]:
    make_clients(clients)
    officer, checker = make_user(role="marketing"), make_user(role="compliance")
    campaign = make_campaign(owner=officer)
    with unit_of_work():
        submit(campaign=campaign, actor=officer)
    with unit_of_work():
        approve(campaign=campaign, actor=checker)
    assert campaign.approved_count == clients
    return campaign, officer, checker


def test_a_launch_stops_where_the_audience_moved_by_more_than_five_percent() -> None:
    campaign, officer, checker = ready_to_launch(40)
    make_clients(3)
    with unit_of_work():
        launch(campaign=campaign, actor=officer)
    do_due_jobs()
    db.session.refresh(campaign)
    assert (campaign.state, campaign.approved_count, campaign.held_count) == (State.HELD, 40, 43)
    assert states() == {}
    assert db.session.scalar(select(func.count(Run.id))) == 0
    with pytest.raises(Forbidden), unit_of_work():
        accept_audience(campaign=campaign, seen=43, actor=officer)
    with pytest.raises(Conflict), unit_of_work():
        accept_audience(campaign=campaign, seen=40, actor=checker)
    with unit_of_work():
        accept_audience(campaign=campaign, seen=43, actor=checker)
    do_due_jobs()
    send_all()
    assert states() == {"sent": 43}


def test_a_launch_goes_on_where_it_moved_by_five_percent_or_less() -> None:
    campaign, officer, _checker = ready_to_launch(40)
    make_clients(2)
    with unit_of_work():
        launch(campaign=campaign, actor=officer)
    do_due_jobs()
    db.session.refresh(campaign)
    assert campaign.state == State.RUNNING
    assert states() == {"planned": 42}


def test_a_running_worker_stops_within_a_window(app: Flask) -> None:
    """The loop of a worker, with the stop given by another connection after its first window."""
    make_clients(30)
    launched()
    actor_id = make_user(role="administrator").id
    work, window = handed_over(10)
    began = time.monotonic()
    with app.app_context(), unit_of_work() as session:
        stop_marketing(reason="now", actor=session.get_one(User, actor_id))
    record(work, window.rows)
    with unit_of_work():
        assert hand_over(work, limit=10) is None
    assert time.monotonic() - began < 5
    assert states() == {"sent": 10, "planned": 20}
