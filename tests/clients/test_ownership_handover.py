"""Leavers, transfers of many clients in the background, and allotting the pool."""

from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy import func, select

from app.audiences.models import Segment
from app.audit.models import AuditEntry
from app.campaigns.models import Campaign, State
from app.clients.classes.models import ClientClass
from app.clients.models import Client
from app.clients.ownership.allotting import order_allotment
from app.clients.ownership.by_tier import NoRoom, NothingChosen, Plan, hand_over_tiers, order_hand_over
from app.clients.ownership.handing_over import (
    UnfitSuccessor,
    belongings_of,
    chosen_clients,
    order_transfer,
    pass_on,
    transfer_or_order,
)
from app.clients.ownership.models import CREDIT, OWNER, SECOND, Ownership
from app.clients.ownership.queries import roles_left
from app.clients.ownership.service import NoAdviser, credit, hand_over_shares_and_credits, transfer_clients
from app.clients.ownership.tasks import allot_pool as allot_pool  # registers the jobs
from app.core.clock import now
from app.core.errors import Conflict, NotFound
from app.core.extensions import db
from app.core.jobs import Job, run_job
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.users.models import User
from app.users.queries import user_of_session
from app.users.service import close_account, count_attempt, freeze_user, unfreeze_user
from tests.factories.audiences import make_segment
from tests.factories.campaigns import make_campaign
from tests.factories.clients import head_office, make_client, make_clients
from tests.factories.users import make_branch, make_user, sign_in


@pytest.fixture
def manager(app: Flask) -> User:
    return make_user(role=Role.HEAD_OFFICE, name="Manager")


def adviser(**fields: object) -> User:
    return make_user(role=Role.ADVISER, **fields)  # type: ignore[arg-type]


def owned_by(person: User) -> int:
    return db.session.scalar(select(func.count(Client.id)).where(Client.adviser_id == person.id)) or 0


def finished(job: Job) -> Job:
    run_job(job.id)
    db.session.expire_all()
    return db.session.get_one(Job, job.id)


class TestFreezing:
    def test_a_frozen_person_is_out_at_once_and_cannot_sign_in(self, manager: User) -> None:
        leaver = adviser()
        session = leaver.get_id()
        assert user_of_session(session) is not None
        with unit_of_work():
            freeze_user(user=leaver, reason="leaves on Friday", actor=manager)
        assert user_of_session(session) is None
        assert user_of_session(leaver.get_id()) is None
        with unit_of_work():
            assert count_attempt(email=leaver.email) is None

    def test_it_can_be_taken_back(self, manager: User) -> None:
        leaver = adviser()
        with unit_of_work():
            freeze_user(user=leaver, reason="mistake", actor=manager)
        with unit_of_work():
            unfreeze_user(user=leaver, actor=manager)
        assert user_of_session(leaver.get_id()) is not None

    def test_a_frozen_adviser_gets_no_clients(self, manager: User) -> None:
        leaver = adviser()
        with unit_of_work():
            freeze_user(user=leaver, reason="leaves", actor=manager)
        make_client()
        with pytest.raises(NoAdviser), unit_of_work():
            transfer_clients(clients=Client.id > 0, to=[leaver], reason="x", actor=manager)

    def test_nobody_freezes_or_closes_their_own_account(self, manager: User) -> None:
        with pytest.raises(Conflict), unit_of_work():
            freeze_user(user=manager, reason="x", actor=manager)
        with pytest.raises(Conflict), unit_of_work():
            close_account(user=manager, actor=manager)


