"""Who looks after a client: assigning, sharing, credit, the pool, transfers, and the history of it all."""

from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy import select

from app.audit.models import AuditEntry
from app.clients.models import Client
from app.clients.ownership.loads import adviser_loads
from app.clients.ownership.models import Ownership
from app.clients.ownership.queries import default_capacity, ownership_history
from app.clients.ownership.service import (
    AlreadyOwned,
    NoAdviser,
    NobodyOwns,
    OwnerIsSecond,
    ReasonMissing,
    assign,
    claim,
    credit,
    release,
    set_default_capacity,
    share,
    transfer_clients,
    unshare,
)
from app.core.errors import Forbidden, NotFound
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.users.models import User
from tests.factories.clients import make_client, make_clients
from tests.factories.users import make_branch, make_user


@pytest.fixture
def manager(app: Flask) -> User:
    return make_user(role=Role.HEAD_OFFICE, name="Manager")


def adviser(name: str, **fields: object) -> User:
    return make_user(role=Role.ADVISER, name=name, **fields)  # type: ignore[arg-type]


def stretches(client: Client) -> list[tuple[str, str, bool]]:
    """(adviser, role, still so) of the client's history, oldest first."""
    db.session.expire_all()
    history = ownership_history(db.session.get_one(Client, client.id))
    return [(one.adviser, one.role, one.until is None) for one in reversed(history)]


def last_act() -> AuditEntry:
    return db.session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1)).one()


class TestHistory:
    def test_an_owner_nobody_changed_owns_the_client_since_it_was_created(self, app: Flask) -> None:
        client = make_client(adviser_id=adviser("Ann").id)
        (only,) = ownership_history(client)
        assert (only.adviser, only.role, only.since, only.until) == ("Ann", "owner", client.created_at, None)
        assert db.session.scalars(select(Ownership)).all() == []

    def test_the_first_change_writes_what_was_before_as_well(self, manager: User) -> None:
        client = make_client(adviser_id=adviser("Ann").id)
        created = client.created_at
        bob = adviser("Bob")
        with unit_of_work():
            assign(client=client, adviser=bob, reason="Ann is away", actor=manager)
        assert stretches(client) == [("Ann", "owner", False), ("Bob", "owner", True)]
        newest, first = ownership_history(client)
        assert first.since == created
        assert first.until == newest.since
        assert (newest.by, newest.reason) == ("Manager", "Ann is away")

    def test_each_further_change_ends_the_stretch_before(self, manager: User) -> None:
        client = make_client()
        for person in (adviser("Ann"), adviser("Bob"), adviser("Cem")):
            with unit_of_work():
                assign(client=client, adviser=person, reason="turn", actor=manager)
        assert stretches(client) == [("Ann", "owner", False), ("Bob", "owner", False), ("Cem", "owner", True)]

    def test_assigning_the_owner_again_changes_nothing(self, manager: User) -> None:
        ann = adviser("Ann")
        client = make_client(adviser_id=ann.id)
        with unit_of_work():
            assign(client=client, adviser=ann, reason="again", actor=manager)
        assert stretches(client) == [("Ann", "owner", True)]
        assert db.session.scalars(select(AuditEntry.action).where(AuditEntry.action == "client.assign")).all() == []


