"""What a feed does to the client book."""

import io
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, text

from app.clients.feeds import running, service
from app.clients.feeds import tasks as tasks
from app.clients.feeds.models import Feed, FeedRefusal, FeedRun
from app.clients.holdings.models import Account, Balance, Position, Transaction
from app.clients.models import Client
from app.core.extensions import db
from app.core.files import StoredFile
from app.core.jobs import Job, Lease, LeaseLost, claim, run_job
from app.core.unit_of_work import unit_of_work
from tests.factories.clients import make_account, make_client
from tests.factories.users import make_branch

TRANSACTIONS = {name: {"column": name} for name in ("external_id", "account", "on_date", "kind", "amount")}
BALANCES = {name: {"column": name} for name in ("account", "on_date", "amount")}
POSITIONS = {name: {"column": name} for name in ("account", "on_date", "product_code", "value")} | {
    "product_kind": {"constant": "fund"}
}
ACCOUNTS = {name: {"column": name} for name in ("number", "client", "kind", "opened_on", "closed_on")}
HEADS = {
    "transactions": "external_id,account,on_date,kind,amount",
    "balances": "account,on_date,amount",
    "positions": "account,on_date,product_code,value",
    "accounts": "number,client,kind,opened_on,closed_on",
}
COLUMNS = {"transactions": TRANSACTIONS, "balances": BALANCES, "positions": POSITIONS, "accounts": ACCOUNTS}


def make_feed(kind: str, columns: dict[str, Any] | None = None, **parts: Any) -> Feed:
    with unit_of_work() as session:
        count = session.scalar(select(func.count(Feed.id))) or 0
        feed = service.create_feed(name=f"feed-{count + 1}", kind=kind, source="core", actor=None)
        definition = {"columns": columns or COLUMNS[kind], **parts}
        service.define_feed(feed=feed, definition=definition, actor=None)
    return feed


def load(feed: Feed, content: str | bytes, *, name: str = "file.csv", again: bool = False) -> FeedRun:
    data = content.encode() if isinstance(content, str) else content
    with unit_of_work():
        run = service.receive_file(
            feed=feed, stream=io.BytesIO(data), name=name, actor=None, again=again, in_worker=False
        )
    job_id = run.job_id
    assert job_id is not None
    run_job(job_id)
    db.session.expire_all()
    return run


def rows(kind: str, *lines: str) -> str:
    return "\n".join([HEADS[kind], *lines]) + "\n"


def counts(run: FeedRun) -> tuple[int, int, int, int]:
    return run.created, run.changed, run.unchanged, run.refused


def reasons(run: FeedRun) -> dict[int, str]:
    found = db.session.execute(select(FeedRefusal.row_number, FeedRefusal.reason).where(FeedRefusal.run_id == run.id))
    return dict(iter(found))


def transactions() -> list[tuple[str, date, Decimal]]:
    found = db.session.execute(
        select(Transaction.external_id, Transaction.on_date, Transaction.amount).order_by(Transaction.external_id)
    )
    return [(number, day, amount) for number, day, amount in found]


@pytest.fixture
def account(app: Flask) -> Account:
    return make_account(make_client(number="C1"), number="A1")


# ---- Transactions ---------------------------------------------------------------------------------------------------


def test_transactions_are_loaded_once(account: Account) -> None:
    feed = make_feed("transactions")
    content = rows("transactions", "t1,A1,2026-01-31,buy,100.50", "t2,A1,2026-02-01,sell,20")
    run = load(feed, content)
    assert (run.state, counts(run), run.rows_read) == ("done", (2, 0, 0, 0), 2)
    stored = db.session.scalars(select(Transaction).where(Transaction.external_id == "t1")).one()
    assert (stored.source, stored.client_id, stored.account_id) == ("core", account.client_id, account.id)
    assert (stored.kind, stored.amount, stored.fee) == ("buy", Decimal("100.50"), 0)

    same = load(feed, content)
    assert (same.state, same.repeats_id, counts(same)) == ("repeated", run.id, (0, 0, 0, 0))
    again = load(feed, content, again=True)
    assert (again.state, counts(again)) == ("done", (0, 0, 2, 0))
    assert len(transactions()) == 2
    assert db.session.scalar(select(func.count(StoredFile.id))) == 0