class TestLeaver:
    def test_an_account_closes_only_when_clients_have_gone_to_somebody_else(self, manager: User) -> None:
        leaver, ann, bob = adviser(), adviser(), adviser()
        make_client(adviser_id=leaver.id)
        shared, credited = make_client(adviser_id=ann.id, second_adviser_id=leaver.id), make_client(adviser_id=ann.id)
        with unit_of_work():
            credit(client=credited, adviser=leaver, reason="brought them", actor=manager)
        assert roles_left(leaver.id) == {OWNER: 1, SECOND: 1, CREDIT: 1}
        with pytest.raises(Conflict), unit_of_work():
            close_account(user=leaver, actor=manager)
        with unit_of_work():
            transfer_clients(clients=chosen_clients(f"owner:{leaver.id}", user=manager), to=[ann], reason="left",
                             actor=manager)  # fmt: skip
            hand_over_shares_and_credits(leaver=leaver, to=[bob], reason="left", actor=manager)
        assert roles_left(leaver.id) == {OWNER: 0, SECOND: 0, CREDIT: 0}
        assert shared.second_adviser_id == bob.id
        with unit_of_work():
            close_account(user=leaver, actor=manager)
        assert not leaver.active

    def test_a_share_ends_where_the_successor_owns_the_client(self, manager: User) -> None:
        leaver, ann = adviser(), adviser()
        shared = make_client(adviser_id=ann.id, second_adviser_id=leaver.id)
        with unit_of_work():
            assert hand_over_shares_and_credits(leaver=leaver, to=[ann], reason="left", actor=manager) == 1
        assert (shared.adviser_id, shared.second_adviser_id) == (ann.id, None)

    def test_drafts_and_segments_pass_to_somebody_who_may_work_on_them(self, manager: User) -> None:
        leaver, successor = make_user(), make_user()
        segment = make_segment(owner_id=leaver.id)
        draft = make_campaign(owner=leaver)
        running = make_campaign(owner=leaver, state=State.RUNNING)
        found = {kind.key: number for kind, number in belongings_of(leaver.id) if number}
        assert found == {"campaign drafts": 1, "segments": 1}
        with pytest.raises(UnfitSuccessor), unit_of_work():
            pass_on(key="segments", leaver=leaver, successor=adviser_of_nothing(manager), actor=manager)
        for key in ("campaign drafts", "segments"):
            with unit_of_work():
                assert pass_on(key=key, leaver=leaver, successor=successor, actor=manager) == 1
        assert db.session.get_one(Segment, segment.id).owner_id == successor.id
        assert db.session.get_one(Campaign, draft.id).owner_id == successor.id
        assert db.session.get_one(Campaign, running.id).owner_id == leaver.id

    def test_what_waits_for_approval_or_its_launch_passes_on_as_it_is(self, manager: User) -> None:
        leaver, successor, checker = make_user(), make_user(), make_user(role=Role.COMPLIANCE)
        in_review = make_campaign(owner=leaver, state=State.IN_REVIEW, submitter=leaver)
        approved = make_campaign(owner=leaver, state=State.APPROVED, submitter=leaver, approver=checker)
        scheduled = make_campaign(owner=leaver, state=State.SCHEDULED, submitter=leaver, approver=checker)
        running = make_campaign(owner=leaver, state=State.RUNNING, submitter=leaver, approver=checker)
        assert {kind.key: number for kind, number in belongings_of(leaver.id) if number} == {
            "campaigns not launched": 3
        }
        with unit_of_work():
            assert pass_on(key="campaigns not launched", leaver=leaver, successor=successor, actor=manager) == 3
        for campaign, state in ((in_review, State.IN_REVIEW), (approved, State.APPROVED), (scheduled, State.SCHEDULED)):
            db.session.refresh(campaign)
            assert (campaign.owner_id, campaign.state) == (successor.id, state)
        assert in_review.submitted_by_id == successor.id
        assert (approved.submitted_by_id, approved.approved_by_id) == (leaver.id, checker.id)
        assert db.session.get_one(Campaign, running.id).owner_id == leaver.id
        acts = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "campaign.handed_over")).all()
        assert {act.subject_id for act in acts} == {in_review.id, approved.id, scheduled.id}

    @pytest.mark.parametrize("state", [State.IN_REVIEW, State.APPROVED, State.SCHEDULED])
    def test_an_approval_does_not_pass_to_somebody_who_sees_other_clients(self, manager: User, state: State) -> None:
        leaver, successor = make_user(branch=make_branch(code="N")), make_user(branch=make_branch(code="S"))
        campaign = make_campaign(
            owner=leaver, state=state, submitter=leaver, approver=make_user(role=Role.COMPLIANCE), send_at=now()
        )
        with unit_of_work():
            assert pass_on(key="campaigns not launched", leaver=leaver, successor=successor, actor=manager) == 1
        db.session.refresh(campaign)
        assert (campaign.owner_id, campaign.state) == (successor.id, State.DRAFT)
        assert (campaign.approved_by_id, campaign.approved_at) == (None, None)

    def test_who_gave_an_approval_does_not_take_the_campaign_over_with_it(self, manager: User) -> None:
        leaver, checker = make_user(), make_user(role=Role.COMPLIANCE)
        campaign = make_campaign(owner=leaver, state=State.APPROVED, submitter=leaver, approver=checker)
        with unit_of_work():
            checker.roles = [Role.MARKETING]
            pass_on(key="campaigns not launched", leaver=leaver, successor=checker, actor=manager)
        db.session.refresh(campaign)
        assert (campaign.owner_id, campaign.state) == (checker.id, State.DRAFT)

    def test_an_unknown_kind_of_thing_is_refused(self, manager: User) -> None:
        with pytest.raises(NotFound), unit_of_work():
            pass_on(key="desk", leaver=manager, successor=manager, actor=manager)