class TestAssigning:
    def test_it_is_audited_with_names_and_reason(self, manager: User) -> None:
        client = make_client(adviser_id=adviser("Ann").id)
        bob = adviser("Bob")
        with unit_of_work():
            assign(client=client, adviser=bob, reason="Ann is away", actor=manager)
        act = last_act()
        assert (act.action, act.subject_id, act.reason) == ("client.assign", client.id, "Ann is away")
        assert act.changes == {"owner": ["Ann", "Bob"]}

    def test_it_needs_a_reason(self, manager: User) -> None:
        client, ann = make_client(), adviser("Ann")
        with pytest.raises(ReasonMissing), unit_of_work():
            assign(client=client, adviser=ann, reason=" \x00 ", actor=manager)

    @pytest.mark.parametrize("role", [Role.MARKETING, Role.COMPLIANCE, Role.ADVISER])
    def test_only_managers_assign(self, app: Flask, role: Role) -> None:
        client, ann, person = make_client(), adviser("Ann"), make_user(role=role)
        with pytest.raises(Forbidden), unit_of_work():
            assign(client=client, adviser=ann, reason="x", actor=person)

    def test_only_active_advisers_of_the_managers_part_are_given_clients(self, app: Flask) -> None:
        north, south = make_branch(), make_branch()
        manager = make_user(role=Role.BRANCH_MANAGER, branch=north)
        client = make_client(branch=north)
        unfit = [
            adviser("elsewhere", branch=south),
            adviser("gone", branch=north, active=False),
            make_user(role=Role.MARKETING, branch=north),
        ]
        for person in unfit:
            with pytest.raises(NoAdviser), unit_of_work():
                assign(client=client, adviser=person, reason="x", actor=manager)
        fit = adviser("fit", branch=north)
        with unit_of_work():
            assign(client=client, adviser=fit, reason="x", actor=manager)

    def test_a_released_client_is_back_in_the_pool_and_shared_no_longer(self, manager: User) -> None:
        client = make_client(adviser_id=adviser("Ann").id, second_adviser_id=adviser("Bob").id)
        with unit_of_work():
            release(client=client, reason="moved away", actor=manager)
        assert (client.adviser_id, client.second_adviser_id) == (None, None)
        assert {(name, still) for name, _role, still in stretches(client)} == {("Ann", False), ("Bob", False)}


class TestSharing:
    def test_a_second_adviser_comes_and_goes(self, manager: User) -> None:
        client, bob = make_client(adviser_id=adviser("Ann").id), adviser("Bob")
        with unit_of_work():
            share(client=client, adviser=bob, reason="funds", actor=manager)
        assert client.second_adviser_id == bob.id
        with unit_of_work():
            unshare(client=client, reason="done", actor=manager)
        assert client.second_adviser_id is None
        assert ("Bob", "second", False) in stretches(client)

    def test_the_owner_is_not_the_second_adviser(self, manager: User) -> None:
        ann = adviser("Ann")
        owned, unowned = make_client(adviser_id=ann.id), make_client()
        with pytest.raises(OwnerIsSecond), unit_of_work():
            share(client=owned, adviser=ann, reason="x", actor=manager)
        with pytest.raises(NobodyOwns), unit_of_work():
            share(client=unowned, adviser=ann, reason="x", actor=manager)

    def test_a_second_adviser_who_becomes_the_owner_shares_no_longer(self, manager: User) -> None:
        bob = adviser("Bob")
        client = make_client(adviser_id=adviser("Ann").id, second_adviser_id=bob.id)
        with unit_of_work():
            assign(client=client, adviser=bob, reason="Ann is away", actor=manager)
        assert (client.adviser_id, client.second_adviser_id) == (bob.id, None)
        assert ("Bob", "second", False) in stretches(client)


class TestCredit:
    def test_who_is_paid_is_kept_apart_from_who_looks_after(self, manager: User) -> None:
        ann = adviser("Ann")
        client = make_client(adviser_id=ann.id)
        for person in (adviser("Bob"), adviser("Cem")):
            with unit_of_work():
                credit(client=client, adviser=person, reason="brought the client", actor=manager)
        assert client.adviser_id == ann.id
        assert stretches(client) == [("Ann", "owner", True), ("Bob", "credit", False), ("Cem", "credit", True)]
        with unit_of_work():
            credit(client=client, adviser=None, reason="year is over", actor=manager)
        assert ("Cem", "credit", False) in stretches(client)


