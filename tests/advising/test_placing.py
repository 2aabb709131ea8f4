"""Who has a task, and for which day it is listed."""

from collections import Counter
from datetime import date, timedelta

from flask import Flask

from app.advising.channel import OutgoingTask, write_tasks
from app.advising.models import AdviserTask, TaskState
from app.advising.service import change_rules, record_contact
from app.advising.trading_days import after, before, trading_days
from app.clients.models import Client
from app.clients.queries import visible_clients
from app.core.clock import today
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.users.models import User
from tests.factories.advising import (
    a_contact,
    make_absence,
    make_call_campaign,
    make_called_client,
    make_tasks,
    place_all,
)
from tests.factories.users import make_branch, make_user

SUNDAY = date(2026, 11, 22)


def adviser(**fields: object) -> User:
    return make_user(role=Role.ADVISER, branch=make_branch(), **fields)  # type: ignore[arg-type]


def cap(number: int) -> None:
    with unit_of_work():
        actor = make_user_in_session()
        change_rules(daily_cap=number, grace_days=2, escalation_days=3, holidays=[], actor=actor)
    db.session.expire_all()


def make_user_in_session() -> User:
    return db.session.scalars(db.select(User).where(User.roles.contains(["administrator"]))).first() or _administrator()


def _administrator() -> User:
    person = User(
        email="chief@example.com", name="Chief", password_hash="x", roles=["administrator"],
        branch_id=db.session.scalar(db.text("SELECT id FROM branch WHERE code = 'HO'")),
    )  # fmt: skip
    db.session.add(person)
    db.session.flush()
    return person


def days_of(tasks: list[AdviserTask]) -> Counter[date | None]:
    db.session.expire_all()
    return Counter(task.planned_on for task in tasks)


def reloaded(task: AdviserTask) -> AdviserTask:
    db.session.expire_all()
    return db.session.get_one(AdviserTask, task.id)


def test_trading_days_leave_out_weekends_and_holidays() -> None:
    monday, tuesday, wednesday = (SUNDAY + timedelta(days=days) for days in (1, 2, 3))
    assert trading_days(SUNDAY, 2, []) == [monday, tuesday]
    assert trading_days(SUNDAY, 2, [tuesday]) == [monday, wednesday]
    assert after(SUNDAY, 0, []) == monday
    assert after(monday, 2, []) == wednesday
    assert before(monday, 1, []) == SUNDAY - timedelta(days=2)


def test_a_task_goes_to_the_owner_for_the_first_trading_day(app: Flask) -> None:
    wang = adviser()
    (task,) = make_tasks([make_called_client(wang)])
    assert (task.adviser_id, task.state) == (wang.id, TaskState.OPEN)
    first = trading_days(today(), 1, [])[0]
    assert (task.planned_on, task.due_on) == (first, after(first, 2, []))


def test_writing_the_same_tasks_again_changes_nothing(app: Flask) -> None:
    (task,) = make_tasks([make_called_client(adviser())])
    with unit_of_work():
        write_tasks(task.script_id, [OutgoingTask(task.message_id, None)])
    assert db.session.scalar(db.select(db.func.count(AdviserTask.id))) == 1


def test_the_surplus_over_the_daily_cap_goes_to_the_next_trading_days(app: Flask) -> None:
    cap(2)
    wang, li = adviser(), adviser()
    tasks = make_tasks([make_called_client(wang) for _ in range(5)])
    make_tasks([make_called_client(li)])
    first, second, third = trading_days(today(), 3, [])
    assert days_of(tasks) == {first: 2, second: 2, third: 1}


def test_the_campaign_that_matters_most_and_the_largest_clients_come_first(app: Flask) -> None:
    cap(1)
    wang = adviser()
    small, large, urgent = (make_called_client(wang, total_assets=assets) for assets in (10_000, 5_000_000, None))
    low = make_tasks([small, large], campaign=make_call_campaign(priority=1), place=False)
    high = make_tasks([urgent], campaign=make_call_campaign(priority=3))
    db.session.expire_all()
    assert [task.planned_on for task in (*high, low[1], low[0])] == trading_days(today(), 3, [])


def test_campaigns_that_ask_for_the_same_client_share_one_place(app: Flask) -> None:
    cap(2)
    wang = adviser()
    clients = [make_called_client(wang) for _ in range(2)]
    tasks = make_tasks(clients) + make_tasks(clients)
    assert set(days_of(tasks)) == {trading_days(today(), 1, [])[0]}


def test_the_list_of_a_day_stays_when_something_more_urgent_comes(app: Flask) -> None:
    cap(1)
    wang = adviser()
    (listed,) = make_tasks([make_called_client(wang)], campaign=make_call_campaign(priority=1))
    (urgent,) = make_tasks([make_called_client(wang)], campaign=make_call_campaign(priority=3))
    first, second = trading_days(today(), 2, [])
    if first == today():
        assert (reloaded(listed).planned_on, urgent.planned_on) == (first, second)
    else:  # nothing is listed on a closed day, so the days ahead are still open
        assert (reloaded(listed).planned_on, urgent.planned_on) == (second, first)