def adviser_of_nothing(manager: User) -> User:
    return manager  # may manage, but holds no role that edits segments


class TestChoosingClients:
    @pytest.mark.parametrize(
        "words", ["", "owner", "owner:x", "owner:999", "desk:1", "segment:999", "owner:1:branch:x"]
    )
    def test_nonsense_is_not_found(self, manager: User, words: str) -> None:
        with pytest.raises(NotFound):
            chosen_clients(words, user=manager)

    def test_a_part_is_named_by_branch(self, manager: User) -> None:
        north, leaver, ann = make_branch(), adviser(), adviser()
        make_client(adviser_id=leaver.id)
        make_client(adviser_id=leaver.id, branch=north)
        with unit_of_work():
            words = f"owner:{leaver.id}:branch:{north.id}"
            assert transfer_or_order(words=words, to=[ann], reason="left", actor=manager) == 1
        assert (owned_by(leaver), owned_by(ann)) == (1, 1)

    def test_a_manager_reaches_advisers_of_the_own_part_only(self, app: Flask) -> None:
        stranger = adviser(branch=make_branch())
        with pytest.raises(NotFound):
            chosen_clients(f"owner:{stranger.id}", user=make_user(role=Role.BRANCH_MANAGER, branch=make_branch()))


class TestInTheBackground:
    def test_a_worker_transfers_the_clients_of_a_segment(self, manager: User) -> None:
        ann, bob = adviser(), adviser()
        make_clients(6, city=lambda n: "Suzhou" if n % 2 else "Wuxi")
        segment = make_segment(rule={"field": "city", "op": "in", "value": ["Suzhou"]})
        with unit_of_work():
            job = order_transfer(words=f"segment:{segment.id}", to=[ann, bob], reason="new office", actor=manager)
        assert (finished(job).state, job.done) == ("done", 3)
        assert {owned_by(ann), owned_by(bob)} == {1, 2}

    def test_run_again_it_leaves_those_who_have_moved(self, manager: User) -> None:
        ann, bob = adviser(), adviser()
        make_clients(5, adviser_id=ann.id)
        for _again in range(2):
            with unit_of_work():
                job = order_transfer(words=f"owner:{ann.id}", to=[bob], reason="left", actor=manager)
            finished(job)
        assert owned_by(bob) == 5
        assert db.session.scalar(select(func.count(Ownership.id)).where(Ownership.adviser_id == bob.id)) == 5


