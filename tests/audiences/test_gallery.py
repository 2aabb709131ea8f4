"""The ready segments: who is in and who is not."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import insert, select

from app.audiences.compiler import condition
from app.audiences.gallery import ready_segment
from app.clients.classes.models import ClientClass
from app.clients.holdings.models import Account, Position
from app.clients.metrics.models import ClientMetrics
from app.clients.models import Client
from app.clients.reachability.models import RepairTask
from app.clients.reachability.tasks import refresh_repairs
from app.core.clock import today
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from tests.factories.clients import make_account, make_client

_numbers = count(1)


def found(key: str) -> set[str]:
    ready = ready_segment(key)
    assert ready is not None
    return set(db.session.scalars(select(Client.number).where(condition(ready.rule))))


def days_ago(days: int) -> date:
    return today() - timedelta(days=days)


def person(number: str, **fields: Any) -> Client:
    return make_client(number=number, **({"total_assets": Decimal(300_000)} | fields))


def account(client: Client, kind: str, **fields: Any) -> Account:
    return make_account(client, kind=kind, number=f"A{next(_numbers)}", **fields)


def holds(account: Account, kind: str, *, value: int = 5_000, **fields: Any) -> None:
    key = {"account_id": account.id, "client_id": account.client_id, "product_code": str(next(_numbers))}
    row = {"product_kind": kind, "value": Decimal(value), "on_date": today()} | fields
    db.session.execute(insert(Position).values(**key, **row))
    db.session.commit()


def measured(client: Client, **metrics: Any) -> Client:
    db.session.execute(insert(ClientMetrics).values(client_id=client.id, as_of=today(), **metrics))
    db.session.commit()
    return client


@pytest.fixture
def fund_holders(app: Flask) -> None:
    """With a custody account each: who has no fund, who had one, and who has one in some way."""
    for number in ("none", "shares", "sold", "held", "money fund", "with account"):
        custody = account(person(number, risk_level=4, risk_assessed_on=days_ago(30)), "custody")
        if number == "with account":
            account(db.session.get_one(Client, custody.client_id), "fund")
        if number in ("shares", "sold", "held", "money fund"):
            kind = {"shares": "share", "sold": "equity_fund", "held": "equity_fund"}.get(number, "money_fund")
            cost = Decimal(9_000) if number == "held" else Decimal(1_000)
            holds(custody, kind, value=0 if number == "sold" else 5_000, cost=cost, product_risk=2)


@pytest.mark.usefixtures("fund_holders")
def test_who_holds_a_fund_needs_no_first_one(app: Flask) -> None:
    nobody_without_custody = person("no custody")
    assert nobody_without_custody.number not in found("custody_without_fund")
    without = {"none", "shares", "sold"}
    assert found("custody_without_fund") == found("growth") == without
    assert found("wealthy_without_fund") == without | {"no custody"}
    assert found("wealthy_without_product") == {"none", "sold", "with account", "no custody"}
    assert found("fund_at_a_loss") == {"held"}


def test_higher_risk_is_accepted_by_a_valid_assessment_only(app: Flask) -> None:
    for number, days, suitability in (("valid", 30, 5), ("expired", 370, None)):
        client = person(number, risk_level=5, risk_assessed_on=days_ago(days))
        db.session.execute(insert(ClientClass).values(client_id=client.id, suitability=suitability))
    db.session.commit()
    assert found("growth") == found("growth_without_product") == {"valid"}


def test_dormant_are_also_those_who_never_did_anything(app: Flask) -> None:
    measured(person("old"), last_transaction_on=days_ago(181))
    measured(person("busy", opened_on=days_ago(900)), last_transaction_on=days_ago(180))
    measured(person("never", opened_on=days_ago(181)))
    person("never measured", opened_on=days_ago(181))
    person("new", opened_on=days_ago(180))
    person("poor", opened_on=days_ago(400), total_assets=Decimal(10_000))
    person("gone", opened_on=days_ago(400), status="closed")
    assert found("dormant") == {"old", "never", "never measured"}


def test_only_a_deposit_matures_for_those_over_fifty(app: Flask) -> None:
    born, soon = today().replace(year=today().year - 55, day=1), today() + timedelta(days=20)
    for number, kind in (("saver", "deposit"), ("borrower", "loan")):
        account(person(number, birth_date=born), kind, matures_on=soon)
    account(person("young", birth_date=days_ago(9_000)), "deposit", matures_on=soon)
    account(person("late", birth_date=born), "deposit", matures_on=today() + timedelta(days=31))
    assert found("maturing_deposit") == {"saver"}


def test_assets_fall_whatever_a_client_is_called(app: Flask) -> None:
    measured(person("dormant", status="dormant"), assets_change_30=-0.31)
    measured(person("client"), assets_change_30=-0.5)
    measured(person("less"), assets_change_30=-0.3)
    measured(person("gone", status="closed"), assets_change_30=-1)
    assert found("assets_falling") == {"dormant", "client"}


def test_each_of_the_unreachable_has_a_task(app: Flask) -> None:
    silent: dict[str, Any] = {"email": None, "mobile": None}
    person("client", **silent)
    person("prospect", **silent, status="prospect")
    person("lead", **silent, status="lead")
    person("dead", **silent, flags=["deceased"])
    person("gone", **silent, status="closed")
    person("by mail", email="one@example.com", mobile=None)
    with unit_of_work():
        refresh_repairs()
    asked = select(Client.number).join(RepairTask, RepairTask.client_id == Client.id)
    assert found("unreachable") == set(db.session.scalars(asked)) == {"client", "prospect"}


def test_whom_no_campaign_contacted_needs_no_e_mail_address(app: Flask) -> None:
    person("by SMS", email=None, birth_date=date(1950, 1, 1))
    person("gone", status="closed", birth_date=date(1950, 1, 1))
    assert found("not_contacted") == found("seniors") == {"by SMS"}


def test_a_closed_account_is_no_reason_for_help_with_the_first_order(app: Flask) -> None:
    account(person("new"), "cash", opened_on=days_ago(30))
    account(person("closed again"), "cash", opened_on=days_ago(30), closed_on=days_ago(2))
    account(person("long here"), "cash", opened_on=days_ago(91))
    assert found("never_traded") == {"new"}