def test_what_was_not_done_takes_places_of_the_next_day(app: Flask) -> None:
    cap(2)
    wang = adviser()
    late, *others = make_tasks([make_called_client(wang) for _ in range(4)])
    with unit_of_work():
        task = db.session.get_one(AdviserTask, late.id)
        task.planned_on = today() - timedelta(days=1)
    place_all(now_too=True)
    first, second = trading_days(today(), 2, [])
    assert days_of(others) == {first: 1, second: 2}


def test_a_deputy_does_the_tasks_of_the_absent_and_sees_their_clients(app: Flask) -> None:
    wang, li = adviser(), adviser()
    client = make_called_client(wang)
    make_absence(wang, li)
    (task,) = make_tasks([client])
    assert (task.adviser_id, task.deputy_for_id) == (li.id, wang.id)
    assert db.session.scalar(db.select(Client.id).where(visible_clients(li))) == client.id


def test_the_owner_gets_the_tasks_back_after_the_absence(app: Flask) -> None:
    wang, li = adviser(), adviser()
    client = make_called_client(wang)
    absence = make_absence(wang, li)
    (task,) = make_tasks([client])
    with unit_of_work() as session:
        session.delete(session.merge(absence))
    place_all()
    task = reloaded(task)
    assert (task.adviser_id, task.deputy_for_id) == (wang.id, None)
    assert db.session.scalar(db.select(Client.id).where(visible_clients(li))) is None


def test_a_client_without_an_owner_waits_in_the_queue_until_there_is_one(app: Flask) -> None:
    wang = adviser()
    client = make_called_client(None, branch_id=wang.branch_id)
    (task,) = make_tasks([client])
    assert (task.adviser_id, task.planned_on, task.branch_id) == (None, None, wang.branch_id)
    with unit_of_work() as session:
        session.get_one(Client, client.id).adviser_id = wang.id
    place_all()
    task = reloaded(task)
    assert (task.adviser_id, task.planned_on) == (wang.id, trading_days(today(), 1, [])[0])


def test_only_registered_staff_get_a_task_that_recommends_a_product(app: Flask) -> None:
    unregistered, registered = adviser(), adviser()
    with unit_of_work() as session:
        session.get_one(User, registered.id).registration_number = "S0001"
    clients = [make_called_client(unregistered), make_called_client(registered)]
    product = make_call_campaign(product_risk=2, product_name="Fund")
    refused, given = make_tasks(clients, campaign=product)
    assert (refused.adviser_id, given.adviser_id) == (None, registered.id)


def test_a_registration_that_is_over_is_none(app: Flask) -> None:
    over, valid = adviser(), adviser()
    with unit_of_work() as session:
        for user, days in ((over, -1), (valid, 0)):
            registered = session.get_one(User, user.id)
            registered.registration_number, registered.registration_until = "S0001", today() + timedelta(days=days)
    product = make_call_campaign(product_risk=2, product_name="Fund")
    refused, given = make_tasks([make_called_client(over), make_called_client(valid)], campaign=product)
    assert (refused.adviser_id, given.adviser_id) == (None, valid.id)


def test_a_registered_second_adviser_takes_what_the_owner_may_not_do(app: Flask) -> None:
    owner, second = adviser(), adviser()
    with unit_of_work() as session:
        session.get_one(User, second.id).registration_number = "S0001"
    client = make_called_client(owner, second_adviser_id=second.id)
    (task,) = make_tasks([client], campaign=make_call_campaign(product_risk=2))
    assert task.adviser_id == second.id


def test_a_deputy_without_registration_gets_no_product_either(app: Flask) -> None:
    owner, deputy = adviser(), adviser()
    with unit_of_work() as session:
        session.get_one(User, owner.id).registration_number = "S0001"
    make_absence(owner, deputy)
    (task,) = make_tasks([make_called_client(owner)], campaign=make_call_campaign(product_risk=2))
    assert (task.adviser_id, task.deputy_for_id) == (owner.id, None)


def test_a_post_without_marketing_gets_no_tasks(app: Flask) -> None:
    wang = adviser()
    with unit_of_work() as session:
        session.get_one(User, wang.id).marketing_post = False
    (task,) = make_tasks([make_called_client(wang)])
    assert task.adviser_id is None


def test_who_was_talked_to_today_is_not_asked_again_on_the_same_day(app: Flask) -> None:
    wang = adviser()
    client = make_called_client(wang)
    make_tasks([client])
    with unit_of_work():
        record_contact(contact=a_contact(client, "reached"), actor=db.session.merge(wang))
    (task,) = make_tasks([client])
    assert task.planned_on is not None
    assert task.planned_on > today()
