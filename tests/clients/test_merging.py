"""Two records of one person become one."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text

from app.audit.models import AuditEntry
from app.clients.classes.models import ClassOverride
from app.clients.duplicates import service
from app.clients.duplicates.models import ClientMerge, DuplicatePair
from app.clients.duplicates.tables import (
    COMBINED,
    DROPPED,
    FOLLOW_ACCOUNT,
    MOVED,
    STAYS,
    registered_tables,
)
from app.clients.editing.models import ClientChange, ClientCorrection
from app.clients.editing.service import version_of
from app.clients.engagement.models import Engagement
from app.clients.holdings.models import Account, Balance, Position, Transaction
from app.clients.models import Client, Consent
from app.clients.notes.models import ClientNote
from app.clients.notes.service import add_note
from app.clients.ownership.models import Ownership
from app.clients.queries import find_client, record_ids, visible_clients
from app.clients.relations.models import HouseholdMember
from app.clients.relations.service import join_household, set_referrer
from app.clients.service import withdraw_consent
from app.clients.timeline import timeline
from app.core import guards
from app.core.errors import Conflict, Forbidden
from app.core.extensions import Base, db
from app.core.partitions import ensure_months
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.tracking.models import AccountOpening
from app.tracking.openings.service import record_openings
from app.tracking.openings.taking import Opening
from app.users.models import User
from tests.factories.clients import make_account, make_client, make_consent, make_custom_field
from tests.factories.users import make_user

DAY = date(2026, 1, 31)
# Tables of features above the client book that keep the record they were written for, and tables of client ids that
# are lists of numbers or sets of a moment.
OTHERS = {"message"}


def merge(survivor: Client, loser: Client, *, actor: User | None = None, **take: str) -> ClientMerge:
    actor = actor or make_user()
    with unit_of_work():
        return service.merge_clients(
            survivor=survivor,
            loser=loser,
            take=take,
            seen=(version_of(survivor), version_of(loser)),
            actor=actor,
        )


def test_every_table_with_a_client_in_it_was_thought_of(app: Flask) -> None:
    known = {*MOVED, *COMBINED, *FOLLOW_ACCOUNT, *STAYS, *DROPPED, *OTHERS, *registered_tables(), "client"}
    with_clients = {
        table.name
        for table in Base.metadata.sorted_tables
        if "client_id" in table.c or any(key.column.table.name == "client" for key in table.foreign_keys)
    }
    assert with_clients - known == set()


def test_accounts_and_what_lies_on_them_go_over(app: Flask) -> None:
    survivor, loser = make_client(), make_client()
    account = make_account(loser, balance=Decimal(10))
    ensure_months("transaction", DAY, DAY)
    of_account: dict[str, Any] = {"account_id": account.id, "client_id": loser.id, "on_date": DAY}
    db.session.add(Transaction(source="t", external_id="1", kind="buy", amount=Decimal(5), **of_account))
    db.session.add(Position(product_code="F1", product_kind="fund", value=Decimal(7), **of_account))
    db.session.commit()
    done = merge(survivor, loser)
    assert done.moved["account"] == 1
    for model in (Account, Balance, Transaction, Position):
        assert db.session.scalars(select(model.client_id)).all() == [survivor.id]


def test_an_opt_out_of_either_record_wins(app: Flask) -> None:
    survivor = make_client(email_consent=True, sms_consent=None, call_consent=None)
    loser = make_client(email_consent=False, sms_consent=True, call_consent=None, personalisation_refused=True)
    make_consent(loser, granted=False, wording="no more")
    merge(survivor, loser, email="loser")
    assert (survivor.email_consent, survivor.sms_consent, survivor.call_consent) == (False, True, None)
    assert survivor.personalisation_refused
    assert db.session.scalars(select(Consent.client_id)).all() == [survivor.id]


def test_what_each_record_knows_best_stays_as_chosen(app: Flask) -> None:
    make_custom_field("score", type="number", slot="number_01")
    survivor = make_client(name="Wang Fang", city="Shanghai", mobile=None, number_01=1.0, flags=["minor"], tags=["a"])
    loser = make_client(name="王芳", city="Beijing", mobile="+8613812345678", number_01=2.0, tags=["b", "a"])
    merge(survivor, loser, name="loser", **{"custom.score": "loser"})
    assert (survivor.name, survivor.city, survivor.mobile) == ("王芳", "Shanghai", "+8613812345678")
    assert (survivor.number_01, survivor.flags, survivor.tags) == (2.0, ["minor"], ["a", "b"])  # type: ignore[attr-defined]
    changes = db.session.scalars(select(ClientChange.changes)).one()
    assert changes == {
        "name": ["Wang Fang", "王芳"],
        "mobile": [None, "+86 138****5678"],
        "custom.score": ["1", "2"],
    }


def test_total_assets_add_up(app: Flask) -> None:
    survivor, loser = make_client(total_assets=Decimal(100)), make_client(total_assets=Decimal(50))
    merge(survivor, loser)
    assert survivor.total_assets == Decimal(150)


def test_notes_engagement_overrides_and_corrections_join(app: Flask) -> None:
    author, survivor, loser = make_user(), make_client(), make_client()
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
    with unit_of_work() as session:
        add_note(client=loser, text="likes bonds", actor=author)
        for client, at in ((survivor, late), (loser, early)):
            session.add(
                Engagement(client_id=client.id, kind="opened", campaign_id=1, channel="email", first_at=at, last_at=at)
            )
        session.add(
            Engagement(client_id=loser.id, kind="clicked", campaign_id=1, channel="email", first_at=late, last_at=late)
        )
        for client, model in ((survivor, "aum_tier"), (loser, "aum_tier"), (loser, "scorecard")):
            session.add(
                ClassOverride(client_id=client.id, model=model, class_code="A", reason="x", expires_on=date(2030, 1, 1))
            )
        session.add(ClientCorrection(client_id=loser.id, field="email", after="x@y.com", proposed_by_id=author.id))
    merge(survivor, loser)
    assert db.session.scalars(select(ClientNote.client_id)).all() == [survivor.id]
    rows = db.session.execute(
        select(Engagement.client_id, Engagement.kind, Engagement.first_at, Engagement.last_at).order_by(Engagement.kind)
    ).all()
    assert rows == [(survivor.id, "clicked", late, late), (survivor.id, "opened", early, late)]
    kept = db.session.execute(select(ClassOverride.client_id, ClassOverride.model).order_by(ClassOverride.model)).all()
    assert kept == [(survivor.id, "aum_tier"), (survivor.id, "scorecard")]
    assert db.session.scalars(select(ClientCorrection.state)).all() == ["superseded"]


def test_households_and_referrals_follow(app: Flask) -> None:
    actor, survivor, loser, spouse, friend = make_user(), make_client(), make_client(), make_client(), make_client()
    with unit_of_work():
        join_household(client=loser, other=spouse, actor=actor)
        set_referrer(client=friend, referrer=loser, actor=actor)
        set_referrer(client=survivor, referrer=loser, actor=actor)
    merge(survivor, loser)
    members = db.session.execute(select(HouseholdMember.client_id, HouseholdMember.is_head)).all()
    assert sorted(members) == sorted([(survivor.id, True), (spouse.id, False)])
    assert friend.referred_by_id == survivor.id
    assert survivor.referred_by_id is None


def test_two_of_one_household_leave_nobody_alone(app: Flask) -> None:
    survivor, loser = make_client(), make_client()
    actor = make_user()
    with unit_of_work():
        join_household(client=survivor, other=loser, actor=actor)
    merge(survivor, loser)
    assert db.session.scalars(select(HouseholdMember)).all() == []


def test_the_history_of_owners_joins_and_goes_on(app: Flask) -> None:
    one, other = make_user(role=Role.ADVISER), make_user(role=Role.ADVISER)
    survivor, loser = make_client(adviser_id=one.id), make_client(adviser_id=other.id)
    with unit_of_work() as session:
        session.add(Ownership(client_id=loser.id, adviser_id=other.id, role="owner"))
    merge(survivor, loser, adviser_id="loser")
    assert survivor.adviser_id == other.id
    rows = db.session.execute(
        select(Ownership.client_id, Ownership.adviser_id, Ownership.until.is_(None)).order_by(Ownership.id)
    ).all()
    assert {row.client_id for row in rows} == {survivor.id}
    assert [row.adviser_id for row in rows if row[2]] == [other.id]
    assert one.id in {row.adviser_id for row in rows}


def test_the_number_and_the_addresses_of_the_loser_reach_the_survivor(app: Flask) -> None:
    survivor, loser = make_client(number="S", email_consent=True), make_client(number="L")
    older = make_client(number="O")
    merge(loser, older)
    merge(survivor, loser)
    user = make_user()
    assert {find_client(number, user=user).number for number in ("S", "L", "O")} == {"S"}
    assert db.session.scalars(select(Client.number).where(visible_clients(user))).all() == ["S"]
    assert set(record_ids(survivor.id)) == {survivor.id, loser.id, older.id}
    with unit_of_work():
        record_openings(source="t", openings=[Opening("1", "O", datetime(2026, 1, 1, tzinfo=UTC))])
        withdraw_consent(client_ids=[older.id], channel="email", source="one-click")
    assert db.session.scalars(select(AccountOpening.client_id)).all() == [survivor.id]
    assert survivor.email_consent is False


def test_both_histories_stay_readable_on_one_time_line(app: Flask) -> None:
    survivor, loser = make_client(), make_client()
    make_consent(loser)
    with unit_of_work() as session:
        session.add(ClientChange(client_id=loser.id, changes={"city": ["Paris", "Rome"]}))
    merge(survivor, loser)
    words = " ".join(entry.text for entry in timeline(record_ids(survivor.id)).entries)
    assert "Agreed to marketing by e-mail" in words
    assert "Paris → Rome" in words
    assert "was merged into this one" in words


def test_a_merge_is_done_once_by_who_may_and_on_what_was_seen(app: Flask) -> None:
    survivor, loser, actor = make_client(), make_client(), make_user()
    seen = (version_of(survivor), version_of(loser))
    with pytest.raises(Forbidden):
        merge(survivor, loser, actor=make_user(role=Role.ADVISER))
    with pytest.raises(service.SameClient):
        merge(survivor, survivor)
    db.session.execute(
        text("UPDATE client SET updated_at = now() + interval '1 second' WHERE id = :id"), {"id": loser.id}
    )
    db.session.commit()
    with pytest.raises(service.ChangedMeanwhile), unit_of_work():
        service.merge_clients(survivor=survivor, loser=loser, take={}, seen=seen, actor=actor)
    merge(survivor, loser, actor=actor)
    with pytest.raises(service.MergedAlready):
        merge(survivor, loser)
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "client.merge")).one()
    assert (entry.actor_id, entry.subject_id) == (actor.id, survivor.id)


def test_a_feature_may_refuse_a_merge_and_nothing_is_done(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    survivor, loser = make_client(), make_client()
    held = loser.id
    monkeypatch.setitem(guards._guards, service.MERGE, [lambda number: "Under legal hold." if number == held else None])
    with pytest.raises(Conflict) as refusal:
        merge(survivor, loser)
    assert str(refusal.value) == "Under legal hold."
    assert loser.merged_into_id is None
    assert db.session.scalars(select(ClientMerge)).all() == []


def test_not_the_same_person_is_remembered_through_a_merge(app: Flask) -> None:
    survivor, loser, third = make_client(), make_client(), make_client()
    actor = make_user()
    with unit_of_work() as session:
        service.dismiss(one=loser, other=third, reason="brothers", actor=actor)
        session.add(DuplicatePair(first_id=survivor.id, second_id=loser.id, signs=["email"], strength=2))
    merge(survivor, loser)
    kept = {(pair.first_id, pair.second_id): pair.state for pair in db.session.scalars(select(DuplicatePair))}
    assert kept[(survivor.id, third.id)] == "dismissed"
    assert kept[(survivor.id, loser.id)] == "merged"