def test_a_corrected_date_replaces_also_across_months(account: Account) -> None:
    feed = make_feed("transactions")
    load(feed, rows("transactions", "t1,A1,2026-01-31,buy,100", "t2,A1,2026-01-30,buy,5"))
    run = load(feed, rows("transactions", "t1,A1,2026-02-02,buy,100"))
    assert counts(run) == (0, 1, 0, 0)
    assert transactions() == [("t1", date(2026, 2, 2), 100), ("t2", date(2026, 1, 30), 5)]


def test_a_changed_amount_updates_in_place(account: Account) -> None:
    feed = make_feed("transactions")
    load(feed, rows("transactions", "t1,A1,2026-01-31,buy,100"))
    run = load(feed, rows("transactions", "t1,A1,2026-01-31,buy,90", "t2,A1,2026-01-31,buy,1"))
    assert counts(run) == (1, 1, 0, 0)
    assert transactions() == [("t1", date(2026, 1, 31), 90), ("t2", date(2026, 1, 31), 1)]


def test_the_same_number_of_another_source_is_another_transaction(account: Account) -> None:
    content = rows("transactions", "t1,A1,2026-01-31,buy,100")
    load(make_feed("transactions"), content)
    other = make_feed("transactions")
    with unit_of_work():
        other.source = "custody"
    assert counts(load(other, content)) == (1, 0, 0, 0)
    assert len(transactions()) == 2


def test_targets_that_the_feed_does_not_name_stay(account: Account) -> None:
    full = make_feed("transactions", TRANSACTIONS | {"fee": {"column": "fee"}, "order_channel": {"column": "way"}})
    load(full, HEADS["transactions"] + ",fee,way\nt1,A1,2026-01-31,buy,100,1.25,app\n")
    load(make_feed("transactions"), rows("transactions", "t1,A1,2026-03-31,buy,99"))
    stored = db.session.scalars(select(Transaction)).one()
    assert (stored.on_date, stored.fee, stored.order_channel) == (date(2026, 3, 31), Decimal("1.25"), "app")


def test_rows_that_cannot_be_taken_are_refused_with_their_reasons(account: Account) -> None:
    run = load(
        make_feed("transactions"),
        rows(
            "transactions",
            "t1,A1,2026-01-31,buy,100",
            "t1,A1,2026-02-01,buy,101",
            "t2,A9,2026-01-31,buy,1",
            "t3,A1,1899-12-31,buy,1",
            "t4,A1,2199-01-01,buy,1",
            "t5,A1,2026-01-31,buy,-1",
            "t6,A1,2026-01-31,,ten",
            ",A1,2026-01-31,buy,1",
            "t7,A1,20260131T,buy,99999999999999999999",
        ),
    )
    found = reasons(run)
    assert (run.state, run.created, run.refused) == ("done", 1, 8)
    assert found[2] == "The number of the transaction “t1” stands in an earlier row already."
    assert found[3] == "There is no account with the number “A9”."
    assert "between 1900 and tomorrow" in found[4]
    assert "between 1900 and tomorrow" in found[5]
    assert "below zero" in found[6]
    assert found[7] == "Kind: it is missing. Amount: “ten” is not a number."
    assert found[8] == "Number of the transaction: it is missing."
    assert "too large" in found[9]
    cells = db.session.scalars(select(FeedRefusal.cells).where(FeedRefusal.row_number == 3)).one()
    assert cells == ["t2", "A9", "2026-01-31", "buy", "1"]


def test_only_months_that_occur_are_made(account: Account) -> None:
    load(make_feed("transactions"), rows("transactions", "a,A1,1901-05-01,buy,1", "b,A1,2026-01-31,buy,1"))
    months = db.session.scalars(
        text("SELECT relid::regclass::text FROM pg_partition_tree('transaction') WHERE isleaf ORDER BY 1")
    ).all()
    assert "transaction_190105" in months
    assert "transaction_190106" not in months


def test_balances_afterwards_become_balances_of_the_day(account: Account) -> None:
    feed = make_feed("transactions", TRANSACTIONS | {"balance_after": {"column": "rest"}})
    load(
        feed,
        HEADS["transactions"] + ",rest\n"
        "t1,A1,2026-01-30,deposit,100,100\nt2,A1,2026-01-31,deposit,5,105\nt3,A1,2026-01-31,withdrawal,50,55\n",
    )
    found = db.session.execute(select(Balance.on_date, Balance.amount).order_by(Balance.on_date)).all()
    assert [tuple(row) for row in found] == [(date(2026, 1, 30), 100), (date(2026, 1, 31), 55)]
    assert db.session.scalars(select(Client.total_assets)).one() == 55


