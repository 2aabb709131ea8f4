"""What came of a contact, calling, and what happens to tasks that nobody did."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import func, select

from app.advising.models import NEXT, AdviserTask, ContactResult, TaskState
from app.advising.overdue import escalate_and_close, withdraw_barred
from app.advising.service import (
    BadTime,
    Contact,
    NothingToContact,
    NotToBeCalled,
    QuietHours,
    close_uncontacted,
    dial,
    give_another_day,
    record_contact,
)
from app.advising.trading_days import before
from app.audit.models import AuditEntry
from app.campaigns.models import Campaign, State
from app.clients.engagement.models import Engagement
from app.clients.models import Client, Suppression
from app.core.clock import now, today
from app.core.errors import Forbidden
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.delivery.models import MarketingStop
from app.users.models import User
from tests.factories.advising import a_contact, make_call_campaign, make_called_client, make_tasks, place_all, quiet
from tests.factories.users import make_branch, make_team, make_user
from tests.factories.value_models import months_ago


def adviser(**fields: object) -> User:
    return make_user(role=Role.ADVISER, branch=make_branch(), **fields)  # type: ignore[arg-type]


def log(client: Client, outcome: str, actor: User, **fields: object) -> ContactResult | None:
    with unit_of_work():
        result = record_contact(contact=a_contact(client, outcome, **fields), actor=db.session.merge(actor))
    db.session.expire_all()
    return result


def reloaded(task: AdviserTask) -> AdviserTask:
    db.session.expire_all()
    return db.session.get_one(AdviserTask, task.id)


def test_a_result_finishes_every_task_on_the_card(app: Flask) -> None:
    wang = adviser()
    client = make_called_client(wang)
    one, other = make_tasks([client])[0], make_tasks([client])[0]
    result = log(client, "reached", wang)
    assert result is not None
    assert sorted(result.task_ids) == [one.id, other.id]
    for task in (reloaded(one), reloaded(other)):
        assert (task.state, task.result, task.attempts) == (TaskState.DONE, "reached", 1)
        assert task.reached_at is not None


def test_who_was_reached_counts_as_contacted_and_who_was_not_does_not(app: Flask) -> None:
    wang = adviser()
    reached, missed = make_called_client(wang), make_called_client(wang)
    make_tasks([reached, missed])
    log(reached, "interested", wang)
    log(missed, "no_answer", wang)
    found = db.session.execute(select(Engagement.client_id, Engagement.kind, Engagement.channel)).all()
    assert [tuple(row) for row in found] == [(reached.id, "contacted", "call")]


def test_no_answer_comes_again_on_the_next_trading_day(app: Flask) -> None:
    wang = adviser()
    client = make_called_client(wang)
    (task,) = make_tasks([client])
    log(client, "no_answer", wang)
    task = reloaded(task)
    assert task.state == TaskState.AGAIN
    assert task.planned_on is not None
    assert task.planned_on > today()
    assert task.reached_at is None


def test_an_appointment_is_listed_on_its_day(app: Flask) -> None:
    wang = adviser()
    client = make_called_client(wang)
    (task,) = make_tasks([client])
    meet = now() + timedelta(days=6)
    log(client, "appointment", wang, again_at=meet)
    place_all(now_too=True)
    task = reloaded(task)
    assert (task.state, task.again_at, task.planned_on) == (TaskState.AGAIN, meet, meet.date())


def test_the_same_form_sent_twice_is_one_contact(app: Flask) -> None:
    wang = adviser()
    client = make_called_client(wang)
    (task,) = make_tasks([client])
    key = f"page:{uuid4()}"
    assert log(client, "no_answer", wang, key=key) is not None
    assert log(client, "no_answer", wang, key=key) is None
    assert reloaded(task).attempts == 1


def test_a_wrong_tap_is_corrected_on_the_same_day(app: Flask) -> None:
    wang = adviser()
    client = make_called_client(wang)
    (task,) = make_tasks([client])
    log(client, "refused", wang)
    log(client, "interested", wang)
    assert (reloaded(task).state, reloaded(task).result) == (TaskState.DONE, "interested")
    assert db.session.scalar(select(func.count(ContactResult.id))) == 2


def test_a_client_without_tasks_has_nothing_to_record(app: Flask) -> None:
    with pytest.raises(NothingToContact):
        log(make_called_client(), "reached", adviser())


def test_the_next_contact_lies_ahead(app: Flask) -> None:
    wang = adviser()
    client = make_called_client(wang)
    make_tasks([client])
    with pytest.raises(BadTime):
        log(client, "appointment", wang, again_at=now() - timedelta(hours=1))


def test_a_wrong_number_is_not_called_any_more_and_asks_for_the_right_one(app: Flask) -> None:
    wang = adviser()
    client = make_called_client(wang)
    make_tasks([client])
    log(client, "wrong_number", wang)
    assert set(db.session.scalars(select(Suppression.channel))) == {"sms", "call"}


def test_who_wants_no_calls_is_taken_off_every_list(app: Flask) -> None:
    wang = adviser()
    client = make_called_client(wang)
    make_tasks([client])
    log(client, "refused", wang, no_calls=True)
    assert db.session.scalar(select(Client.call_consent).where(Client.id == client.id)) is False
    (later,) = make_tasks([client])
    with unit_of_work():
        assert withdraw_barred() == 1
    assert (reloaded(later).state, reloaded(later).withdrawn_reason) == (TaskState.WITHDRAWN, "no_consent")


# ---- Calling --------------------------------------------------------------------------------------------------------


def call(client: Client, actor: User) -> str:
    with unit_of_work():
        return dial(client=db.session.merge(client), actor=db.session.merge(actor))


def test_a_call_gives_the_number_and_is_logged_without_it(app: Flask) -> None:
    quiet(always=False)
    wang = adviser()
    client = make_called_client(wang)
    (task,) = make_tasks([client])
    number = client.mobile
    assert call(client, wang) == number
    assert reloaded(task).tried_at is not None
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "client.call")).one()
    assert (entry.actor_id, entry.subject_id) == (wang.id, client.id)
    assert str(number) not in str(entry.changes)


def test_nobody_is_called_in_quiet_hours(app: Flask) -> None:
    quiet(always=True)
    wang = adviser()
    client = make_called_client(wang)
    make_tasks([client])
    with pytest.raises(QuietHours):
        call(client, wang)


def test_nobody_is_called_for_what_does_not_suit_them(app: Flask) -> None:
    quiet(always=False)
    wang = adviser()
    with unit_of_work() as session:
        session.get_one(User, wang.id).registration_number = "S0001"
    careful = make_called_client(wang, risk_level=1, risk_assessed_on=months_ago(1), birth_date=None, kind="company")
    bold = make_called_client(wang, risk_level=5, risk_assessed_on=months_ago(1), kind="company")
    make_tasks([careful, bold], campaign=make_call_campaign(product_risk=4, product_name="Fund"))
    with pytest.raises(NotToBeCalled):
        call(careful, wang)
    assert call(bold, wang) == bold.mobile


def test_a_stop_of_all_marketing_stops_calls(app: Flask) -> None:
    quiet(always=False)
    wang = adviser()
    client = make_called_client(wang)
    make_tasks([client])
    with unit_of_work() as session:
        session.add(MarketingStop(reason="a mistake", stopped_by_id=wang.id))
    with pytest.raises(NotToBeCalled):
        call(client, wang)


# ---- Overdue --------------------------------------------------------------------------------------------------------


def make_overdue(task: AdviserTask, days: int) -> None:
    with unit_of_work() as session:
        session.get_one(AdviserTask, task.id).due_on = before(today(), days, [])


def tidy() -> tuple[int, int]:
    with unit_of_work():
        found = escalate_and_close()
    db.session.expire_all()
    return found


def test_overdue_goes_to_the_team_leader_and_then_closes_as_not_contacted(app: Flask) -> None:
    team = make_team()
    wang, leader = adviser(team=team), adviser(team=team, leads_team=True)
    (task,) = make_tasks([make_called_client(wang)])
    make_overdue(task, 1)
    assert tidy() == (1, 0)
    assert (reloaded(task).state, reloaded(task).escalated_to_id) == (TaskState.ESCALATED, leader.id)
    assert tidy() == (0, 0)
    make_overdue(task, 4)
    assert tidy() == (0, 1)
    assert reloaded(task).state == TaskState.NOT_CONTACTED


def test_without_a_team_it_goes_to_the_nearest_branch_manager(app: Flask) -> None:
    branch = make_branch()
    outlet = make_branch(parent=branch)
    manager = make_user(role=Role.BRANCH_MANAGER, branch=branch)
    make_user(role=Role.BRANCH_MANAGER, branch=make_branch())
    (task,) = make_tasks([make_called_client(None, branch_id=outlet.id)])
    make_overdue(task, 1)
    tidy()
    assert reloaded(task).escalated_to_id == manager.id


def test_a_manager_gives_another_day_or_closes(app: Flask) -> None:
    wang = adviser()
    manager = make_user(role=Role.BRANCH_MANAGER)
    first, second = make_tasks([make_called_client(wang), make_called_client(wang)])
    for task in (first, second):
        make_overdue(task, 1)
    tidy()
    with pytest.raises(Forbidden), unit_of_work():
        close_uncontacted(task=db.session.merge(second), actor=db.session.merge(wang))
    with unit_of_work():
        give_another_day(task=db.session.merge(first), actor=db.session.merge(manager))
        close_uncontacted(task=db.session.merge(second), actor=db.session.merge(manager))
    place_all()
    assert (reloaded(first).state, reloaded(second).state) == (TaskState.OPEN, TaskState.NOT_CONTACTED)
    assert reloaded(first).planned_on is not None


def test_a_cancelled_campaign_takes_its_tasks_back(app: Flask) -> None:
    (task,) = make_tasks([make_called_client(adviser())])
    with unit_of_work() as session:
        session.get_one(Campaign, task.campaign_id).state = State.CANCELLED
        session.flush()
        withdraw_barred()
    assert reloaded(task).withdrawn_reason == "cancelled"


def test_a_paused_campaign_keeps_its_tasks_and_asks_nobody(app: Flask) -> None:
    wang = adviser()
    client = make_called_client(wang)
    (task,) = make_tasks([client])
    with unit_of_work() as session:
        session.get_one(Campaign, task.campaign_id).state = State.PAUSED
        session.flush()
        withdraw_barred()
    with pytest.raises(NothingToContact):
        log(client, "reached", wang)
    assert reloaded(task).state == TaskState.OPEN


def test_states_that_are_over_lead_nowhere() -> None:
    assert NEXT[TaskState.NOT_CONTACTED] == NEXT[TaskState.WITHDRAWN] == set()
    assert set(NEXT) == set(TaskState)


def test_a_contact_says_when_it_was() -> None:
    contact = Contact("k", 1, "reached", datetime.fromisoformat("2026-01-02T10:00:00+00:00"))
    assert (contact.again_at, contact.note, contact.no_calls) == (None, "", False)
