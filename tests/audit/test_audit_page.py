"""The audit trail as administrators and compliance read it."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.audit.models import AuditEntry
from app.audit.queries import audit_page
from app.audit.service import record
from app.core.clock import now
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from tests.factories.users import make_branch, make_user, sign_in


def note(actor=None, subject: str = "campaign", number: int = 1, **fields: object) -> None:
    with unit_of_work():
        record(actor=actor, action=f"{subject}.launch", subject=subject, subject_id=number, **fields)


def test_an_entry_reads_in_words(app: Flask, browser_client: FlaskClient) -> None:
    officer = make_user(name="Ada Byron")
    note(officer, number=7, changes={"active": [True, False], "target": [None, 12]}, reason="<b>asked by phone</b>")
    page = sign_in(browser_client, make_user(role=Role.COMPLIANCE)).get("/audit").text
    for words in ("Ada Byron", "Launched", "Campaign 7", "yes → no", "– → 12", "&lt;b&gt;asked by phone"):
        assert words in page


def test_unknown_words_are_shown_as_they_are(app: Flask, browser_client: FlaskClient) -> None:
    with unit_of_work():
        record(actor=None, action="comet.turn_around", subject="comet", subject_id=None, changes={"tail": {"km": 1}})
    page = sign_in(browser_client, make_user(role=Role.ADMINISTRATOR)).get("/audit").text
    assert "Turn around" in page
    assert "The system" in page


def test_entries_are_found_by_person_thing_and_day(app: Flask, browser_client: FlaskClient) -> None:
    ada, grace = make_user(name="Ada"), make_user(name="Grace")
    note(ada, number=1)
    note(grace, "segment", 2)
    with unit_of_work() as session:
        session.add(AuditEntry(at=now() - timedelta(days=3), action="x.y", subject="client", subject_id=3, changes={}))
    sign_in(browser_client, make_user(role=Role.ADMINISTRATOR))

    def numbers(query: str) -> list[str]:
        page = browser_client.get(f"/audit?{query}").text
        return re.findall(r'class="text-nowrap" href="[^"]+number=(\d+)"', page)

    assert numbers("person=ada") == ["1"]
    assert numbers("subject=segment") == ["2"]
    assert numbers("subject=segment&number=3") == []
    assert numbers(f"day={(now() - timedelta(days=3)).date()}") == ["3"]
    assert numbers("day=nonsense&number=x") == ["3", "2", "1"]
    assert "Nothing fits these filters." in browser_client.get("/audit?person=nobody").text
    assert browser_client.get("/audit?day=9999-12-31&number=99999999999999999999").status_code == 400


def test_pages_go_both_ways(app: Flask) -> None:
    for number in range(120):
        note(number=number)
    first = audit_page()
    second = audit_page(older_than=first.older)
    third = audit_page(older_than=second.older)
    assert [len(page.rows) for page in (first, second, third)] == [50, 50, 20]
    assert (first.newer, third.older) == (None, None)
    assert audit_page(newer_than=third.newer).rows == second.rows
    assert audit_page(newer_than=second.newer).newer is None


def test_a_branch_reads_of_its_own_people_only(app: Flask, browser_client: FlaskClient) -> None:
    branch = make_branch()
    note(make_user(branch=branch, name="Inside"))
    note(make_user(name="Outside"))
    note(None, "segment")
    page = sign_in(browser_client, make_user(role=Role.ADMINISTRATOR, branch=branch)).get("/audit").text
    assert "Inside" in page
    assert "Outside" not in page
    assert "The system" not in page


@pytest.mark.parametrize("role", [Role.MARKETING, Role.ADVISER, Role.BRANCH_MANAGER, Role.HEAD_OFFICE])
def test_other_roles_do_not_read_it(app: Flask, browser_client: FlaskClient, role: Role) -> None:
    assert sign_in(browser_client, make_user(role=role)).get("/audit").status_code == 403


@pytest.mark.parametrize("statement", ["UPDATE audit_entry SET reason = 'x'", "DELETE FROM audit_entry"])
def test_the_database_refuses_to_rewrite_it(app: Flask, statement: str) -> None:
    note()
    with pytest.raises(DBAPIError, match="append-only"):
        db.session.execute(text(statement))