def test_words_formats_and_signs(account: Account) -> None:
    feed = make_feed(
        "transactions",
        {
            "external_id": {"template": "{no}-{line}"},
            "account": {"column": "acc"},
            "on_date": {"column": "day", "format": "YYMMDD"},
            "kind": {
                "template": "{type}/{op}",
                "map": {"PRIJEM/VKLAD": "deposit", "vydaj/": "withdrawal"},
                "else": "other",
            },
            "amount": {"column": "sum", "sign": "drop"},
            "fee": {"constant": "0,50"},
        },
        only={"state": ["ok"]},
        missing=["n/a"],
        decimal_mark=",",
    )
    run = load(
        feed,
        "no;line;acc;day;type;op;sum;state\n7;1;A1;930131 00:00:00;PRIJEM;VKLAD;1.234,50;OK\n"
        "7;2;A1;260131;VYDAJ;;-5,00;ok\n8;1;A1;260131;X;Y;5;ok\n9;1;A1;260131;X;Y;5;no\n",
    )
    assert (counts(run), run.left_out) == ((3, 0, 0, 0), 1), run.error
    found = db.session.execute(
        select(Transaction.external_id, Transaction.on_date, Transaction.kind, Transaction.amount).order_by(
            Transaction.external_id
        )
    )
    assert [tuple(row) for row in found] == [
        ("7-1", date(1993, 1, 31), "deposit", Decimal("1234.50")),
        ("7-2", date(2026, 1, 31), "withdrawal", 5),
        ("8-1", date(2026, 1, 31), "other", 5),
    ]


def test_a_client_with_one_open_account_may_stand_for_it(account: Account) -> None:
    client = db.session.get_one(Client, account.client_id)
    make_account(client, number="A0", closed_on=date(2025, 1, 1))
    two = make_client(number="C2")
    make_account(two, number="B1")
    make_account(two, number="B2")
    columns = {"client": {"column": "client"}, "account": {"column": "account"}} | {
        name: BALANCES[name] for name in ("on_date", "amount")
    }
    run = load(
        make_feed("balances", columns),
        "client,account,on_date,amount\nC1,,2026-01-31,10\nC2,,2026-01-31,20\nC2,B2,2026-01-31,30\n"
        "C9,,2026-01-31,1\nC1,B1,2026-01-31,1\n,,2026-01-31,1\n",
    )
    assert counts(run) == (2, 0, 0, 4)
    assert reasons(run) == {
        2: "The client “C2” does not have exactly one open account; the row must name one.",
        4: "There is no client with the number “C9”.",
        5: "The account “B1” belongs to another client.",
        6: "The row names neither an account nor a client.",
    }


# ---- Balances, positions, accounts ----------------------------------------------------------------------------------


def test_balances_replace_per_account_and_day_and_assets_follow(account: Account) -> None:
    client = db.session.get_one(Client, account.client_id)
    make_account(client, number="L1", kind="loan")
    other = make_account(make_client(number="C2", total_assets=Decimal(7)), number="B1")
    feed = make_feed("balances")
    content = rows("balances", "A1,2026-01-30,100", "A1,2026-01-31,150", "L1,2026-01-31,-900", "A1,2026-01-31,160")
    run = load(feed, content)
    assert (counts(run), run.left_out) == ((3, 0, 0, 0), 1)
    assert db.session.get_one(Client, account.client_id).total_assets == 160
    run = load(feed, rows("balances", "A1,2026-01-30,100", "A1,2026-01-31,170"))
    assert counts(run) == (0, 1, 1, 0)
    assert db.session.get_one(Client, account.client_id).total_assets == 170
    assert db.session.get_one(Client, other.client_id).total_assets == 7


def test_a_newer_statement_replaces_positions_and_an_older_one_does_not(account: Account) -> None:
    feed = make_feed("positions")
    load(feed, rows("positions", "A1,2026-01-30,F1,10", "A1,2026-01-30,F2,20"))
    run = load(feed, rows("positions", "A1,2026-01-31,F2,25", "A1,2026-01-31,F3,30"))
    assert counts(run) == (1, 2, 0, 0)  # F3 came, F2 changed, F1 went
    held = {row.product_code: (row.value, row.on_date) for row in db.session.scalars(select(Position))}
    assert held == {"F2": (25, date(2026, 1, 31)), "F3": (30, date(2026, 1, 31))}
    late = load(feed, rows("positions", "A1,2026-01-29,F1,1"))
    assert (counts(late), late.left_out) == ((0, 0, 0, 0), 1)
    assert db.session.scalar(select(func.count()).select_from(Position)) == 2


