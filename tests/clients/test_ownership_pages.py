"""The pages of ownership: the pool, advisers, transfers, leavers, and the panel of a client."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from flask import Flask

from app.clients.models import Client
from app.clients.reachability.service import refresh_tasks
from app.core.clock import today
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.users.models import User
from tests.factories.clients import make_client, make_clients
from tests.factories.users import make_branch, make_team, make_user, sign_in


def page(app: Flask, person: User, path: str) -> str:
    response = sign_in(app.test_client(), person).get(path)
    assert response.status_code == 200, response.status_code
    return response.get_data(as_text=True)


def send(app: Flask, person: User, path: str, **form: object) -> tuple[int, str]:
    response = sign_in(app.test_client(), person).post(path, data=form, follow_redirects=True)
    return response.status_code, response.get_data(as_text=True)


def owner_of(client: Client) -> int | None:
    db.session.expire_all()
    return db.session.get_one(Client, client.id).adviser_id


@pytest.fixture
def manager(app: Flask) -> User:
    return make_user(role=Role.HEAD_OFFICE)


class TestPool:
    def test_an_adviser_meets_masked_clients_of_the_own_branch_only(self, app: Flask) -> None:
        north = make_branch()
        make_client(number="1234567890", name="Wang Fang", branch=north)
        make_client(number="2234567890", name="Li Na", branch=make_branch())
        text = page(app, make_user(role=Role.ADVISER, branch=north), "/pool")
        assert "W••• F•••" in text
        assert "****7890" in text
        for hidden in ("Wang Fang", "1234567890", "L••• N•••"):
            assert hidden not in text

    def test_a_client_is_found_by_the_whole_name_only(self, app: Flask) -> None:
        make_client(name="Wang Fang")
        adviser = make_user(role=Role.ADVISER)
        assert "W••• F•••" in page(app, adviser, "/pool?search=wang fang")
        assert "W••• F•••" not in page(app, adviser, "/pool?search=wang")

    def test_claiming_leads_to_the_client_and_a_second_claim_names_the_owner(self, app: Flask) -> None:
        client = make_client(name="Wang Fang")
        first, second = make_user(role=Role.ADVISER, name="Ann"), make_user(role=Role.ADVISER, name="Bob")
        assert "Wang Fang" in send(app, first, f"/pool/{client.id}/claim")[1]
        assert owner_of(client) == first.id
        assert "Ann looks after this client already." in send(app, second, f"/pool/{client.id}/claim")[1]

    def test_the_pages_of_the_pool_follow_one_another(self, app: Flask, manager: User) -> None:
        make_clients(60, total_assets=lambda n: Decimal(n) if n > 30 else None, name=lambda n: f"N{n}", city="Wuxi")
        first = page(app, manager, "/pool")
        assert first.count("Wuxi") == 50
        last = db.session.scalars(db.select(Client.id).where(Client.total_assets.is_(None)).order_by(Client.id)).all()
        assert page(app, manager, f"/pool?after={last[10]}").count("Wuxi") == 10

    def test_a_manager_has_the_pool_allotted(self, app: Flask, manager: User) -> None:
        branch_id = manager.branch_id
        status, text = send(app, manager, "/pool/allot", branch=branch_id, across="own", minimum="")
        assert (status, "The pool is being allotted" in text) == (200, True)
        assert send(app, manager, "/pool/allot", branch=branch_id, across="own", minimum="x")[0] == 422
        assert send(app, manager, "/pool/allot", branch=999, across="own")[0] == 422


class TestAdvisers:
    def test_loads_are_told_and_too_many_clients_flagged(self, app: Flask, manager: User) -> None:
        make_clients(3, adviser_id=make_user(role=Role.ADVISER, name="Ann", client_capacity=2).id)
        text = page(app, manager, "/advisers")
        assert "Ann" in text
        assert "3 / 2" in text
        assert "1 above" in text

    def test_a_team_leader_sees_the_load_of_the_teams_they_lead_and_hands_nobody_over(self, app: Flask) -> None:
        team = make_team()
        north = make_branch()
        leader = make_user(role=Role.ADVISER, name="Lea", team=team, leads_team=True, branch=north)
        ann = make_user(role=Role.ADVISER, name="Ann", team=make_team(parent=team), client_capacity=2)
        make_user(role=Role.ADVISER, name="Bob", branch=north)
        client = make_client(number="778899", adviser_id=ann.id, second_adviser_id=leader.id, email=None)
        make_clients(2, adviser_id=ann.id)
        with unit_of_work():
            refresh_tasks()
        text = page(app, leader, "/advisers")
        assert "3 / 2" in text
        assert "Lea" in text
        assert re.search(r'data-label="Shared">\s*1<', text)
        assert re.search(r'data-label="Addresses to repair">\s*1<', text)
        for hidden in ("Bob", "Hand over", client.number):
            assert hidden not in text
        only = page(app, leader, f"/advisers?team={ann.team_id}")
        assert "0 / 600" not in only
        assert "3 / 2" in only
        assert "No adviser is like this." in page(app, leader, "/advisers?team=999")

    def test_other_advisers_see_their_own_load(self, app: Flask) -> None:
        ann = make_user(role=Role.ADVISER, name="Ann")
        make_user(role=Role.ADVISER, name="Bob")
        make_client(adviser_id=ann.id)
        text = page(app, ann, "/advisers")
        assert "1 / 600" in text
        assert "Bob" not in text
        assert sign_in(app.test_client(), make_user()).get("/advisers").status_code == 403

    def test_many_advisers_are_paged(self, app: Flask, manager: User) -> None:
        for number in range(53):
            make_user(role=Role.ADVISER, name=f"Adviser {number:02}")
        assert page(app, manager, "/advisers").count("Adviser 0") == 20  # in the name and for the ear
        last = page(app, manager, "/advisers?from=50")
        assert "Adviser 52" in last
        assert "Adviser 01" not in last

    def test_only_administrators_change_the_default_capacity(self, app: Flask, manager: User) -> None:
        assert send(app, manager, "/advisers", capacity=500)[0] == 403
        assert "500" in send(app, make_user(role=Role.ADMINISTRATOR), "/advisers", capacity=500)[1]
        assert send(app, make_user(role=Role.ADMINISTRATOR), "/advisers", capacity="many")[0] == 422


class TestTransfer:
    def test_a_list_of_numbers_changes_hands(self, app: Flask, manager: User) -> None:
        ann = make_user(role=Role.ADVISER)
        client, other = make_client(), make_client()
        form = {"clients": "numbers", "numbers": f"{client.number}\nunknown", "to": ann.id, "reason": "new office"}
        assert "1 client has changed hands." in send(app, manager, "/clients-transfer", **form)[1]
        assert (owner_of(client), owner_of(other)) == (ann.id, None)

    @pytest.mark.parametrize(
        "wrong",
        [{"numbers": ""}, {"to": 0}, {"reason": ""}, {"clients": "owner:1"}, {"numbers": "\n".join("x" * 6000)}],
    )
    def test_what_is_wrong_is_told_on_the_page(self, app: Flask, manager: User, wrong: dict[str, object]) -> None:
        form = {"clients": "numbers", "numbers": "1", "to": make_user(role=Role.ADVISER).id, "reason": "x"} | wrong
        status, _text = send(app, manager, "/clients-transfer", **form)
        assert status in (200, 422)
        if wrong != {"numbers": "\n".join("x" * 6000)}:  # each number once: one number is left
            assert status == 422


class TestLeaver:
    def test_a_leaver_is_frozen_handed_over_and_closed_on_one_page(self, app: Flask, manager: User) -> None:
        leaver, ann = make_user(role=Role.ADVISER, name="Leaver"), make_user(role=Role.ADVISER, name="Ann")
        client = make_client(adviser_id=leaver.id)
        address = f"/staff/{leaver.id}/hand-over"
        assert "Freeze access" in page(app, manager, address)
        assert (
            "signed out everywhere" in send(app, manager, f"/staff/{leaver.id}/freeze", **{"freeze-reason": "left"})[1]
        )
        assert "Hand them over first" in send(app, manager, f"/staff/{leaver.id}/close")[1]
        form = {"part": f"owner:{leaver.id}", "to": ann.id, "reason": "left"}
        assert "1 client has changed hands." in send(app, manager, f"{address}/clients", **form)[1]
        assert owner_of(client) == ann.id
        assert "is closed" in send(app, manager, f"/staff/{leaver.id}/close")[1]

    def test_a_branch_manager_deals_with_own_advisers_only(self, app: Flask) -> None:
        north = make_branch()
        manager = make_user(role=Role.BRANCH_MANAGER, branch=north)
        for person in (
            make_user(role=Role.ADVISER, branch=make_branch()),
            make_user(role=Role.ADMINISTRATOR, branch=north),
            make_user(roles=[Role.ADVISER, Role.BRANCH_MANAGER], branch=north),
        ):
            assert send(app, manager, f"/staff/{person.id}/freeze", **{"freeze-reason": "x"})[0] == 404

    def test_nonsense_is_refused_in_words(self, app: Flask, manager: User) -> None:
        leaver = make_user(role=Role.ADVISER)
        assert send(app, manager, f"/staff/{leaver.id}/hand-over/clients", part="x", to="y")[0] == 422
        assert send(app, manager, f"/staff/{leaver.id}/hand-over/things/desk")[0] == 404
        assert send(app, manager, f"/staff/{leaver.id}/hand-over/shares", to="x", reason="\x00")[0] == 200
        assert send(app, manager, "/staff/999/hand-over/shares")[0] == 404


class TestPanel:
    def test_history_is_shown_and_managers_assign(self, app: Flask, manager: User) -> None:
        ann = make_user(role=Role.ADVISER, name="Ann")
        client = make_client(number="77")
        form = {"what": "assign", "adviser": ann.id, "reason": "<b>moved</b>"}
        assert send(app, manager, "/clients/77/ownership", **form)[0] == 200
        assert owner_of(client) == ann.id
        text = page(app, manager, "/clients/77/ownership")
        assert "Ann" in text
        assert "&lt;b&gt;moved" in text
        assert "Assign, share or credit" in text
        assert "Assign, share or credit" not in page(app, ann, "/clients/77/ownership")

    def test_it_ends_with_a_reason(self, app: Flask, manager: User) -> None:
        client = make_client(number="77", adviser_id=make_user(role=Role.ADVISER).id)
        assert "Please say why" in send(app, manager, "/clients/77/ownership/end/release")[1]
        send(app, manager, "/clients/77/ownership/end/release", **{"end-reason": "moved"})
        assert owner_of(client) is None


@pytest.mark.parametrize(("days_left", "called_so"), [(0, True), (-1, False)])
def test_only_registered_staff_are_called_investment_advisers(
    app: Flask, manager: User, days_left: int, called_so: bool
) -> None:
    adviser = make_user(role=Role.ADVISER)
    with unit_of_work() as session:
        registered = session.get_one(User, adviser.id)
        registered.registration_number = "S0001"
        registered.registration_until = today() + timedelta(days=days_left)
    client = make_client(adviser=adviser)
    assert ("Investment adviser" in page(app, manager, f"/clients/{client.number}/ownership")) is called_so
    administrator = make_user(role=Role.ADMINISTRATOR)
    assert ("Investment adviser" in page(app, administrator, "/staff")) is called_so