class TestAllotting:
    def allot(self, manager: User, *, across: bool = False, minimum: Decimal | None = None) -> Job:
        with unit_of_work():
            job = order_allotment(branch=head_office(), across=across, minimum=minimum, reason="pool", actor=manager)
        return finished(job)

    def test_the_richest_are_allotted_first_and_nobody_beyond_their_capacity(self, manager: User) -> None:
        full, roomy = adviser(client_capacity=1), adviser(client_capacity=3)
        make_client(adviser_id=full.id)
        ids = make_clients(5, total_assets=lambda n: Decimal(n * 1000))
        assert (self.allot(manager).state, owned_by(full), owned_by(roomy)) == ("done", 1, 3)
        taken = set(db.session.scalars(select(Client.id).where(Client.adviser_id == roomy.id)))
        assert taken == set(ids[2:])

    def test_all_fill_up_evenly(self, manager: User) -> None:
        ahead, behind = adviser(client_capacity=10), adviser(client_capacity=10)
        make_clients(4, adviser_id=ahead.id)
        make_clients(8)
        self.allot(manager)
        assert (owned_by(ahead), owned_by(behind)) == (6, 6)

    def test_clients_stay_in_their_branch_unless_told_otherwise(self, manager: User) -> None:
        north, south = make_branch(), make_branch()
        ann = adviser(branch=north)
        here, there = make_client(branch=north), make_client(branch=south)
        self.allot(manager)
        assert (here.adviser_id, there.adviser_id) == (ann.id, None)
        self.allot(manager, across=True)
        assert there.adviser_id == ann.id

    def test_closed_merged_and_too_small_clients_stay(self, manager: User) -> None:
        adviser()
        kept = make_client(total_assets=Decimal(5))
        make_client(status="closed", total_assets=Decimal(500))
        make_client(merged_into_id=kept.id, total_assets=Decimal(500))
        self.allot(manager, minimum=Decimal(100))
        assert db.session.scalars(select(Client).where(Client.adviser_id.is_not(None))).all() == []

    def test_without_advisers_or_clients_nothing_happens(self, manager: User) -> None:
        assert self.allot(manager).state == "done"
        make_clients(2)
        assert (self.allot(manager).state, owned_by(manager)) == ("done", 0)


