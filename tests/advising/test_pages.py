"""The pages about contacts: the list of a day, the card, files of results, the overview, absences, the script."""

from datetime import timedelta
from io import BytesIO
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.advising.models import AdviserTask, AdvisingRules, ContactResult, ResultImport, TaskState
from app.advising.overdue import escalate_and_close
from app.advising.trading_days import before
from app.campaigns.models import Campaign, State, Step
from app.clients.models import Client
from app.clients.ownership.handing_over import pass_on
from app.clients.ownership.loads import load_of
from app.core.clock import today
from app.core.extensions import db, settings
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.users.models import Absence, User
from tests.factories.advising import (
    make_call_campaign,
    make_called_client,
    make_script,
    make_tasks,
    quiet,
)
from tests.factories.campaigns import make_campaign
from tests.factories.users import make_branch, make_team, make_user, sign_in


def adviser(**fields: object) -> User:
    return make_user(role=Role.ADVISER, branch=make_branch(), **fields)  # type: ignore[arg-type]


def listed_today(task: AdviserTask) -> None:
    """As on a trading day: tests run on weekends too."""
    with unit_of_work() as session:
        session.get_one(AdviserTask, task.id).planned_on = today()


def a_day(**fields: Any) -> tuple[User, Client, AdviserTask]:
    wang = adviser(name="Wang Fang")
    client = make_called_client(wang, name="Zhang Wei", **fields)
    (task,) = make_tasks([client])
    listed_today(task)
    quiet(always=False)
    return wang, client, task


