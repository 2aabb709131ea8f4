"""The morning and the evening sheet."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.advising.models import AdvisingRules, ContactResult, TaskState
from app.core.clock import today
from app.core.errors import NotFound
from app.core.extensions import db, settings
from app.core.unit_of_work import unit_of_work
from app.reports.sheets.queries import Place, looked_back_on, place_of, places, sheet
from app.reports.targets.models import Measure
from app.reports.targets.service import Wanted, set_period, set_targets
from app.tracking.models import Reply
from app.tracking.openings.models import CountedOpening
from app.users.models import User
from tests.factories.advising import make_call_campaign, make_called_client, make_tasks
from tests.factories.ledger import make_opening
from tests.factories.users import make_branch, make_team, make_user, sign_in


def at(day: date, hour: int) -> datetime:
    return datetime.combine(day, time(hour), ZoneInfo(settings().time_zone))


def contact(actor: User, client_id: int, task_id: int, outcome: str, when: datetime) -> None:
    with unit_of_work() as session:
        session.add(
            ContactResult(
                key=f"{client_id}-{when:%d%H}-{outcome}", client_id=client_id, task_ids=[task_id], actor_id=actor.id,
                outcome=outcome, at=when,
            )
        )  # fmt: skip


def test_a_monday_morning_looks_back_on_friday_and_holidays_are_left_out(app: Flask) -> None:
    assert looked_back_on("morning", date(2026, 3, 9)) == (date(2026, 3, 6), date(2026, 3, 5))
    assert looked_back_on("evening", date(2026, 3, 9)) == (date(2026, 3, 9), date(2026, 3, 6))
    with unit_of_work() as session:
        session.add(AdvisingRules(id=1, holidays=[date(2026, 3, 6)]))
    assert looked_back_on("morning", date(2026, 3, 9)) == (date(2026, 3, 5), date(2026, 3, 4))


def test_the_sheet_tells_the_day_by_adviser(app: Flask) -> None:
    branch = make_branch()
    adviser, chief = make_user(role="adviser", branch=branch, name="Li Na"), make_user(role="head_office")
    campaign = make_call_campaign()
    clients = [make_called_client(adviser) for _ in range(4)]
    tasks = make_tasks(clients, campaign=campaign)
    day, earlier = looked_back_on("evening", today())
    contact(adviser, clients[0].id, tasks[0].id, "no_answer", at(day, 9))
    contact(adviser, clients[0].id, tasks[0].id, "interested", at(day, 11))
    contact(adviser, clients[1].id, tasks[1].id, "appointment", at(day, 12))
    contact(adviser, clients[2].id, tasks[2].id, "reached", at(earlier, 12))
    opening = make_opening(campaign, clients[1].id, opened_at=at(day, 13))
    with unit_of_work() as session:
        session.add(
            CountedOpening(campaign_id=campaign.id, opening_id=opening.id, effective_on=day, brought_in=Decimal(700))
        )
        late = session.merge(tasks[3])
        late.due_on, late.planned_on = today() - timedelta(days=1), today() - timedelta(days=3)
        booked = session.merge(tasks[1])
        booked.result, booked.state, booked.again_at = (
            "appointment",
            TaskState.AGAIN,
            at(today() + timedelta(days=1), 10),
        )
        session.add(
            Reply(
                message_id=tasks[0].message_id, client_id=clients[0].id, campaign_id=campaign.id, subject="Re",
                message_id_header="<1@x>", text="Please call", raw=b"", received_at=at(day, 8),
            )
        )  # fmt: skip
    found = sheet("evening", Place(branch=branch), viewer=chief, today=today())
    (line,) = found.lines
    assert line.name == "Li Na"
    assert [line.count(name) for name in ("contacts", "reached", "interested", "appointments")] == [2, 2, 2, 1]
    assert [line.count(name) for name in ("opened", "effective", "overdue")] == [1, 1, 1]
    assert line.assets == 700
    assert line.moved == (1, 1)
    assert [one.name for one in found.movers] == ["Li Na"]
    assert (len(found.wrote), len(found.replies), len(found.appointments)) == (1, 1, 1)


def test_who_was_contacted_by_two_advisers_is_once_in_all(app: Flask) -> None:
    branch, chief = make_branch(), make_user(role="head_office")
    first, second = (make_user(role="adviser", branch=branch) for _ in range(2))
    client = make_called_client(first)
    (task,) = make_tasks([client])
    contact(first, client.id, task.id, "no_answer", at(today(), 9))
    contact(second, client.id, task.id, "interested", at(today(), 11))
    found = sheet("evening", Place(branch=branch), viewer=chief, today=today())
    assert [line.count("contacts") for line in found.lines] == [1, 1]
    assert (found.total("contacts"), found.total("interested")) == (1, 1)


def test_the_target_of_a_day_is_its_share_by_trading_days(app: Flask) -> None:
    branch, chief = make_branch(), make_user(role="head_office")
    campaign, other = make_call_campaign(), make_call_campaign()
    monday = date(2026, 3, 2)
    with unit_of_work():
        set_targets(
            campaign=campaign,
            wanted=[
                Wanted(Measure.ACCOUNTS, Decimal(50), branch=branch, week=monday),
                Wanted(Measure.ACCOUNTS, Decimal(9000), branch=branch),  # that of the week is nearer
            ],
            actor=chief,
        )
        set_targets(campaign=other, wanted=[Wanted(Measure.ACCOUNTS, Decimal(20), branch=branch)], actor=chief)
        set_period(campaign=other, first=monday, last=monday + timedelta(days=13), actor=chief)
    found = sheet("evening", Place(branch=branch), viewer=chief, today=date(2026, 3, 4))
    assert found.targets == {Measure.ACCOUNTS: 50 / 5 + 20 / 10}
    assert sheet("evening", Place(branch=branch), viewer=chief, today=date(2026, 3, 7)).targets == {}


def test_a_branch_reads_its_own_sheets_only(browser_client: FlaskClient, app: Flask) -> None:
    mine, other = make_branch(name="Mine"), make_branch(name="Other")
    outlet = make_branch(name="Outlet", parent=mine)
    manager = make_user(role="branch_manager", branch=mine)
    assert [name for _value, name in places(manager)] == ["Mine", "Outlet"]
    with pytest.raises(NotFound):
        place_of(f"branch:{other.id}", viewer=manager)
    sign_in(browser_client, manager)
    assert "Mine" in browser_client.get("/sheets/morning").text
    assert browser_client.get(f"/sheets/evening?of=branch:{outlet.id}").status_code == 200
    for odd in (f"branch:{other.id}", "branch:", "team:1", "x", "branch:" + "9" * 30):
        assert browser_client.get(f"/sheets/evening?of={odd}").status_code == 404


def test_a_team_has_a_sheet_of_its_own(app: Flask) -> None:
    team, chief = make_team(name="North"), make_user(role="head_office")
    adviser = make_user(role="adviser", team=team)
    stranger = make_user(role="adviser")
    tasks = make_tasks([make_called_client(adviser), make_called_client(stranger)])
    with unit_of_work() as session:
        for task in tasks:
            session.merge(task).planned_on = today()
    place = place_of(f"team:{team.id}", viewer=chief)
    assert [line.adviser_id for line in sheet("morning", place, viewer=chief, today=today()).lines] == [adviser.id]
    assert db.session.get_one(User, adviser.id).team_id == team.id
