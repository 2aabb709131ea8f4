"""Which account a batch leaves through, and how much may leave."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from app.channels.limits import daily_allowance, lease
from app.channels.models import ChannelAccount, ChannelLimit
from app.core.clock import now, today
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Batch, MarketingStop, Message
from app.delivery.routing import account_works, choose_account, rest_account, usable_accounts
from app.delivery.sending import hand_over, send_batch
from tests.factories.clients import make_clients
from tests.factories.delivery import claimed, handed_over, launched, send_all, states
from tests.factories.users import make_user

pytestmark = pytest.mark.usefixtures("app")


def make_account(name: str = "second", **facts: object) -> ChannelAccount:
    with unit_of_work() as session:
        account = ChannelAccount(**({"name": name, "channel": "email", "vendor": "mailbox"} | facts))
        session.add(account)
    return account


def only(account: ChannelAccount) -> None:
    """All the others are paused."""
    with unit_of_work() as session:
        usable_accounts("email")
        session.execute(update(ChannelAccount).where(ChannelAccount.id != account.id).values(state="paused"))


def test_the_configured_account_is_always_there() -> None:
    with unit_of_work():
        accounts = usable_accounts("email")
    assert [(account.name, account.vendor) for account in accounts] == [("default", "mailbox")]


def test_batches_are_shared_by_weight() -> None:
    make_account(weight=3)
    with unit_of_work():
        drawn = Counter(getattr(choose_account("email"), "name", "") for _ in range(400))
    assert 250 <= drawn["second"] <= 350


def test_an_account_in_trouble_is_left_alone_for_longer_each_time_and_comes_back_gradually() -> None:
    account = make_account()
    pauses = []
    for _ in range(9):
        with unit_of_work():
            rest_account(account.id, "relay unreachable")
        db.session.refresh(account)
        assert account.resting_until is not None
        pauses.append(round((account.resting_until - now()).total_seconds()))
    assert pauses == [5, 10, 20, 40, 80, 160, 320, 640, 900]
    with unit_of_work():
        assert "second" not in [one.name for one in usable_accounts("email")]
    with unit_of_work() as session:
        session.execute(update(ChannelAccount).values(resting_until=now()))
    with unit_of_work():
        assert "second" in [one.name for one in usable_accounts("email")]
        account_works(account.id)
    db.session.refresh(account)
    assert (account.state, account.failures) == ("active", 4)


def test_an_account_over_its_rate_rests_until_the_vendor_said() -> None:
    account = make_account()
    until = now() + timedelta(seconds=42)
    with unit_of_work():
        rest_account(account.id, "429", until=until)
    assert (account.state, account.failures, account.resting_until) == ("resting", 0, until)


def test_a_batch_moves_to_another_account_when_its_own_is_in_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    make_clients(3)
    launched()
    account = make_account(vendor="smtp", secret_name="NO_SUCH_RELAY", weight=100)
    monkeypatch.setenv("NO_SUCH_RELAY", "smtp://127.0.0.1:1")
    only(account)
    batch_id = db.session.scalars(select(Batch.id)).one()
    send_batch(batch_id)
    assert states() == {"planned": 3}
    assert account.state == "resting"
    with unit_of_work() as session:
        session.execute(update(ChannelAccount).where(ChannelAccount.name == "default").values(state="active"))
    send_all()
    assert states() == {"sent": 3}
    assert set(db.session.scalars(select(Message.account_id))) != {account.id}


def test_without_any_account_messages_wait() -> None:
    make_clients(2)
    launched()
    only(make_account(weight=0))
    batch_id = db.session.scalars(select(Batch.id)).one()
    assert claimed(batch_id) is None
    db.session.rollback()
    batch = db.session.get_one(Batch, batch_id)
    assert batch.token is None
    assert batch.due_at > now()


def test_an_account_whose_secret_is_not_set_rests_with_the_reason() -> None:
    make_clients(2)
    launched()
    account = make_account(vendor="smtp", secret_name="NOT_SET_ANYWHERE")
    only(account)
    assert claimed() is None
    db.session.refresh(account)
    assert account.state_reason is not None
    assert "NOT_SET_ANYWHERE" in account.state_reason


def test_no_more_leaves_than_the_daily_limit_and_the_rest_waits_for_the_next_day() -> None:
    make_clients(8)
    launched()
    account = make_account(daily_limit=5)
    only(account)
    send_all()
    assert states() == {"sent": 5, "planned": 3}
    limit = db.session.scalars(select(ChannelLimit)).one()
    assert (limit.used, limit.day) == (5, today())
    assert db.session.scalars(select(Batch.due_at)).one() > now()


def test_tokens_fill_up_with_time_to_three_seconds_worth() -> None:
    account = make_account(rate_per_second=10)

    def seconds_pass(seconds: float) -> None:
        with unit_of_work() as session:
            session.execute(update(ChannelLimit).values(filled_at=ChannelLimit.filled_at - timedelta(seconds=seconds)))

    with unit_of_work():
        assert lease(account, 100).granted == 10  # one second's worth to begin with
        assert lease(account, 100).granted == 0
    seconds_pass(0.5)
    with unit_of_work():
        assert lease(account, 100).granted in (5, 6)
    seconds_pass(2)  # who waits is looked at every two seconds: the whole rate is used
    with unit_of_work():
        assert lease(account, 100).granted in (20, 21)
    seconds_pass(5 * 3600)
    with unit_of_work():
        assert lease(account, 100).granted == 30


@pytest.mark.parametrize(("days", "allowed"), [(-1, 0), (0, 50), (1, 75), (2, 112), (3, 168), (4000, 1000)])
def test_a_warm_up_grows_day_by_day_up_to_the_limit(days: int, allowed: int) -> None:
    account = ChannelAccount(
        daily_limit=1000, warm_up_from=today() - timedelta(days=days), warm_up_first=50, warm_up_factor=1.5
    )
    assert daily_allowance(account, today()) == allowed


def test_a_throttled_domain_gets_its_rate_and_the_others_go_on() -> None:
    make_clients(6, email=lambda n: f"c{n}@{'slow' if n % 2 else 'quick'}.example")
    launched()
    with unit_of_work() as session:
        session.add(ChannelLimit(domain="slow.example", rate_per_second=1, tokens=1))
    send_batch(db.session.scalars(select(Batch.id)).one())
    db.session.rollback()
    sent = Counter(db.session.scalars(select(Message.domain).where(Message.state == "sent")))
    assert sent == {"quick.example": 3, "slow.example": 1}
    waiting = db.session.scalars(select(Batch).where(Batch.state == "open")).one()
    assert waiting.size == 2
    assert waiting.due_at > now() - timedelta(seconds=1)


@pytest.fixture
def mainland(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(app.extensions["bellwether_config"], market_profile="mainland_china")
    monkeypatch.setitem(app.extensions, "bellwether_config", config)


@pytest.mark.usefixtures("mainland")
def test_a_foreign_account_takes_mainland_clients_only_with_a_legal_basis() -> None:
    account = make_account(location="foreign")
    with unit_of_work():
        assert [one.name for one in usable_accounts("email")] == ["default"]
    with unit_of_work() as session:
        session.get_one(ChannelAccount, account.id).legal_basis = "Standard contract filed under no. 12"
    with unit_of_work():
        assert [one.name for one in usable_accounts("email")] == ["second", "default"]


@pytest.fixture
def mainland_by_sendgrid(app: Flask, mainland: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration itself describes an account of a vendor abroad."""
    config = replace(
        app.extensions["bellwether_config"],
        email_channel="sendgrid", sendgrid_api_key="SG.x", sendgrid_host="https://api.sendgrid.com",
    )  # fmt: skip
    monkeypatch.setitem(app.extensions, "bellwether_config", config)