def body(client: FlaskClient, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200, response.get_data(as_text=True)[:500]
    return response.get_data(as_text=True)


def test_the_list_has_one_card_for_a_client_of_several_campaigns(app: Flask) -> None:
    wang, client, _task = a_day()
    other = make_call_campaign(name="Autumn seminar")
    listed_today(make_tasks([client], campaign=other)[0])
    page = body(sign_in(app.test_client(), wang), "/contacts")
    assert page.count("Zhang Wei") == 1
    assert "Autumn seminar" in page
    assert "1 client to contact" in page


def test_the_card_shows_the_script_and_never_the_number(app: Flask) -> None:
    wang, client, task = a_day(risk_level=3)
    page = body(sign_in(app.test_client(), wang), f"/contacts/{client.number}")
    assert "Good morning, this is your adviser." in page
    assert "C3" in page
    assert str(client.mobile) not in page
    assert str(client.mobile)[3:] not in page
    assert task.client_id == client.id


def test_the_words_of_the_clients_segment_are_shown(app: Flask) -> None:
    wang = adviser()
    client = make_called_client(wang)
    campaign = make_campaign(state=State.COMPLETE)
    segment_id = campaign.segments[0].segment_id
    script = make_script(
        parts=[{"segment_id": segment_id, "words": "Your deposit matures."}],
        objections=[{"objection": "No time", "answer": "It takes two minutes."}],
    )
    make_tasks([client], campaign=make_call_campaign(script=script), segment_id=segment_id)
    page = body(sign_in(app.test_client(), wang), f"/contacts/{client.number}")
    assert "Your deposit matures." in page
    assert "Good morning, this is your adviser." not in page
    assert "It takes two minutes." in page


def test_a_tap_dials_and_the_number_is_only_in_the_header(app: Flask) -> None:
    wang, client, _task = a_day()
    browser = sign_in(app.test_client(), wang)
    tapped = browser.post(f"/contacts/{client.number}/call", headers={"HX-Request": "true"})
    assert tapped.headers["HX-Redirect"] == f"tel:{client.mobile}"
    assert tapped.get_data(as_text=True) == ""
    plain = browser.post(f"/contacts/{client.number}/call")
    assert (plain.status_code, plain.headers["Location"]) == (303, f"tel:{client.mobile}")


def test_two_taps_record_a_result(app: Flask) -> None:
    wang, client, task = a_day()
    browser = sign_in(app.test_client(), wang)
    typed = {"key": str(uuid4()), "outcome": "interested", "again": "", "note": "Call again in spring"}
    for _twice in range(2):
        assert browser.post(f"/contacts/{client.number}/result", data=typed).status_code == 303
    db.session.expire_all()
    assert db.session.get_one(AdviserTask, task.id).state == TaskState.DONE
    assert [row.note for row in db.session.scalars(select(ContactResult))] == ["Call again in spring"]
    assert "Interested" in body(browser, "/contacts")
    assert "Call again in spring" in body(browser, f"/clients/{client.number}")


def test_a_result_that_makes_no_sense_is_refused_with_a_sentence(app: Flask) -> None:
    wang, client, task = a_day()
    browser = sign_in(app.test_client(), wang)
    for typed in (
        {"key": "x", "outcome": "reached"},
        {"key": str(uuid4()), "outcome": "nonsense\x00"},
        {"key": str(uuid4()), "outcome": "appointment", "again": "at", "at": "9999-99-99"},
        {"key": str(uuid4()), "outcome": "appointment", "again": "at", "at": "9999-12-31T23:59"},
        {"key": str(uuid4()), "outcome": "reached", "note": "x" * 2000},
    ):
        assert browser.post(f"/contacts/{client.number}/result", data=typed).status_code in (400, 409)
    db.session.expire_all()
    assert db.session.get_one(AdviserTask, task.id).state == TaskState.OPEN


def test_nobody_opens_the_card_of_a_client_they_do_not_look_after(app: Flask) -> None:
    _wang, client, _task = a_day()
    stranger = sign_in(app.test_client(), adviser())
    for path in (f"/contacts/{client.number}", f"/contacts/{client.number}/call", f"/contacts/{client.number}/result"):
        assert stranger.open(path, method="GET" if path.endswith(client.number) else "POST").status_code == 404
    assert "Zhang Wei" not in body(stranger, "/contacts")


# ---- Files ----------------------------------------------------------------------------------------------------------


def upload(browser: FlaskClient, text: str, name: str = "results.csv") -> ResultImport:
    response = browser.post("/contacts/files", data={"file": (BytesIO(text.encode()), name)})
    assert response.status_code == 302, response.get_data(as_text=True)[-800:]
    db.session.expire_all()
    return db.session.scalars(select(ResultImport).order_by(ResultImport.id.desc())).first()  # type: ignore[return-value]


def test_a_file_of_results_is_taken_once_and_bad_rows_are_told(app: Flask) -> None:
    wang, client, task = a_day()
    stranger = make_called_client(adviser())
    when = (today() - timedelta(days=1)).isoformat()
    text = (
        "客户号,联系结果,联系时间,备注\n"
        f"{client.number},已接通,{when} 10:05,very kind\n"
        f"{client.number},哈哈,{when} 11:00,\n"
        f"{stranger.number},已接通,{when} 10:00,\n"
        f"{client.number},已接通,2093-01-01 10:00,\n"
    )
    browser = sign_in(app.test_client(), wang)
    done = upload(browser, text)
    assert (done.rows, done.taken, done.known, len(done.refused)) == (4, 1, 0, 3)
    assert [row for row, _reason, _cells in done.refused] == [2, 3, 4]
    assert db.session.get_one(AdviserTask, task.id).result == "reached"
    again = upload(browser, text)
    assert (again.taken, again.known, len(again.refused)) == (0, 1, 3)
    assert "among yours" in body(browser, f"/contacts/files/{done.id}")
    assert "among yours" in browser.get(f"/contacts/files/{done.id}/refused.csv").get_data(as_text=True)


def test_the_time_behind_a_date_with_slashes_is_kept(app: Flask) -> None:
    wang, client, _task = a_day()
    day = today() - timedelta(days=1)
    browser = sign_in(app.test_client(), wang)
    upload(browser, f"客户号,联系结果,联系时间\n{client.number},已接通,{day:%Y/%m/%d} 15:30\n")
    at = db.session.scalars(select(ContactResult.at)).one()
    assert f"{at.astimezone(ZoneInfo(settings().time_zone)):%Y-%m-%d %H:%M}" == f"{day} 15:30"


def test_the_empty_workbook_can_be_filled_in(app: Flask) -> None:
    response = sign_in(app.test_client(), adviser()).get("/contacts/files/empty.xlsx")
    assert response.status_code == 200
    assert response.get_data().startswith(b"PK")


def test_a_file_that_is_no_table_is_refused(app: Flask) -> None:
    browser = sign_in(app.test_client(), adviser())
    for content in (b"%PDF-1.4", b"a,b\n1,2\n", b""):
        response = browser.post("/contacts/files", data={"file": (BytesIO(content), "x.csv")})
        assert response.status_code == 422


# ---- The overview ---------------------------------------------------------------------------------------------------


def test_a_leader_sees_the_team_and_decides_what_is_overdue(app: Flask) -> None:
    team = make_team()
    wang, leader = adviser(team=team, name="Wang Fang"), adviser(team=team, leads_team=True)
    client = make_called_client(wang, name="Zhang Wei")
    (task,) = make_tasks([client])
    with unit_of_work() as session:
        session.get_one(AdviserTask, task.id).due_on = before(today(), 1, [])
        session.flush()
        escalate_and_close()
    browser = sign_in(app.test_client(), leader)
    page = body(browser, "/contacts/overview")
    assert "Wang Fang" in page
    assert "Zhang Wei" in page
    assert browser.post(f"/contacts/tasks/{task.id}/close").status_code == 303
    db.session.expire_all()
    assert db.session.get_one(AdviserTask, task.id).state == TaskState.NOT_CONTACTED
    assert (
        sign_in(app.test_client(), db.session.merge(wang)).post(f"/contacts/tasks/{task.id}/close").status_code == 403
    )


def test_a_manager_sees_what_nobody_has(app: Flask) -> None:
    branch = make_branch()
    make_tasks([make_called_client(None, branch_id=branch.id, name="Zhang Wei")])
    manager = make_user(role=Role.BRANCH_MANAGER, branch=branch)
    page = body(sign_in(app.test_client(), manager), "/contacts/overview")
    assert "Zhang Wei" in page
    assert "Nobody has these yet" in page


def test_an_absence_moves_the_tasks_and_ends(app: Flask) -> None:
    branch = make_branch()
    wang, li = (make_user(role=Role.ADVISER, branch=branch) for _ in range(2))
    (task,) = make_tasks([make_called_client(wang)])
    browser = sign_in(app.test_client(), wang)
    typed = {"user": wang.id, "deputy": li.id, "first_day": today().isoformat(), "last_day": today().isoformat()}
    assert browser.post("/contacts/absences", data=typed).status_code == 303
    db.session.expire_all()
    assert db.session.get_one(AdviserTask, task.id).adviser_id == li.id
    assert browser.post("/contacts/absences", data=typed).status_code == 422
    absence_id = db.session.scalars(select(Absence.id)).one()
    assert sign_in(app.test_client(), li).post(f"/contacts/absences/{absence_id}/end").status_code == 404
    assert browser.post(f"/contacts/absences/{absence_id}/end").status_code == 303
    db.session.expire_all()
    assert db.session.get_one(AdviserTask, task.id).adviser_id == wang.id


def test_the_rules_are_changed_by_the_head_office(app: Flask) -> None:
    browser = sign_in(app.test_client(), make_user(role=Role.HEAD_OFFICE))
    typed = {"daily_cap": "30", "grace_days": "1", "escalation_days": "2", "holidays": "2027-01-01\n2027-02-08"}
    assert browser.post("/contacts/rules", data=typed).status_code == 303
    rules = db.session.get_one(AdvisingRules, 1)
    assert (rules.daily_cap, rules.grace_days, len(rules.holidays)) == (30, 1, 2)
    assert browser.post("/contacts/rules", data=typed | {"holidays": "tomorrow"}).status_code == 422


def test_a_leavers_tasks_go_to_who_looks_after_the_clients(app: Flask) -> None:
    wang, client, task = a_day()
    li = make_user(role=Role.ADVISER)
    assert load_of(wang).work["contacts"] == 1
    with unit_of_work() as session:
        session.get_one(Client, client.id).adviser_id = li.id
    manager = make_user(role=Role.BRANCH_MANAGER)
    with unit_of_work():
        assert pass_on(key="contact tasks", leaver=db.session.merge(wang), successor=li, actor=manager) == 1
    db.session.expire_all()
    assert db.session.get_one(AdviserTask, task.id).adviser_id == li.id


# ---- The script -----------------------------------------------------------------------------------------------------


def test_a_script_is_written_in_the_campaign(app: Flask) -> None:
    officer = make_user(role=Role.MARKETING)
    campaign = make_campaign(owner=officer)
    segment_id = campaign.segments[0].segment_id
    browser = sign_in(app.test_client(), officer)
    added = browser.post(f"/campaigns/{campaign.code}/steps", data={"channel": "call"})
    assert added.status_code == 302
    step = db.session.scalars(select(Step).where(Step.channel == "call")).one()
    path = f"/campaigns/{campaign.code}/script?step_id={step.id}"
    assert "Goal of the contact" in body(browser, path)
    typed = {
        "kind": "visit", "goal": "Invite", "words": "Good morning", f"part-{segment_id}": "Dear holder", "seen": "0",
        "objection": ["No time", "", ""], "answer": ["Two minutes", "", ""],
    }  # fmt: skip
    assert browser.post(path, data=typed | {"words": ""}).status_code == 400
    assert browser.post(path, data=typed).status_code == 302
    db.session.expire_all()
    script = db.session.get_one(Step, step.id).call_script
    assert script is not None
    assert (script.kind, script.words_for(segment_id), script.words_for(None)) == (
        "visit",
        "Dear holder",
        "Good morning",
    )
    assert script.objections == [{"objection": "No time", "answer": "Two minutes"}]
    assert browser.post(path, data=typed | {"words": "Hello"}).status_code == 409  # from the version before
    assert "Two minutes" in body(browser, f"/campaigns/{campaign.code}/review")


def test_a_forbidden_phrase_in_a_script_blocks_the_campaign(app: Flask) -> None:
    officer = make_user(role=Role.MARKETING)
    campaign = make_campaign(owner=officer)
    script = make_script(words="A guaranteed return of 8 percent")
    with unit_of_work() as session:
        session.get_one(Campaign, campaign.id).steps.append(Step(position=1, channel="call", call_script_id=script.id))
    page = body(sign_in(app.test_client(), officer), f"/campaigns/{campaign.code}/review")
    assert "forbidden phrase" in page
