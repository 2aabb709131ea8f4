"""What moved on a client's accounts, and what they held by month."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from flask import Flask

from app.clients.holdings.models import Account, Balance, Transaction
from app.clients.holdings.queries import balance_course, transactions_of
from app.core.extensions import db
from app.core.partitions import ensure_months
from app.core.permissions import Role
from tests.factories.clients import make_account, make_client
from tests.factories.users import make_branch, make_user, sign_in

LAST = date(2026, 3, 20)


def move(account: Account, days: list[date], **fields: object) -> None:
    ensure_months("transaction", min(days), max(days))
    rows = [
        Transaction(source="test", external_id=f"{account.id}-{number:04}", on_date=day, account_id=account.id,
                    client_id=account.client_id, **({"kind": "buy", "amount": 100 + number, "fee": 0} | fields))
        for number, day in enumerate(days)
    ]  # fmt: skip
    db.session.add_all(rows)
    db.session.commit()


def hold(account: Account, amounts: dict[date, int]) -> None:
    ensure_months("balance", min(amounts), max(amounts))
    for day, amount in amounts.items():
        db.session.add(Balance(account_id=account.id, client_id=account.client_id, on_date=day, amount=amount))
    db.session.commit()


def test_every_transaction_is_on_one_page_the_newest_first(app: Flask) -> None:
    client, other = make_client(), make_client()
    move(make_account(other), [LAST])
    account = make_account(client)
    move(account, [LAST - timedelta(days=number // 7) for number in range(45)])
    found, place = [], None
    for _page in range(3):
        page = transactions_of(client.id, place=place)
        found += [line.transaction for line in page.lines]
        place = page.older
    assert place is None
    assert len({one.external_id for one in found}) == len(found) == 45
    assert [one.on_date for one in found] == sorted((one.on_date for one in found), reverse=True)


def test_balances_are_added_up_at_the_end_of_each_month(app: Flask) -> None:
    client = make_client()
    cash, fund = make_account(client), make_account(client, number="F1", opened_on=date(2026, 1, 5))
    dollars = make_account(client, number="D1", currency="USD")
    closed = make_account(client, number="C1", closed_on=date(2026, 2, 10))
    hold(cash, {date(2025, 12, 3): 50, date(2025, 12, 30): 100, date(2026, 2, 14): 300, LAST: 400})
    hold(fund, {date(2026, 1, 31): 1_000})
    hold(dollars, {date(2026, 2, 28): 7})
    hold(closed, {date(2026, 1, 2): 5})
    course = balance_course(client.id)
    assert course.days == [date(2025, 12, 31), date(2026, 1, 31), date(2026, 2, 28), LAST]
    assert course.held == {
        "CNY": [Decimal(100), Decimal(1_105), Decimal(1_300), Decimal(1_400)],
        "USD": [None, None, Decimal(7), Decimal(7)],
    }
    assert balance_course(make_client().id).days == []


def test_the_page_of_a_client_shows_what_moved_with_masked_numbers(app: Flask) -> None:
    client = make_client(number="K-1")
    account = make_account(client, number="6225880012345678")
    move(
        account, [LAST - timedelta(days=number) for number in range(25)], order_channel="mobile app", fee=Decimal("1.5")
    )
    hold(account, {date(2026, 2, 1): 10, LAST: 20})
    browser = sign_in(app.test_client(), make_user(role=Role.MARKETING))
    assert "/clients/K-1/transactions" in browser.get("/clients/K-1").text
    part = browser.get("/clients/K-1/transactions", headers={"HX-Request": "true"}).text
    for words in ("Balance by month", "Purchase", "Mobile app", "100.00 CNY", "1.50", "Mar 2026"):
        assert words in part
    assert "622588001234" not in part
    assert part.count("Purchase") == 20
    address = part.split('hx-get="')[1].split('"')[0].replace("&amp;", "&")
    older = browser.get(address, headers={"HX-Request": "true"}).text
    assert older.count("Purchase") == 5
    assert "Show older" not in older
    assert "<html" in browser.get(address).text


@pytest.mark.parametrize(
    "place", ["day=x", "day=2026-03-04", "day=0001-01-01&source=a&id=b", "day=2026-03-04&source=%00"]
)
def test_a_strange_place_is_answered(app: Flask, place: str) -> None:
    make_client(number="K-1")
    browser = sign_in(app.test_client(), make_user(role=Role.MARKETING))
    assert browser.get(f"/clients/K-1/transactions?{place}").status_code == 200


def test_transactions_of_a_client_elsewhere_are_not_shown(app: Flask) -> None:
    make_client(number="S-1")
    browser = sign_in(app.test_client(), make_user(role=Role.BRANCH_MANAGER, branch=make_branch(code="N")))
    assert browser.get("/clients/S-1/transactions").status_code == 404