class TestTierByTier:
    @pytest.fixture
    def leaver(self, manager: User) -> User:
        return adviser(name="Leaver")

    def clients_of_tiers(self, leaver: User, **numbers: int) -> None:
        """So many clients of each tier; `none` are clients without one."""
        for tier, number in numbers.items():
            for client_id in make_clients(number, adviser_id=leaver.id):
                with unit_of_work() as session:
                    session.add(ClientClass(client_id=client_id, aum_tier=None if tier == "none" else tier))

    def hand_over(self, leaver: User, manager: User, plan: Plan) -> dict[str | None, int]:
        with unit_of_work():
            return hand_over_tiers(leaver=leaver, plan=plan, reason="left", actor=manager)

    def test_each_tier_goes_to_its_own_successor_or_to_the_pool(self, manager: User, leaver: User) -> None:
        ann, bob = adviser(name="Ann"), adviser(name="Bob")
        self.clients_of_tiers(leaver, gold=2, silver=3, mass=4, none=1)
        make_client(adviser_id=leaver.id, second_adviser_id=ann.id)  # not classed yet, and shared
        moved = self.hand_over(leaver, manager, {"gold": ann, "silver": bob, None: None})
        assert moved == {"gold": 2, "silver": 3, None: 2}
        assert [owned_by(person) for person in (leaver, ann, bob)] == [4, 2, 3]
        in_pool = db.session.scalars(select(Client).where(Client.adviser_id.is_(None))).all()
        assert [one.second_adviser_id for one in in_pool] == [None, None]

        written = select(Ownership.adviser_id, func.count()).where(Ownership.role == OWNER, Ownership.until.is_(None))
        assert dict(iter(db.session.execute(written.group_by(Ownership.adviser_id)))) == {ann.id: 2, bob.id: 3}
        ended = select(func.count()).where(Ownership.adviser_id == leaver.id, Ownership.until.is_not(None))
        assert db.session.scalar(ended) == 7
        entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "client.tiers_handed_over")).one()
        assert (entry.reason, entry.changes) == (
            "left",
            {"clients": [0, 7], "adviser": ["Leaver", None], "tier gold": [2, "Ann"], "tier silver": [3, "Bob"],
             "tier –": [2, None]},
        )  # fmt: skip

    def test_a_successor_who_shared_a_client_owns_it_alone(self, manager: User, leaver: User) -> None:
        ann = adviser()
        client = make_client(adviser_id=leaver.id, second_adviser_id=ann.id)
        self.hand_over(leaver, manager, {None: ann})
        assert (client.adviser_id, client.second_adviser_id) == (ann.id, None)

    def test_nobody_gets_more_than_their_capacity_and_then_nothing_moves(self, manager: User, leaver: User) -> None:
        ann, bob = adviser(name="Ann", client_capacity=5), adviser(client_capacity=1)
        make_client(adviser_id=ann.id)
        self.clients_of_tiers(leaver, gold=2, silver=3)
        with pytest.raises(NoRoom, match="Ann has room for 4 more clients but would get 5"):
            self.hand_over(leaver, manager, {"gold": ann, "silver": ann})
        with pytest.raises(NoRoom):
            self.hand_over(leaver, manager, {"gold": bob, "silver": ann})
        assert [owned_by(person) for person in (leaver, ann, bob)] == [5, 1, 0]

    def test_closed_clients_take_no_room(self, manager: User, leaver: User) -> None:
        ann = adviser(client_capacity=1)
        make_clients(3, adviser_id=leaver.id, status=lambda n: "client" if n % 3 == 0 else "closed")
        assert self.hand_over(leaver, manager, {None: ann}) == {None: 3}

    def test_clients_of_other_parts_of_the_firm_stay(self, leaver: User) -> None:
        north = make_branch()
        here = make_user(role=Role.BRANCH_MANAGER, branch=north)
        ann = adviser(branch=north)
        make_client(adviser_id=leaver.id)
        make_client(adviser_id=leaver.id, branch=north)
        assert self.hand_over(leaver, here, {None: ann}) == {None: 1}
        with pytest.raises(NoAdviser):
            self.hand_over(leaver, here, {None: adviser(branch=make_branch())})

    @pytest.mark.parametrize("to", ["nobody", "the leaver", "a frozen adviser"])
    def test_a_plan_that_cannot_be_is_refused(self, manager: User, leaver: User, to: str) -> None:
        frozen = adviser()
        with unit_of_work():
            freeze_user(user=frozen, reason="leaves", actor=manager)
        plan: Plan = {} if to == "nobody" else {None: leaver if to == "the leaver" else frozen}
        with pytest.raises((NothingChosen, NoAdviser)):
            self.hand_over(leaver, manager, plan)
        with pytest.raises((NothingChosen, NoAdviser)), unit_of_work():
            order_hand_over(leaver=leaver, plan=plan, reason="left", actor=manager)

    def test_a_worker_does_the_same_all_or_nothing(self, manager: User, leaver: User) -> None:
        ann = adviser(client_capacity=2)
        self.clients_of_tiers(leaver, gold=2, mass=2)
        plans: list[tuple[Plan, str, int]] = [
            ({"gold": ann, "mass": ann}, "failed", 4),
            ({"gold": ann, "mass": None}, "done", 0),
        ]
        for plan, state, left in plans:
            with unit_of_work():
                job = order_hand_over(leaver=leaver, plan=plan, reason="left", actor=manager)
            assert (finished(job).state, owned_by(leaver)) == (state, left)

    def test_it_is_planned_on_the_page(self, app: Flask, manager: User, leaver: User) -> None:
        ann = adviser(name="Ann", client_capacity=2)
        self.clients_of_tiers(leaver, gold=3, mass=1)
        address = f"/staff/{leaver.id}/hand-over"
        browser = sign_in(app.test_client(), manager)
        assert "): 0 of 2" in browser.get(address).text
        form = {"plan-tier_gold": ann.id, "plan-tier_mass": "pool", "plan-reason": "left"}
        refused = browser.post(f"{address}/tiers", data=form)
        assert (refused.status_code, "has room for 2 more clients" in refused.text) == (422, True)
        for wrong in ({"plan-tier_gold": "x"}, {"plan-reason": ""}, {"plan-tier_gold": "", "plan-tier_mass": ""}):
            assert browser.post(f"{address}/tiers", data=form | wrong).status_code == 422
        db.session.expire_all()
        assert owned_by(leaver) == 4
        done = browser.post(f"{address}/tiers", data=form | {"plan-tier_gold": ""}, follow_redirects=True)
        assert "1 client has changed hands." in done.text
        db.session.expire_all()
        assert (owned_by(leaver), owned_by(ann)) == (3, 0)
