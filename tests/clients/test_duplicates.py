"""Finding clients who are in the book twice, and telling them apart."""

from datetime import date

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.clients.duplicates import service
from app.clients.duplicates import tasks as tasks
from app.clients.duplicates.finding import MOST_SHARING, find_duplicates
from app.clients.duplicates.models import DuplicatePair
from app.clients.duplicates.queries import PAGE, pairs_page
from app.clients.editing.service import version_of
from app.clients.models import Client
from app.core.extensions import db
from app.core.jobs import Job, run_job
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from tests.factories.clients import make_client, make_clients
from tests.factories.users import make_branch, make_user, sign_in

BORN = date(1984, 5, 17)


def found() -> dict[tuple[int, int], tuple[list[str], int]]:
    with unit_of_work():
        find_duplicates()
    return {
        (pair.first_id, pair.second_id): (sorted(pair.signs), pair.strength)
        for pair in db.session.scalars(select(DuplicatePair).where(DuplicatePair.state == "open"))
    }


def test_what_two_clients_share_is_found_whatever_its_writing(app: Flask) -> None:
    one = make_client(
        email="A@x.com", mobile="+8613812345678", identity_number="1101-X", name="Wang Fang", birth_date=BORN
    )
    two = make_client(email="a@X.com", mobile="+8613812345678", identity_number="1101x")
    three = make_client(name="wangfang", birth_date=BORN)
    assert found() == {
        (one.id, two.id): (["email", "identity", "mobile"], 8),
        (one.id, three.id): (["name_birth"], 1),
    }
    two.email = two.mobile = two.identity_number = None
    db.session.commit()
    assert set(found()) == {(one.id, three.id)}


def test_an_address_that_many_share_tells_nothing(app: Flask) -> None:
    make_clients(MOST_SHARING + 1, email="none@example.com")
    assert found() == {}


def test_a_dismissed_pair_stays_dismissed(app: Flask) -> None:
    one, two = make_client(email="a@x.com"), make_client(email="a@x.com")
    found()
    actor = make_user()
    with unit_of_work():
        service.dismiss(one=two, other=one, reason="mother and son", actor=actor)
    assert found() == {}
    assert [line.pair.reason for line in pairs_page(user=actor, state="dismissed").lines] == ["mother and son"]


def test_pairs_are_paged_by_strength_and_scope(app: Flask) -> None:
    make_clients(2 * PAGE + 4, email=lambda i: f"p{(i + 1) // 2}@x.com")
    elsewhere = make_branch()
    make_client(branch=elsewhere, email="p1@x.com", identity_number="77777")
    make_client(branch=elsewhere, email="q@x.com", identity_number="77777")
    found()
    user = make_user()
    first = pairs_page(user=user, state="open")
    assert first.lines[0].pair.signs == ["identity"]
    assert first.after
    second = pairs_page(user=user, state="open", after=first.after)
    seen = [(line.pair.first_id, line.pair.second_id) for line in (*first.lines, *second.lines)]
    assert len(seen) == len(set(seen)) == PAGE + 5
    manager = make_user(role=Role.BRANCH_MANAGER, branch=elsewhere)
    assert len(pairs_page(user=manager, state="open").lines) == 1
    assert len(pairs_page(user=user, state="open", after="9-x-1").lines) == PAGE


def test_duplicates_are_searched_compared_and_merged_in_the_browser(browser_client: FlaskClient) -> None:
    one = make_client(number="1", email="a@x.com", name="Wang", city="Rome")
    two = make_client(number="2", email="a@x.com", name="王")
    officer = sign_in(browser_client, make_user())
    assert "No duplicates are known" in officer.get("/client-duplicates/").text
    assert officer.post("/client-duplicates/search").status_code == 302
    run_job(db.session.scalars(select(Job.id)).one())
    page = officer.get("/client-duplicates/").text
    assert "same e-mail" in page
    assert "compare?stays=1&amp;goes=2" in page
    compared = officer.get("/client-duplicates/compare?stays=1&goes=2").text
    assert "differs" in compared
    assert "a@x.com" not in compared
    form = {
        "stays": "1",
        "goes": "2",
        "take-name": "loser",
        "seen-stays": version_of(one),
        "seen-goes": version_of(two),
    }
    assert officer.post("/client-duplicates/merge", data=form | {"goes": "none"}).status_code == 404
    assert officer.post("/client-duplicates/merge", data=form).status_code == 302
    db.session.expire_all()
    assert (one.name, two.merged_into_id) == ("王", one.id)
    assert officer.get("/clients/2").location == "/clients/1"
    assert "Former client numbers" in officer.get("/clients/1").text
    assert officer.get("/client-duplicates/compare?stays=1&goes=2").status_code == 404
    assert db.session.scalars(select(Client.number).where(Client.merged_into_id.is_(None))).all() == ["1"]
