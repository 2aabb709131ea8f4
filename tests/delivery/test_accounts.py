"""The administration of accounts: what is kept, what is refused, and that no secret is ever among it."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from app.audit.models import AuditEntry
from app.channels.email.models import MailboxMessage
from app.channels.models import ChannelAccount, ChannelLimit
from app.channels.registry import vendors
from app.core.errors import AppError, Forbidden
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.delivery.accounts.forms import account_form
from app.delivery.accounts.queries import account_lines, state_of, throttles
from app.delivery.accounts.service import (
    BadAccount,
    add_account,
    archive_account,
    edit_account,
    order_test,
    pause_account,
    record_legal_basis,
    remove_throttle,
    restore_account,
    resume_account,
    set_throttle,
)
from app.delivery.routing import usable_accounts
from app.users.models import User
from tests.factories.delivery import do_due_jobs
from tests.factories.users import make_user

FACTS: dict[str, Any] = {"name": "Relay two", "weight": 2, "location": "domestic", "settings": {}}


@pytest.fixture
def boss(app: object) -> User:
    return make_user(role=Role.ADMINISTRATOR, email="boss@firm.example")


def add(boss: User, vendor: str = "mailbox", **facts: Any) -> ChannelAccount:
    with unit_of_work():
        return add_account(vendor=vendor, facts=FACTS | facts, actor=boss)


def last_act() -> AuditEntry:
    return db.session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1)).one()


def test_an_account_is_added_changed_and_every_change_is_told(boss: User) -> None:
    account = add(boss, vendor="smtp", settings={"connections": "4"}, secret_name="RELAY_TWO")
    assert (account.channel, account.settings, account.secret_name) == ("email", {"connections": 4}, "RELAY_TWO")
    version = account.changed_at
    with unit_of_work():
        facts = FACTS | {"secret_name": "RELAY_TWO", "weight": 5, "daily_limit": 1000}
        edit_account(account=account, facts=facts, actor=boss)
    assert account.changed_at > version
    assert last_act().changes["weight"] == [2, 5]


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 61}, "name"),
        ({"secret_name": "smtp://user:password@relay"}, "secret_name"),
        ({"secret_name": "SECRET_KEY"}, "secret_name"),
        ({"location": "moon"}, "location"),
        ({"warm_up_first": 50}, "warm_up_from"),
        ({"settings": {"connections": "many"}}, "connections"),
    ],
)
def test_what_cannot_be_is_refused_and_names_its_field(boss: User, facts: dict[str, Any], field: str) -> None:
    with pytest.raises(BadAccount) as refusal, unit_of_work():
        add_account(vendor="smtp", facts=FACTS | facts, actor=boss)
    assert refusal.value.field == field
    assert db.session.scalars(select(ChannelAccount)).all() == []


def test_two_accounts_do_not_share_a_name(boss: User) -> None:
    add(boss)
    with pytest.raises(BadAccount):
        add(boss, name="RELAY two")


def test_a_vendor_abroad_is_never_called_domestic(app: Flask, boss: User) -> None:
    for vendor, own in [("sendgrid", {}), ("twilio", {"account_sid": "AC1", "sender": "+14155550100"})]:
        facts = FACTS | {"settings": own, "location": "domestic"}
        with pytest.raises(BadAccount) as refused, unit_of_work():
            add_account(vendor=vendor, facts=facts, actor=boss)
        assert refused.value.field == "location"
        with app.test_request_context():
            assert account_form(vendors()[vendor]).location.data == "foreign"


def test_others_than_administrators_are_refused(boss: User) -> None:
    officer = make_user(role=Role.MARKETING)
    with pytest.raises(Forbidden), unit_of_work():
        add_account(vendor="mailbox", facts=FACTS, actor=officer)


def test_a_paused_or_archived_account_takes_nothing_until_somebody_brings_it_back(boss: User) -> None:
    account = add(boss)

    def usable() -> bool:
        return account.id in [one.id for one in usable_accounts("email")]

    with unit_of_work():
        pause_account(account=account, reason="complaints of the vendor", actor=boss)
        assert not usable()
    with unit_of_work():
        resume_account(account=account, actor=boss)
        assert usable()
        archive_account(account=account, actor=boss)
        assert not usable()
    with pytest.raises(AppError), unit_of_work():
        resume_account(account=account, actor=boss)
    with unit_of_work():
        restore_account(account=account, actor=boss)
        assert state_of(account) == "paused"
        resume_account(account=account, actor=boss)
        assert usable()


def test_the_legal_basis_keeps_who_and_when(boss: User) -> None:
    account = add(boss, location="foreign")
    with unit_of_work():
        record_legal_basis(account=account, text=" Standard contract no. 12 ", actor=boss)
    assert (account.legal_basis, account.legal_basis_by_id) == ("Standard contract no. 12", boss.id)
    assert account.legal_basis_at is not None
    assert last_act().changes == {"legal_basis": [None, "Standard contract no. 12"]}
    with unit_of_work():
        record_legal_basis(account=account, text="", actor=boss)
    assert (account.legal_basis, account.legal_basis_at) == (None, None)


def test_a_test_goes_to_the_person_who_asked(boss: User) -> None:
    account = add(boss)
    with unit_of_work():
        order_test(account=account, actor=boss)
    do_due_jobs()
    message = db.session.scalars(select(MailboxMessage)).one()
    assert (message.recipient, message.subject) == ("boss@firm.example", "Test of the account Relay two")
    assert last_act().changes == {"result": "sent"}


def test_a_test_that_cannot_leave_says_why(boss: User) -> None:
    account = add(boss, vendor="smtp", secret_name="NOT_SET_ANYWHERE_2")
    with unit_of_work():
        order_test(account=account, actor=boss)
    do_due_jobs()
    assert "NOT_SET_ANYWHERE_2" in last_act().changes["result"]


def test_receiving_domains_get_a_rate_and_lose_it_again(boss: User) -> None:
    with unit_of_work():
        set_throttle(domain=" Big.Example. ", rate_per_second=2.5, actor=boss)
    with unit_of_work():
        set_throttle(domain="big.example", rate_per_second=5, actor=boss)
    (limit,) = throttles()
    assert (limit.domain, limit.rate_per_second) == ("big.example", 5)
    with unit_of_work():
        remove_throttle(limit=db.session.get_one(ChannelLimit, limit.id), actor=boss)
    assert throttles() == []


@pytest.mark.parametrize(
    ("domain", "rate"), [("nonsense", 5), ("a b.example", 5), ("x.example", 0), ("x.example", 1e9)]
)
def test_a_rate_that_cannot_be_is_refused(boss: User, domain: str, rate: float) -> None:
    with pytest.raises(BadAccount), unit_of_work():
        set_throttle(domain=domain, rate_per_second=rate, actor=boss)


def test_the_list_tells_how_each_is_doing(boss: User) -> None:
    account = add(boss, daily_limit=500)
    add(boss, name="Another", weight=0)
    with unit_of_work() as session:
        session.execute(
            update(ChannelAccount).where(ChannelAccount.id == account.id).values(state="paused", state_reason="why")
        )
    lines = {line.account.name: (line.state, line.allowance) for line in account_lines()}
    assert lines == {"Relay two": ("paused", 500), "Another": ("unused", None)}
