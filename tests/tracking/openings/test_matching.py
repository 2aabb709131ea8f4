"""Whose an opening is: number, tracking code, e-mail, mobile, and a person where these do not tell."""

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.core.clock import now
from app.core.extensions import db, signer
from app.core.permissions import Role
from app.core.tokens import Kind
from app.tracking.models import AccountOpening, Attribution
from tests.factories.clients import make_client
from tests.factories.openings import report_opening
from tests.factories.tracking import make_sent_messages
from tests.factories.users import make_user, sign_in

AT = now() - timedelta(minutes=5)


def test_the_first_of_number_code_mail_and_mobile_decides(app: Flask) -> None:
    by_number, by_code = make_client(number="N1"), make_client()
    by_mail, by_mobile = make_client(email="Ann@Example.com"), make_client(mobile="+8613800138000")
    (message,) = make_sent_messages(clients=[by_code.id])
    given = {
        "client_number": "N1",
        "tracking_code": signer().sign(Kind.CODE, message.id),
        "email": "ann@example.com",
        "mobile": "+8613800138000",
    }
    for place, (client, by) in enumerate(
        [(by_number, "number"), (by_code, "tracking_code"), (by_mail, "email"), (by_mobile, "mobile")]
    ):
        rest = dict(list(given.items())[place:])
        opening = report_opening(external_id=by, opened_at=AT, **rest)
        assert (opening.client_id, opening.matched_by) == (client.id, by)


def test_an_address_of_two_clients_waits_for_a_person(app: Flask) -> None:
    make_client(email="both@example.com")
    make_client(email="BOTH@example.com", mobile="+8613800138000")
    opening = report_opening(opened_at=AT, email="both@example.com", mobile="+8613800138000")
    assert (opening.client_id, opening.matched_by) == (None, None)


def test_records_merged_into_one_are_one_client(app: Flask) -> None:
    stays = make_client(email="one@example.com")
    make_client(email="one@example.com", merged_into_id=stays.id)
    assert report_opening(opened_at=AT, email="one@example.com").client_id == stays.id


@pytest.mark.parametrize("code", ["", "x", "A" * 200, "https://example.com/"])
def test_a_code_that_is_not_ours_says_nothing(app: Flask, code: str) -> None:
    make_client()
    assert report_opening(opened_at=AT, tracking_code=code).client_id is None


def test_a_person_matches_sets_aside_and_takes_up_again(browser_client: FlaskClient) -> None:
    sign_in(browser_client, make_user(role=Role.MARKETING))
    client = make_client(number="C9", name="Ann Lee", email="ann@example.com")
    make_sent_messages(clients=[client.id])
    opening = report_opening(opened_at=now(), client_number="X", mobile="+8613800138000")
    url = f"/account-openings/{opening.id}"
    assert "The report fits no client" in browser_client.get(url).text
    assert browser_client.post(f"{url}/set-aside", data={"reason": " "}).status_code == 422
    browser_client.post(f"{url}/set-aside", data={"reason": "A test of the branch"})
    assert "A test of the branch" in browser_client.get(url).text
    assert "Set aside" in browser_client.get("/account-openings?state=set_aside").text
    browser_client.post(f"{url}/take-up")
    found = browser_client.get(f"{url}?search=Ann").text
    assert "Ann Lee" in found
    assert "ann@example.com" not in found
    assert browser_client.post(f"{url}/match", data={"number": "none"}).status_code == 404
    assert browser_client.post(f"{url}/match", data={"number": "C9"}).status_code == 302
    assert browser_client.post(f"{url}/match", data={"number": "C9"}).status_code == 409
    report_opening(external_id="2", opened_at=AT)
    db.session.expire_all()
    assert db.session.get_one(AccountOpening, opening.id).matched_by == "person"
    assert db.session.scalar(select(func.count()).select_from(Attribution)) == 1
    page = browser_client.get(url).text
    assert "100" in page
    assert "Last message" in page


def test_who_only_reads_may_not_match(browser_client: FlaskClient) -> None:
    client = make_client()
    opening = report_opening(opened_at=AT, client_number="X")
    sign_in(browser_client, make_user(role=Role.HEAD_OFFICE))
    assert browser_client.get(f"/account-openings/{opening.id}").status_code == 200
    answer = browser_client.post(f"/account-openings/{opening.id}/match", data={"number": client.number})
    assert answer.status_code == 403