class TestPool:
    def test_an_adviser_claims_a_client_of_their_branch(self, app: Flask) -> None:
        north = make_branch()
        ann = adviser("Ann", branch=north)
        client = make_client(branch=north)
        with unit_of_work():
            claim(client_id=client.id, actor=ann)
        assert client.adviser_id == ann.id
        assert stretches(client) == [("Ann", "owner", True)]
        assert last_act().action == "client.claim"

    def test_a_second_claim_is_refused_and_names_the_owner(self, app: Flask) -> None:
        client, ann, bob = make_client(), adviser("Ann"), adviser("Bob")
        with unit_of_work():
            claim(client_id=client.id, actor=ann)
        with pytest.raises(AlreadyOwned) as refusal, unit_of_work():
            claim(client_id=client.id, actor=bob)
        assert "Ann" in str(refusal.value)

    def test_clients_of_other_branches_closed_or_merged_ones_cannot_be_claimed(self, app: Flask) -> None:
        north, south = make_branch(), make_branch()
        ann, kept = adviser("Ann", branch=north), make_client(branch=north)
        out_of_reach = [
            make_client(branch=south),
            make_client(branch=north, status="closed"),
            make_client(branch=north, merged_into_id=kept.id),
        ]
        for client in out_of_reach:
            with pytest.raises(NotFound), unit_of_work():
                claim(client_id=client.id, actor=ann)
            assert client.adviser_id is None


class TestTransfer:
    def test_many_clients_are_dealt_evenly_rich_and_poor_alike(self, manager: User) -> None:
        ann, bob, cem = adviser("Ann"), adviser("Bob"), adviser("Cem")
        make_clients(9, adviser_id=ann.id, total_assets=lambda n: Decimal(n * 100))
        with unit_of_work():
            moved = transfer_clients(
                clients=Client.adviser_id == ann.id, to=[bob, cem], reason="Ann left", actor=manager
            )
        assert moved == 9
        assets: dict[int | None, list[int]] = {bob.id: [], cem.id: []}
        for client in db.session.scalars(select(Client)):
            assets[client.adviser_id].append(int(client.total_assets or 0))
        assert {len(part) for part in assets.values()} == {4, 5}
        assert abs(sum(assets[bob.id]) - sum(assets[cem.id])) <= 500
        assert last_act().changes["clients"] == [0, 9]
        written = db.session.execute(select(Ownership.adviser_id, Ownership.until.is_(None))).all()
        assert sorted(map(tuple, written)) == sorted(
            [(ann.id, False)] * 9 + [(bob.id, True)] * len(assets[bob.id]) + [(cem.id, True)] * len(assets[cem.id])
        )

    def test_only_clients_that_the_manager_sees_change_hands(self, app: Flask) -> None:
        north, south = make_branch(), make_branch()
        manager = make_user(role=Role.BRANCH_MANAGER, branch=north)
        ann, bob = adviser("Ann", branch=north), adviser("Bob", branch=north)
        here = make_client(branch=north, adviser_id=ann.id)
        there = make_client(branch=south, adviser_id=ann.id)
        with unit_of_work():
            transfer_clients(clients=Client.adviser_id == ann.id, to=[bob], reason="x", actor=manager)
        assert (here.adviser_id, there.adviser_id) == (bob.id, ann.id)


class TestCapacity:
    def test_loads_tell_owned_and_shared_clients_and_the_limit(self, manager: User) -> None:
        ann, bob = adviser("Ann", client_capacity=2), adviser("Bob")
        make_clients(3, adviser_id=ann.id, second_adviser_id=bob.id)
        make_client(adviser_id=ann.id, status="closed")
        loads = {load.adviser.name: load for load in adviser_loads(manager)}
        assert (loads["Ann"].owned, loads["Ann"].capacity, loads["Ann"].over) == (3, 2, 1)
        assert (loads["Bob"].owned, loads["Bob"].shared, loads["Bob"].capacity) == (0, 3, 600)

    def test_the_firm_sets_its_own_default(self, app: Flask) -> None:
        administrator = make_user(role=Role.ADMINISTRATOR)
        assert default_capacity() == 600
        for capacity in (800, 500):
            with unit_of_work():
                set_default_capacity(capacity=capacity, actor=administrator)
            assert default_capacity() == capacity
