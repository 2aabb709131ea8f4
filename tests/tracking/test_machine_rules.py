"""The rules about machines' hits: a page, versions, and judging anew what was recorded."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.audit.models import AuditEntry
from app.clients.engagement.models import Engagement
from app.core.errors import AppError, Forbidden
from app.core.extensions import db
from app.core.jobs import Job
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Message
from app.tracking import tasks as tasks  # so that the job is known
from app.tracking.machines.models import MachineRules
from app.tracking.machines.rules import DEFAULT_AGENTS, rules_in_force
from app.tracking.machines.service import change_machine_rules
from app.tracking.models import Event
from tests.factories.delivery import do_due_jobs
from tests.factories.tracking import interpret, make_events, make_sent_messages, reload
from tests.factories.users import make_user, sign_in

FORM = {
    "too_fast_seconds": "3",
    "all_links_seconds": "4.5",
    "agents": "*scanner*\n\n Corp* ",
    "networks": "192.0.2.0/24",
}


def change(**fields: Any) -> MachineRules:
    values: dict[str, Any] = {
        "agents": list(DEFAULT_AGENTS),
        "networks": [],
        "too_fast_seconds": 2.0,
        "all_links_seconds": 5.0,
    }
    admin = make_user(role=Role.ADMINISTRATOR)
    with unit_of_work():
        return change_machine_rules(**(values | fields), actor=admin)


def facts(message: Message) -> tuple[bool, bool, int]:
    """Whether people and machines opened it, and for how many clients an opening is noted."""
    reload(message)
    noted = db.session.scalar(select(func.count()).select_from(Engagement).where(Engagement.kind == "opened")) or 0
    return message.opened_at is not None, message.machine_opened_at is not None, noted


def test_new_rules_judge_what_was_recorded_before_and_back_again(app: Flask) -> None:
    by_scanner, by_person = make_sent_messages(2)
    make_events(
        [
            {"kind": "open", "message_id": by_scanner.id, "ip": "198.51.100.7"},
            {"kind": "open", "message_id": by_person.id, "ip": "203.0.113.9"},
        ]
    )
    interpret()
    assert facts(by_scanner) == (True, False, 2)
    change(networks=["198.51.100.0/24"])
    do_due_jobs()
    assert facts(by_scanner) == (False, True, 1)
    assert facts(by_person) == (True, False, 1)
    change()
    do_due_jobs()
    assert facts(by_scanner) == (True, False, 2)
    assert set(db.session.scalars(select(Job.state))) == {"done"}


def test_judging_again_by_the_same_rules_changes_nothing(app: Flask) -> None:
    messages = make_sent_messages(50)
    make_events(
        {"kind": "open", "message_id": message.id, "method": "HEAD" if number % 3 else "GET"}
        for number, message in enumerate(messages)
    )
    interpret()
    before = db.session.execute(select(Event.id, Event.machine, Event.interpreted_at).order_by(Event.id)).all()
    change()
    do_due_jobs()
    db.session.rollback()
    assert db.session.execute(select(Event.id, Event.machine, Event.interpreted_at).order_by(Event.id)).all() == before


def test_what_no_event_says_is_left_alone(app: Flask) -> None:
    """Openings that were written without an event (of a time before there were any) stay."""
    (message,) = make_sent_messages()
    opened = message.sent_at
    with unit_of_work():
        db.session.get_one(Message, message.id).opened_at = opened
    make_events([{"kind": "click", "message_id": message.id, "user_agent": "scanner"}])
    interpret()
    change(too_fast_seconds=10)
    do_due_jobs()
    assert reload(message).opened_at == opened


def test_an_older_version_leaves_the_work_to_the_newer(app: Flask) -> None:
    (message,) = make_sent_messages()
    make_events([{"kind": "open", "message_id": message.id, "ip": "198.51.100.7"}])
    interpret()
    change(networks=["198.51.100.0/24"])
    change()
    do_due_jobs()
    assert facts(message) == (True, False, 1)


def test_too_fast_may_be_switched_off_by_the_rules(app: Flask) -> None:
    (message,) = make_sent_messages()
    make_events([{"kind": "open", "message_id": message.id, "at": message.sent_at + timedelta(seconds=1)}])  # type: ignore[operator]
    interpret()
    assert reload(message).opened_at is None
    change(too_fast_seconds=0)
    do_due_jobs()
    assert reload(message).opened_at is not None


def test_configuration_switches_the_too_fast_rule_off_visibly(
    app: Flask, browser_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(browser_client, make_user(role=Role.ADMINISTRATOR))
    assert "MACHINE_HIT_SECONDS" not in browser_client.get("/settings/machine-hits").text
    config = app.extensions["bellwether_config"]
    monkeypatch.setitem(app.extensions, "bellwether_config", replace(config, machine_hit_seconds=0.0))
    change(too_fast_seconds=9)
    assert rules_in_force().too_fast_seconds == 0
    assert "MACHINE_HIT_SECONDS" in browser_client.get("/settings/machine-hits").text


def test_the_page_saves_a_version_and_tells_who(browser_client: FlaskClient) -> None:
    admin = make_user(role=Role.ADMINISTRATOR, name="Ada Administrator")
    sign_in(browser_client, admin)
    assert "*crawler*" in browser_client.get("/settings/machine-hits").text
    assert browser_client.post("/settings/machine-hits", data=FORM).status_code == 302
    rules = rules_in_force()
    assert (rules.version, rules.agents, rules.networks) == (1, ("*scanner*", "Corp*"), ("192.0.2.0/24",))
    assert (rules.too_fast_seconds, rules.all_links_seconds) == (3.0, 4.5)
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "machine_rules.edit")).one()
    assert entry.changes["networks_added"] == ["192.0.2.0/24"]
    assert entry.changes["agents_added"] == ["Corp*"]
    page = browser_client.get("/settings/machine-hits").text
    assert "Ada Administrator" in page
    do_due_jobs()
    assert "is being judged" not in browser_client.get("/settings/machine-hits").text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("agents", "*"),
        ("agents", "**.*"),
        ("agents", "a" * 300),
        ("agents", "\n".join(f"a{n}" for n in range(501))),
        ("networks", "everything"),
        ("networks", "0.0.0.0/0"),
        ("networks", "::/0"),
        ("networks", "192.0.2.0/33"),
        ("too_fast_seconds", "-1"),
        ("too_fast_seconds", "NaN"),
        ("all_links_seconds", "1e9"),
        ("all_links_seconds", "soon"),
    ],
)
def test_rules_that_cannot_be_are_refused_with_a_sentence(browser_client: FlaskClient, name: str, value: str) -> None:
    sign_in(browser_client, make_user(role=Role.ADMINISTRATOR))
    answer = browser_client.post("/settings/machine-hits", data=FORM | {name: value})
    assert answer.status_code in (400, 422)
    assert db.session.scalar(select(func.count(MachineRules.id))) == 0


def test_hostile_text_is_refused_and_harms_nothing(app: Flask) -> None:
    for agents in (["a\0b"], ["("], [r"(a+)+$"], ["[" * 100]):
        try:
            change(agents=agents)
        except AppError:
            continue
        (message,) = make_sent_messages()
        make_events([{"kind": "open", "message_id": message.id, "user_agent": "a" * 200}])
        interpret()


def test_only_an_administrator_changes_them(app: Flask, browser_client: FlaskClient) -> None:
    officer = make_user(role=Role.MARKETING)
    with pytest.raises(Forbidden), unit_of_work():
        change_machine_rules(agents=[], networks=[], too_fast_seconds=0, all_links_seconds=0, actor=officer)
    sign_in(browser_client, make_user(role=Role.MARKETING))
    assert browser_client.post("/settings/machine-hits", data=FORM).status_code == 403


def test_the_last_days_are_told_by_reason(browser_client: FlaskClient) -> None:
    sign_in(browser_client, make_user(role=Role.ADMINISTRATOR))
    assert "Nothing was opened" in browser_client.get("/settings/machine-hits/lately").text
    (message,) = make_sent_messages()
    make_events(
        [
            {"kind": "open", "message_id": message.id},
            {"kind": "click", "message_id": message.id, "method": "HEAD", "user_agent": "scanner"},
        ]
    )
    interpret()
    text = browser_client.get("/settings/machine-hits/lately").text
    assert "50.0%" in text
    assert "Asked for the address only, Program of the list" in text