def test_partial_statements_leave_other_positions_alone(account: Account) -> None:
    feed = make_feed("positions", whole_statements=False)
    load(feed, rows("positions", "A1,2026-01-30,F1,10", "A1,2026-01-30,F2,20"))
    load(feed, rows("positions", "A1,2026-01-31,F2,25"))
    held = {row.product_code: row.value for row in db.session.scalars(select(Position))}
    assert held == {"F1": 10, "F2": 25}


def test_accounts_are_known_by_their_number_and_keep_their_client(account: Account) -> None:
    make_client(number="C2")
    feed = make_feed("accounts")
    run = load(
        feed,
        rows(
            "accounts",
            "A1,C1,cash,2024-01-02,",
            "A2,C2,fund,2026-01-02,",
            "A1,C2,cash,2024-01-02,",
            "A3,C9,fund,,",
            "A4,,fund,,",
            "A5,C1,,,",
        ),
    )
    assert counts(run) == (1, 0, 1, 4)
    assert reasons(run) == {
        3: "The account number “A1” stands in an earlier row already.",
        4: "There is no client with the number “C9”.",
        5: "The account “A4” is not known yet, and the row does not say whose it is.",
        6: "The account “A5” is not known yet, and the row does not say of which kind it is.",
    }
    moved = load(feed, rows("accounts", "A2,C1,fund,2026-01-02,2026-02-01"))
    assert reasons(moved) == {1: "The account “A2” belongs to another client, and this feed may not move it."}
    closed = load(feed, rows("accounts", "A2,,,2026-01-02,2026-02-01"))
    assert counts(closed) == (0, 1, 0, 0)
    stored = db.session.scalars(select(Account).where(Account.number == "A2")).one()
    assert (stored.kind, stored.closed_on) == ("fund", date(2026, 2, 1))


def test_a_feed_may_move_accounts_and_create_clients_where_it_says_so(account: Account) -> None:
    load(make_feed("balances"), rows("balances", "A1,2026-01-31,100"))
    feed = make_feed("accounts", create_clients=True, move_accounts=True)
    run = load(feed, rows("accounts", "A1,C7,cash,2024-01-02,", "A2,C7,cash,,", "A3,C8,cash,,"))
    assert (counts(run), run.clients_created) == ((2, 1, 0, 0), 2)
    new = db.session.scalars(select(Client).where(Client.number == "C7")).one()
    assert (new.source, new.total_assets, new.status) == ("core", 100, "client")
    assert db.session.scalars(select(Balance.client_id)).one() == new.id


def test_a_branch_is_known_by_its_code(account: Account) -> None:
    branch = make_branch(code="SH-01")
    feed = make_feed("accounts", {"number": {"column": "n"}, "branch": {"column": "b"}})
    run = load(feed, "n,b\nA1,sh-01\nA1x,XX\n")
    assert db.session.get_one(Account, account.id).branch_id == branch.id
    assert reasons(run) == {2: "There is no branch with the code “XX”."}


# ---- All or nothing -------------------------------------------------------------------------------------------------

GOOD = [f"t{number},A1,2026-01-31,buy,{number}" for number in range(1, 6)]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([*GOOD, "t6,A1,2026-01-31,buy"], "Row 6: The row has 4 cells, but there are 5 columns."),
        ([*GOOD, "t6,A1,2026-01-31,buy,1,more"], "Row 6: The row has 6 cells, but there are 5 columns."),
        ([*GOOD, HEADS["transactions"], *GOOD], "Row 6 holds column names again"),
        ([*GOOD, "account,external_id,kind,amount,on_date", "A1,x,buy,1,2026-01-31"], "Row 6 holds column names again"),
        ([*GOOD, 't6,A1,"2026-01-31,buy,5'], "Row 6: A quotation mark is opened in this row and not closed."),
    ],
)
def test_a_file_that_changes_its_shape_loads_nothing(account: Account, lines: list[str], sentence: str) -> None:
    run = load(make_feed("transactions"), rows("transactions", *lines))
    assert (run.state, transactions()) == ("failed", [])
    assert sentence in (run.error or "")
    assert counts(run) == (0, 0, 0, 0)