@pytest.mark.usefixtures("mainland_by_sendgrid")
def test_the_configured_account_of_a_vendor_abroad_waits_for_its_legal_basis() -> None:
    with unit_of_work():
        assert usable_accounts("email") == []
    with unit_of_work() as session:
        session.execute(update(ChannelAccount).values(legal_basis="Standard contract filed under no. 12"))
    with unit_of_work():
        assert [one.location for one in usable_accounts("email")] == ["foreign"]


def test_a_legal_basis_is_the_vendors_it_was_recorded_for(app: Flask, request: pytest.FixtureRequest) -> None:
    with unit_of_work() as session:
        usable_accounts("email")
        session.execute(update(ChannelAccount).values(legal_basis="Standard contract with the former vendor"))
    request.getfixturevalue("mainland_by_sendgrid")
    with unit_of_work():
        assert usable_accounts("email") == []


@pytest.mark.usefixtures("mainland")
@pytest.mark.parametrize(
    "change",
    [{"state": "paused"}, {"archived_at": func.now()}, {"location": "foreign"}, {"marketing_paused_at": func.now()}],
)
def test_nothing_more_of_a_batch_leaves_through_an_account_that_may_not_be_used_any_more(
    change: dict[str, object],
) -> None:
    make_clients(4)
    launched()
    work, _window = handed_over(2)
    with unit_of_work() as session:
        session.execute(update(ChannelAccount).values(**change))
    with unit_of_work():
        assert hand_over(work, limit=2) is None
    assert states() == {"handing": 2, "planned": 2}


def test_nothing_of_marketing_leaves_while_it_is_stopped_and_service_goes_on() -> None:
    make_clients(2)
    launched()
    launched(purpose="service")
    work = claimed(db.session.scalars(select(Batch.id).order_by(Batch.id)).first() or 0)
    assert work is not None
    somebody = make_user(role="administrator").id
    with unit_of_work() as session:
        session.add(MarketingStop(reason="wrong offer", stopped_by_id=somebody))
    with unit_of_work():
        assert hand_over(work, limit=10) is None
    send_all()
    assert states() == {"planned": 2, "sent": 2}
