"""Nobody of the control group is contacted by the campaign, whatever way leads to a message."""

import ast
from pathlib import Path

import pytest
from flask import Flask
from pyroaring import BitMap64
from sqlalchemy import func, select, update

from app.advising.models import AdviserTask
from app.campaigns.models import Campaign, State, Step
from app.channels.email.models import MailboxMessage
from app.clients.models import Client
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.delivery.doctor import messages_to_control_groups
from app.delivery.experiments.service import plan_rest, send_to_rest
from app.delivery.models import Batch, Message, MessageState, Run, SeedMessage
from app.delivery.outcomes.queries import Filter
from app.delivery.outcomes.service import retry
from app.delivery.planning import plan_messages, plan_step
from app.delivery.seeds import send_seeds
from app.delivery.sweeping import resume_run, sweep
from app.users.models import User
from tests.factories.advising import make_script
from tests.factories.campaigns import make_campaign
from tests.factories.clients import make_clients
from tests.factories.delivery import do_due_jobs, launched, plan, send_all
from tests.factories.experiments import add_variants, contacted, end_tests, run_of, set_global_control
from tests.factories.users import make_user

pytestmark = pytest.mark.usefixtures("app")


def no_one_spared_was_contacted(campaign: Campaign) -> BitMap64:
    """Asserts it, and that there is somebody to spare; returns the control group."""
    run = run_of(campaign)
    control = run.control_ids
    assert control
    assert run.audience is not None
    assert not contacted(campaign) & control
    addresses = select(Client.email).where(Client.id.in_(list(control)))
    mailed = select(func.count(MailboxMessage.id)).where(MailboxMessage.recipient.in_(addresses))
    assert not db.session.scalar(mailed)
    called = select(func.count(AdviserTask.id)).where(AdviserTask.client_id.in_(list(control)))
    assert not db.session.scalar(called)
    return control


@pytest.fixture
def officer(app: Flask) -> User:
    return make_user(role=Role.MARKETING)


def test_by_sending_it_all() -> None:
    make_clients(300)
    campaign = launched(control_percent=30)
    send_all()
    control = no_one_spared_was_contacted(campaign)
    assert contacted(campaign) | control == run_of(campaign).audience.client_ids  # type: ignore[union-attr]


def test_by_planning_again_and_again() -> None:
    make_clients(300)
    campaign = launched(control_percent=30)
    plan(campaign)
    run = run_of(campaign)
    for step in campaign.steps:
        plan_step(run.id, step.id, lambda **_: None)
    no_one_spared_was_contacted(campaign)


def test_by_asking_the_planning_itself_for_everybody() -> None:
    make_clients(300)
    campaign = launched(control_percent=30)
    run = run_of(campaign)
    with unit_of_work():
        plan_messages(
            run_id=run.id, campaign_id=campaign.id, step_id=campaign.steps[0].id, channel="email", variant=None,
            client_ids=run.control_ids,
        )  # fmt: skip
    assert (db.session.scalar(select(func.min(Batch.size))) or 0) > 0
    no_one_spared_was_contacted(campaign)


def test_on_every_channel_and_in_every_step() -> None:
    make_clients(200, mobile=lambda place: f"+86138{place:08}", sms_consent=True, call_consent=True)
    campaign = make_campaign(state=State.RUNNING, control_percent=30)
    script = make_script()
    with unit_of_work() as session:
        session.add(Step(campaign_id=campaign.id, position=1, channel="call", call_script_id=script.id))
        session.add(Step(campaign_id=campaign.id, position=2, channel="email", content_id=campaign.steps[0].content_id))
    plan(campaign)
    send_all()
    no_one_spared_was_contacted(campaign)
    per_step = db.session.execute(select(Message.step_id, func.count()).group_by(Message.step_id)).all()
    assert len(per_step) == 3
    assert {count for _step, count in per_step} == {200 - len(run_of(campaign).control_ids)}


def test_by_retrying_what_failed(officer: User) -> None:
    make_clients(200)
    campaign = launched(control_percent=30)
    send_all()
    with unit_of_work() as session:
        session.execute(update(Message).values(state=MessageState.FAILED, sent_at=None, reason="550 no"))
        session.execute(update(Batch).values(failed=Batch.size, sent=0))
    with unit_of_work():
        assert retry(chosen=Filter(), reason="the relay is back", actor=officer) > 0
    send_all()
    no_one_spared_was_contacted(campaign)


def test_by_pausing_resuming_sweeping_and_planning_in_between() -> None:
    make_clients(200)
    campaign = launched(control_percent=30)
    for state in (State.PAUSED, State.RUNNING):
        with unit_of_work():
            db.session.get_one(Campaign, campaign.id).state = state
        with unit_of_work():
            resume_run(campaign.id)
            sweep()
        do_due_jobs()
        plan(campaign)
    send_all()
    no_one_spared_was_contacted(campaign)


def test_by_the_rest_of_a_test(officer: User) -> None:
    make_clients(400)
    campaign = make_campaign(state=State.RUNNING, control_percent=30)
    add_variants(campaign, [50], test_percent=40)
    plan(campaign)
    end_tests()
    with unit_of_work():
        send_to_rest(campaign=campaign, step=campaign.steps[0], variant="B", actor=officer)
    do_due_jobs()
    plan_rest(run_of(campaign).id, campaign.steps[0].id, lambda **_: None)
    send_all()
    control = no_one_spared_was_contacted(campaign)
    assert len(contacted(campaign)) == 400 - len(control)


def test_by_the_seed_list_which_goes_to_staff_only() -> None:
    make_clients(100)
    campaign = launched(control_percent=30, seeds=["colleague@firm.example"])
    send_seeds(campaign.id)
    assert db.session.scalar(select(func.count(SeedMessage.id))) == 1
    no_one_spared_was_contacted(campaign)


def test_by_the_firms_control_group_in_any_marketing_campaign() -> None:
    make_clients(300)
    set_global_control(20)
    first = launched()
    send_all()
    second = launched(control_percent=10)
    spared_always = no_one_spared_was_contacted(first)
    assert spared_always < run_of(second).control_ids
    assert not contacted(second) & run_of(second).control_ids


def test_the_doctor_would_find_one_all_the_same() -> None:
    make_clients(100)
    campaign = launched(control_percent=30)
    assert messages_to_control_groups() == 0
    spared = run_of(campaign).control_ids[0]
    with unit_of_work() as session:
        session.execute(update(Message).where(Message.client_id == contacted(campaign)[0]).values(client_id=spared))
    assert messages_to_control_groups() == 1


def test_messages_begin_in_one_place_only() -> None:
    """Whoever adds another way to write messages has to think of the control group: planning, and the demo's past."""
    writers = set()
    for path in Path("app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            called = (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("insert", "pg_insert", "Message")
                and (
                    node.func.id == "Message"
                    or any(isinstance(one, ast.Name) and one.id == "Message" for one in node.args)
                )
            )
            if "INSERT INTO message " in text or "COPY message " in text or called:
                writers.add(str(path))
    assert writers == {"app/delivery/planning.py", "app/demo/past.py"}


def test_a_job_that_is_run_twice_plans_nobody_else() -> None:
    make_clients(100)
    campaign = launched(control_percent=30)
    before = contacted(campaign)
    plan(campaign)
    assert contacted(campaign) == before
    assert db.session.scalar(select(func.count(Run.id))) == 1