def test_a_wrong_encoding_names_the_line(account: Account) -> None:
    content = rows("transactions", *GOOD).encode() + "t6,A1,2026-01-31,申购,5\n".encode("gb18030")
    run = load(make_feed("transactions"), content)
    assert (run.state, transactions()) == ("failed", [])
    assert "Line 7 of the file is not text in the encoding UTF-8" in (run.error or "")
    assert counts(load(make_feed("transactions", encoding="gb18030"), content)) == (6, 0, 0, 0)


def test_a_cut_end_is_noticed_where_files_used_to_end_well(account: Account) -> None:
    feed = make_feed("transactions")
    load(feed, rows("transactions", GOOD[0]))
    cut = rows("transactions", *GOOD, "t7,A1,2026-01-31,buy,10").removesuffix("0\n")
    run = load(feed, cut)
    assert run.state == "failed"
    assert "The last line (7) has no line end" in (run.error or "")
    assert len(transactions()) == 1
    assert load(make_feed("transactions"), cut).state == "done"  # nothing is known of its files yet


def test_a_missing_column_is_named(account: Account) -> None:
    run = load(make_feed("transactions"), "external_id,account,kind,amount\nt1,A1,buy,1\n")
    assert (run.state, run.error) == (
        "failed",
        "The file lacks what the feed reads: on_date. Its columns are: external_id, account, kind, amount.",
    )


def test_too_many_refused_rows_load_nothing_and_keep_the_reasons(account: Account) -> None:
    lines = [f"t{number},A{number % 2 + 1},2026-01-31,buy,1" for number in range(100)]
    feed = make_feed("transactions")
    run = load(feed, rows("transactions", *lines))
    assert (run.state, transactions(), len(reasons(run))) == ("failed", [], 50)
    assert "50 of 100 rows cannot be taken, more than the 20 % that the feed allows." in (run.error or "")
    with unit_of_work():
        service.define_feed(feed=feed, definition={"columns": TRANSACTIONS, "refused_limit": 60}, actor=None)
        job = service.try_again(run=run, actor=None)
    run_job(job.id)
    db.session.expire_all()
    assert (run.state, counts(run)) == ("done", (50, 0, 0, 50))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"%PDF-1.7 something", "PDF"),
        (b"PK\x03\x04 not really a workbook", "cannot be opened"),
        (b"external_id,account,on_date,kind,amount\n", "no rows"),
    ],
)
def test_what_is_no_table_is_refused(account: Account, content: bytes, words: str) -> None:
    run = load(make_feed("transactions"), content, name="x.xlsx")
    assert run.state == "failed"
    assert words in (run.error or "")


def test_a_worker_that_lost_the_job_writes_nothing(account: Account) -> None:
    feed = make_feed("transactions")
    with unit_of_work():
        run = service.receive_file(
            feed=feed, stream=io.BytesIO(rows("transactions", *GOOD).encode()), name="f", actor=None, in_worker=False
        )
    run_id, job_id = run.id, run.job_id
    assert job_id is not None
    claimed = claim(job_id)
    assert claimed is not None
    with unit_of_work() as session:
        session.execute(text("UPDATE job SET token = gen_random_uuid() WHERE id = :id"), {"id": job_id})
    with pytest.raises(LeaseLost):
        service.load(lease=Lease(job_id, claimed[0].token), run_id=run_id)
    assert transactions() == []
    with unit_of_work() as session:
        session.execute(text("UPDATE job SET state = 'due', lease_until = NULL WHERE id = :id"), {"id": job_id})
    run_job(job_id)
    db.session.expire_all()
    assert (db.session.get_one(FeedRun, run_id).state, len(transactions())) == ("done", 5)
    assert db.session.get_one(Job, job_id).state == "done"


def test_the_sentence_that_ends_a_run_hides_account_numbers(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MAX_REFUSALS", 2)
    number = "6222 0202 0011 2233 445 and far more than the sixty-four signs that a number has"
    rows = "".join(f"T{row},{number},2026-01-0{row},buy,1\n" for row in (1, 2, 3))
    run = load(make_feed("transactions"), f"{HEADS['transactions']}\n{rows}")
    assert (run.state, run.created) == ("failed", 0)
    assert run.error is not None
    assert run.error.startswith("Row 3: Account number: “****")
    assert "6222" not in run.error
