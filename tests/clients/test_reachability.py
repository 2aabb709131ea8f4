"""Clients whom no message can reach."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.clients.models import Client, Suppression
from app.clients.reachability import service
from app.clients.reachability.models import RepairTask
from app.clients.reachability.queries import channel_states
from app.clients.reachability.tasks import refresh_repairs
from app.clients.service import suppress
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from tests.factories.clients import make_client
from tests.factories.users import make_branch, make_user, sign_in


def refresh() -> None:
    with unit_of_work():
        refresh_repairs()


def bounced(address: str) -> None:
    with unit_of_work():
        suppress(channel="email", addresses=[address], reason="hard bounce", source="smtp")


def tasks() -> list[tuple[int, str, str, str]]:
    found = db.session.query(RepairTask).order_by(RepairTask.id).populate_existing()
    return [(task.client_id, task.channel, task.reason, task.state) for task in found]


def test_a_bounce_opens_one_task_and_a_new_address_closes_it(app: Flask) -> None:
    client = make_client(email="Ada@Clients.Example")
    bounced("ada@clients.example")
    refresh()
    refresh()
    assert tasks() == [(client.id, "email", "bounced", "open")]
    db.session.refresh(client)
    assert client.email_problem == "bounced"
    with unit_of_work():
        db.session.get_one(Client, client.id).email = "ada@new.example"
    refresh()
    assert tasks() == [(client.id, "email", "bounced", "done")]
    db.session.refresh(client)
    assert client.email_problem is None


@pytest.mark.parametrize("reason", ["bounced", "bounced: June", "hard bounce: 550 no such user", "soft bounces"])
def test_a_comment_on_the_reason_changes_nothing(app: Flask, reason: str) -> None:
    client = make_client(email="ada@clients.example")
    with unit_of_work():
        suppress(channel="email", addresses=["ada@clients.example"], reason=reason, source="Mailchimp export")
    refresh()
    assert tasks() == [(client.id, "email", "bounced", "open")]


def test_only_who_has_no_address_at_all_is_missing_one(app: Flask) -> None:
    make_client(mobile=None)
    make_client(email=None, mobile="+8613800000001")
    make_client(email=None, mobile=None, status="closed")
    make_client(email=None, mobile=None, flags=["deceased"])
    lost = make_client(email=None, mobile="")
    refresh()
    assert tasks() == [(lost.id, "phone", "missing", "open")]


def test_whoever_wants_no_mail_is_not_unreachable(app: Flask) -> None:
    make_client(email="ada@clients.example")
    with unit_of_work():
        suppress(channel="email", addresses=["ada@clients.example"], reason="unsubscribed", source="page")
    refresh()
    assert tasks() == []


def test_staff_report_a_wrong_number_and_nothing_is_sent_to_it_any_more(app: Flask) -> None:
    adviser = make_user(role=Role.ADVISER)
    client = make_client(number="7", mobile="+8613800000001", adviser=adviser)
    browser = sign_in(app.test_client(), adviser)
    assert browser.post("/unreachable/clients/7/phone/wrong").status_code == 302
    assert tasks() == [(client.id, "phone", "wrong", "open")]
    assert {row.channel for row in db.session.query(Suppression)} == {"sms", "call"}
    assert "Reported as wrong" in browser.get("/unreachable/").text
    assert "13800000001" not in browser.get("/unreachable/").text
    without = make_client(number="8", email=None, adviser=adviser)
    assert (
        "There is no such address"
        in browser.post(f"/unreachable/clients/{without.number}/email/wrong", follow_redirects=True).text
    )


def test_a_task_that_was_given_up_is_not_asked_again(app: Flask) -> None:
    make_client(email=None)
    refresh()
    manager = make_user(role=Role.BRANCH_MANAGER)
    (task,) = db.session.query(RepairTask).all()
    with pytest.raises(service.ReasonMissing), unit_of_work():
        service.dismiss_task(task=task, reason=" ", actor=manager)
    with unit_of_work():
        service.dismiss_task(task=task, reason="Gives no address", actor=manager)
    with pytest.raises(service.AlreadyClosed), unit_of_work():
        service.dismiss_task(task=task, reason="Again", actor=manager)
    refresh()
    assert [state for *_rest, state in tasks()] == ["dismissed"]


def test_the_figures_tell_each_channel_and_reason_within_scope(app: Flask) -> None:
    north = make_branch(code="N", name="North")
    make_client(email="a@clients.example", mobile="+8613800000001", branch=north)
    make_client(email="b@clients.example", mobile=None, branch=north)
    make_client(email=None, mobile=None)
    bounced("b@clients.example")
    refresh()
    email, phone = channel_states(make_user(role=Role.BRANCH_MANAGER, branch=north))
    assert (email.clients, email.reachable, email.reasons) == (2, 1, {"bounced": 1})
    assert (phone.clients, phone.reachable, phone.reasons) == (2, 1, {"missing": 1})


def test_a_task_of_another_branch_is_not_there(app: Flask, browser_client: FlaskClient) -> None:
    make_client(email=None, name="Southerner")
    refresh()
    north = make_branch(code="N", name="North")
    manager = sign_in(browser_client, make_user(role=Role.BRANCH_MANAGER, branch=north))
    assert "Southerner" not in manager.get("/unreachable/").text
    (task,) = db.session.query(RepairTask).all()
    assert manager.post(f"/unreachable/{task.id}/dismiss", data={"reason": "x"}).status_code == 404
    assert manager.get("/unreachable/figures").status_code == 200
