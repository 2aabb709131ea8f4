"""The tables of a Czech bank (PKDD'99), loaded through feeds and checked against counts of the raw files.

Of the dispositions the owners become the accounts' clients; a person who may only use somebody's account ("disponent")
holds none, so those rows are left out. The file of transactions is the first 3 MB of the published one.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from app.clients.feeds import service
from app.clients.feeds import tasks as tasks
from app.clients.feeds.models import Feed, FeedRun
from app.clients.holdings.models import Account, Balance, Transaction
from app.clients.models import Client
from app.core.extensions import db
from app.core.jobs import run_job
from app.core.unit_of_work import unit_of_work

FOLDER = Path(__file__).parents[3] / "shared/data/berka-pkdd99"

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="the tables of the Czech bank are not on this machine")

Rows = list[dict[str, str]]


def raw(name: str) -> Rows:
    """The rows as the csv module reads them, with nothing of ours in between."""
    with (FOLDER / f"{name}.asc").open(newline="", encoding="ascii") as file:
        return list(csv.DictReader(file, delimiter=";"))


def day(yymmdd: str) -> date:
    return date(1900 + int(yymmdd[:2]), int(yymmdd[2:4]), int(yymmdd[4:6]))


KINDS = {
    "PRIJEM/VKLAD/": "deposit",
    "PRIJEM//UROK": "interest",
    "PRIJEM/PREVOD Z UCTU/": "transfer_in",
    "PRIJEM/PREVOD Z UCTU/DUCHOD": "pension",
    "VYDAJ/VYBER/": "withdrawal",
    "VYBER/VYBER/": "withdrawal",
    "VYDAJ/VYBER KARTOU/": "withdrawal",
    "VYDAJ/VYBER/SIPO": "withdrawal",
    "VYDAJ/VYBER/SLUZBY": "fee",
    "VYDAJ/VYBER/SANKC. UROK": "penalty_interest",
    "VYDAJ/PREVOD NA UCET/": "transfer_out",
    "VYDAJ/PREVOD NA UCET/SIPO": "transfer_out",
    "VYDAJ/PREVOD NA UCET/POJISTNE": "insurance",
    "VYDAJ/PREVOD NA UCET/UVER": "loan_payment",
}


def kind_of(row: dict[str, str]) -> str:
    return KINDS[f"{row['type'].strip()}/{row['operation'].strip()}/{row['k_symbol'].strip()}"]


def definitions() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """feed > (file, kind, definition), in the order in which they are loaded."""
    a_date = {"column": "date", "format": "YYMMDD"}
    towns = {row["A1"]: row["A2"] for row in raw("district")}
    accounts_of_cards = {row["disp_id"]: row["account_id"] for row in raw("disp")}
    birth_number = {"column": "birth_number", "format": "birth_number"}
    return {
        "clients": (
            "client",
            "clients",
            {
                "columns": {
                    "number": {"column": "client_id"},
                    "birth_date": birth_number | {"from_year": 1900},
                    "gender": birth_number,
                    "city": {"column": "district_id", "map": towns},
                },
                "create_clients": True,
            },
        ),
        "owners": (
            "disp",
            "accounts",
            {
                "columns": {
                    "number": {"column": "account_id"},
                    "client": {"column": "client_id"},
                    "kind": {"constant": "deposit"},
                    "currency": {"constant": "CZK"},
                },
                "only": {"type": ["OWNER"]},
            },
        ),
        "accounts": (
            "account",
            "accounts",
            {"columns": {"number": {"column": "account_id"}, "opened_on": a_date}},
        ),
        "loans": (
            "loan",
            "accounts",
            {
                "columns": {
                    "number": {"template": "L{loan_id}"},
                    "client_of": {"column": "account_id"},
                    "kind": {"constant": "loan"},
                    "currency": {"constant": "CZK"},
                    "opened_on": a_date,
                    "term_months": {"column": "duration"},
                }
            },
        ),
        "loan-balances": (
            "loan",
            "balances",
            {
                "columns": {
                    "account": {"template": "L{loan_id}"},
                    "on_date": a_date,
                    "amount": {"column": "amount", "sign": "turn"},
                }
            },
        ),
        "cards": (
            "card",
            "accounts",
            {
                "columns": {
                    "number": {"template": "C{card_id}"},
                    "client_of": {"column": "disp_id", "map": accounts_of_cards},
                    "kind": {"constant": "card"},
                    "currency": {"constant": "CZK"},
                    "opened_on": {"column": "issued", "format": "YYMMDD"},
                }
            },
        ),
        "transactions": (
            "trans-first-3MiB",
            "transactions",
            {
                "columns": {
                    "external_id": {"column": "trans_id"},
                    "account": {"column": "account_id"},
                    "on_date": a_date,
                    "kind": {"template": "{type}/{operation}/{k_symbol}", "map": KINDS},
                    "amount": {"column": "amount"},
                    "balance_after": {"column": "balance"},
                }
            },
        ),
    }


def make_feeds() -> Iterator[tuple[Feed, Path]]:
    for name, (file, kind, definition) in definitions().items():
        with unit_of_work():
            feed = service.create_feed(name=name, kind=kind, source="berka", actor=None)
            service.define_feed(feed=feed, definition=definition, actor=None)
        yield feed, FOLDER / f"{file}.asc"


def load(feed: Feed, path: Path, *, again: bool = False) -> FeedRun:
    with unit_of_work(), path.open("rb") as stream:
        run = service.receive_file(feed=feed, stream=stream, name=path.name, actor=None, again=again, in_worker=False)
    assert run.job_id is not None
    run_job(run.job_id)
    db.session.expire_all()
    assert run.state in ("done", "repeated"), run.error
    return run


def count(*conditions: Any) -> int:
    return db.session.scalar(select(func.count()).where(*conditions)) or 0


def test_the_bank_is_loaded_as_its_files_say(app: Flask, tmp_path: Path) -> None:
    feeds = list(make_feeds())
    runs = {feed.name: load(feed, path) for feed, path in feeds}
    assert {name: run.refused for name, run in runs.items() if run.refused} == {}

    people, owners = raw("client"), [row for row in raw("disp") if row["type"] == "OWNER"]
    women = [row for row in people if int(row["birth_number"][2:4]) > 50]
    assert runs["clients"].created == count(Client.id.is_not(None)) == len(people) == 5_369
    assert count(Client.gender == "female") == len(women) == 2_645
    assert count(Client.gender == "male") == len(people) - len(women)
    prague = next(row["A1"] for row in raw("district") if row["A2"] == "Hl.m. Praha")
    assert count(Client.city == "Hl.m. Praha") == sum(row["district_id"] == prague for row in people) > 0
    first = db.session.scalars(select(Client).where(Client.number == "1")).one()
    assert (people[0]["birth_number"], first.birth_date, first.gender) == ("706213", date(1970, 12, 13), "female")
    years = Counter(int(row["birth_number"][:2]) for row in people)
    found = db.session.execute(
        select(func.extract("year", Client.birth_date), func.count()).group_by(func.extract("year", Client.birth_date))
    )
    assert {int(year) - 1900: number for year, number in found} == dict(years)

    assert (runs["owners"].created, runs["owners"].left_out) == (len(owners), 869) == (4_500, 869)
    held = dict(
        iter(
            db.session.execute(
                select(Account.number, Client.number)
                .join(Client, Client.id == Account.client_id)
                .where(Account.kind == "deposit")
            )
        )
    )
    assert held == {row["account_id"]: row["client_id"] for row in owners}
    assert (runs["accounts"].created, runs["accounts"].changed) == (0, 4_500)
    opened = dict(iter(db.session.execute(select(Account.number, Account.opened_on).where(Account.kind == "deposit"))))
    assert opened == {row["account_id"]: day(row["date"]) for row in raw("account")}

    loans = {row["loan_id"]: row for row in raw("loan")}
    assert count(Account.kind == "loan") == runs["loans"].created == len(loans) == 682
    assert count(Account.kind == "card") == len(raw("card")) == 892
    loan = db.session.scalars(select(Account).where(Account.number == "L5314")).one()
    assert (loans["5314"]["date"], loans["5314"]["duration"]) == ("930705", "12")
    assert (loan.opened_on, loan.matures_on) == (date(1993, 7, 5), date(1994, 7, 5))
    owed = db.session.scalar(
        select(func.sum(Balance.amount)).where(
            Balance.amount < 0, Balance.account_id.in_(select(Account.id).where(Account.kind == "loan"))
        )
    )
    assert owed == -sum(Decimal(row["amount"]) for row in loans.values())

    _check_transactions(runs["transactions"])
    _check_loading_twice(feeds)
    _check_correction(feeds, tmp_path)


def _check_transactions(run: FeedRun) -> None:
    rows = raw("trans-first-3MiB")
    assert run.created == len(rows) == 49_102
    sums: dict[str, list[Any]] = defaultdict(lambda: [0, Decimal(0)])
    for row in rows:
        sums[kind_of(row)][0] += 1
        sums[kind_of(row)][1] += Decimal(row["amount"])
    found = db.session.execute(
        select(Transaction.kind, func.count(), func.sum(Transaction.amount)).group_by(Transaction.kind)
    )
    assert {kind: [number, total] for kind, number, total in found} == dict(sums)
    months = Counter(row["date"][:4] for row in rows)
    month = func.to_char(Transaction.on_date, "YYMM").label("month")
    found = db.session.execute(select(month, func.count()).group_by(month))
    assert dict(iter(found)) == dict(months)

    last = {(row["account_id"], day(row["date"])): Decimal(row["balance"]) for row in rows}  # the last row of a day
    stored = db.session.execute(
        select(Account.number, Balance.on_date, Balance.amount)
        .join(Account, Account.id == Balance.account_id)
        .where(Account.kind == "deposit")
    )
    assert {(number, on_date): amount for number, on_date, amount in stored} == last
    owner = {row["account_id"]: row["client_id"] for row in raw("disp") if row["type"] == "OWNER"}
    newest: dict[str, tuple[date, Decimal]] = {}
    for (number, on_date), amount in last.items():
        newest[number] = max(newest.get(number, (date.min, amount)), (on_date, amount))
    assets: dict[str, Decimal] = defaultdict(Decimal)
    for number, (_on_date, amount) in newest.items():
        assets[owner[number]] += max(amount, Decimal(0))
    kept = db.session.execute(select(Client.number, Client.total_assets).where(Client.total_assets > 0))
    assert dict(iter(kept)) == {number: amount for number, amount in assets.items() if amount}


def _everything() -> list[Any]:
    return [
        db.session.execute(select(func.count(), func.sum(column)).select_from(table)).one()
        for table, column in (
            (Client, Client.total_assets),
            (Account, Account.client_id),
            (Balance, Balance.amount),
            (Transaction, Transaction.amount),
        )
    ]


def _check_loading_twice(feeds: list[tuple[Feed, Path]]) -> None:
    before = _everything()
    for feed, path in feeds:
        assert load(feed, path).state == "repeated"
        again = load(feed, path, again=True)
        assert (again.created, again.changed, again.refused) == (0, 0, 0), feed.name
        assert again.unchanged + again.left_out == again.rows_read
    assert _everything() == before


def _check_correction(feeds: list[tuple[Feed, Path]], tmp_path: Path) -> None:
    """The first transaction turns out to be of another month and amount, the second of another kind."""
    feed, path = next((feed, path) for feed, path in feeds if feed.name == "transactions")
    head, first, second = path.read_text("ascii").splitlines()[:3]
    assert (first[:18], "PRIJEM" in second) == ("695247;2378;930101", True)
    lines = [
        head,
        first.replace("930101", "930215").replace("700.00;700.00", "710.00;710.00"),
        second.replace('"PRIJEM";"VKLAD"', '"VYDAJ";"VYBER"'),
    ]
    corrected = tmp_path / "correction.asc"
    corrected.write_text("\r\n".join(lines) + "\r\n", "ascii")
    total = count(Transaction.source == "berka")
    run = load(feed, corrected)
    assert (run.created, run.changed, run.unchanged, run.refused) == (0, 2, 0, 0)
    assert count(Transaction.source == "berka") == total
    moved = db.session.scalars(select(Transaction).where(Transaction.external_id == "695247")).one()
    assert (moved.on_date, moved.amount) == (date(1993, 2, 15), 710)
    kind = db.session.scalar(select(Transaction.kind).where(Transaction.external_id == second.split(";")[0]))
    assert kind == "withdrawal"
