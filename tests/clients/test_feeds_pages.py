"""Feeds through the browser, the command line and their folder."""

import io
import json
import os
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from xlsxwriter import Workbook

from app.clients.feeds import schedule, service
from app.clients.feeds import tasks as tasks
from app.clients.feeds.models import Feed, FeedRun
from app.clients.holdings.models import Account, Transaction
from app.core.extensions import db
from app.core.jobs import Job, run_job
from app.core.permissions import Role
from app.core.queues import run_tick
from app.core.unit_of_work import unit_of_work
from tests.clients.test_feeds import BALANCES, HEADS, TRANSACTIONS, make_feed, rows, transactions
from tests.factories.clients import make_account, make_client
from tests.factories.users import make_branch, make_user, sign_in

GOOD = rows("transactions", "t1,A1,2026-01-31,buy,1")


@pytest.fixture
def account(app: Flask) -> Account:
    return make_account(make_client(number="C1"), number="A1")


@pytest.fixture
def head_office(app: Flask, browser_client: FlaskClient) -> FlaskClient:
    return sign_in(browser_client, make_user(role=Role.HEAD_OFFICE))


def upload(content: str | bytes, name: str = "file.csv") -> Any:
    return (io.BytesIO(content.encode() if isinstance(content, str) else content), name)


def run_waiting_jobs() -> None:
    for job_id in db.session.scalars(select(Job.id).where(Job.state == "due").order_by(Job.id)).all():
        run_job(job_id)
    db.session.expire_all()


# ---- Pages ----------------------------------------------------------------------------------------------------------


def test_a_feed_is_made_tried_and_loaded_in_the_browser(head_office: FlaskClient, account: Account) -> None:
    content = "id;Account No;Day;type;sum\nt1;A1;310126;IN;1,50\nt2;A9;310126;IN;2,50\nt3;A1;310126;??;1\n"
    page = head_office.post(
        "/client-feeds/new",
        data={"name": "daily-trades", "kind": "transactions", "source": "core", "file": upload(content)},
    )
    assert page.status_code == 302
    columns = page.location
    text = head_office.get(columns).get_data(as_text=True)
    assert "selected>id<" in text
    assert "selected>Account No<" in text

    form = {
        "column-external_id": "0", "column-account": "1", "column-on_date": "2", "format-on_date": "DDMMYY",
        "column-kind": "3", "map-kind": "IN = deposit\n", "column-amount": "4", "decimal_mark": ",",
    }  # fmt: skip
    text = head_office.post(columns, data=form | {"preview": "1"}).get_data(as_text=True)
    assert "There is no account with the number “****”." in text
    assert "“??” is not among the words that the feed knows." in text
    assert "2026-01-31" in text
    assert db.session.scalar(select(Feed.definition)) is None

    assert head_office.post(columns, data=form | {"save": "1"}).status_code == 302
    feed = db.session.scalars(select(Feed)).one()
    loaded = head_office.post(f"/client-feeds/{feed.id}/load", data={"file": upload(content, "trades.csv")})
    assert "Waiting for a worker." in head_office.get(loaded.location).get_data(as_text=True)
    assert "HX-Refresh" not in head_office.get(f"{loaded.location}/progress").headers
    run_waiting_jobs()
    assert head_office.get(f"{loaded.location}/progress").headers["HX-Refresh"] == "true"
    text = head_office.get(loaded.location).get_data(as_text=True)
    assert "There is no account with the number “****”." in text
    refused = head_office.get(f"{loaded.location}/refused.csv").get_data(as_text=True)
    assert refused.splitlines()[1] == '2,There is no account with the number “****”.,t2,****,310126,IN,"2,50"'
    assert [str(amount) for _id, _day, amount in transactions()] == ["1.50"]
    assert "trades.csv" in head_office.get(f"/client-feeds/{feed.id}").get_data(as_text=True)
    assert "daily-trades" in head_office.get("/client-feeds/").get_data(as_text=True)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"name": "../etc"}, "A name has up to 40 letters"),
        ({"name": "a\x00b"}, "A name has up to 40 letters"),
        ({"kind": "gold"}, "Not a valid choice"),
        ({"source": "x" * 41}, "Field cannot be longer than 40"),
        ({"file": upload(b"%PDF-1.4")}, "This is a PDF."),
        ({"file": upload(b"")}, "This file is empty."),
    ],
)
def test_a_bad_feed_is_refused_with_a_sentence(head_office: FlaskClient, data: dict[str, Any], sentence: str) -> None:
    good = {"name": "feed", "kind": "balances", "source": "core", "file": upload("a,b\n1,2\n")}
    page = head_office.post("/client-feeds/new", data=good | data)
    assert page.status_code == 422
    assert sentence in page.get_data(as_text=True)
    assert db.session.scalar(select(func.count(Feed.id))) == 0


def test_a_name_is_taken_once(head_office: FlaskClient) -> None:
    feed = make_feed("balances")
    data = {"name": feed.name, "kind": "balances", "source": "core", "file": upload("a,b\n1,2\n")}
    assert "There is a feed of this name already." in head_office.post("/client-feeds/new", data=data).get_data(
        as_text=True
    )


def test_incomplete_columns_are_refused_with_what_is_missing(head_office: FlaskClient) -> None:
    head_office.post(
        "/client-feeds/new",
        data={"name": "x", "kind": "balances", "source": "core", "file": upload("a,b\n1,2\n")},
    )
    feed = db.session.scalars(select(Feed)).one()
    page = head_office.post(f"/client-feeds/{feed.id}/columns", data={"save": "1", "column-amount": "1"})
    assert page.status_code == 422
    assert "Please say where “Date” comes from." in page.get_data(as_text=True)
    page = head_office.post(
        f"/client-feeds/{feed.id}/columns",
        data={"save": "1", "column-amount": "1", "column-on_date": "0", "text-account": "{nowhere}"},
    )
    assert "The sample has no column “nowhere”." in page.get_data(as_text=True)
    page = head_office.post(f"/client-feeds/{feed.id}/load", data={"file": upload("a,b\n1,2\n")}, follow_redirects=True)
    assert "Please choose the columns of this feed first." in page.get_data(as_text=True)


def test_only_the_head_office_touches_feeds(browser_client: FlaskClient, account: Account) -> None:
    feed = make_feed("balances")
    manager = make_user(role=Role.HEAD_OFFICE, branch=make_branch())
    sign_in(browser_client, manager)
    assert browser_client.get("/client-feeds/").status_code == 403
    assert browser_client.get(f"/client-feeds/{feed.id}").status_code == 403
    assert browser_client.post(f"/client-feeds/{feed.id}/load", data={"file": upload(GOOD)}).status_code == 403
    sign_in(browser_client, make_user(role=Role.MARKETING))
    assert browser_client.get("/client-feeds/").status_code == 403


def test_a_feed_that_is_switched_off_loads_nothing(head_office: FlaskClient, account: Account) -> None:
    feed = make_feed("transactions")
    head_office.post(f"/client-feeds/{feed.id}/schedule", data={"schedule": "daily", "daily_at": "06:30"})
    db.session.expire_all()
    assert (feed.enabled, feed.schedule, feed.daily_at, feed.next_at) == (False, "daily", time(6, 30), None)
    page = head_office.post(f"/client-feeds/{feed.id}/load", data={"file": upload(GOOD)}, follow_redirects=True)
    assert "This feed is switched off." in page.get_data(as_text=True)
    assert transactions() == []


def test_a_workbook_is_a_feed_file_too(head_office: FlaskClient, account: Account) -> None:
    out = io.BytesIO()
    with Workbook(out, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, HEADS["transactions"].split(","))
        sheet.write_row(1, 0, ["t1", "A1"])
        sheet.write_datetime(1, 2, datetime(2026, 1, 31), book.add_format({"num_format": "yyyy-mm-dd"}))  # noqa: DTZ001
        sheet.write_row(1, 3, ["buy", 12.5])
    feed = make_feed("transactions")
    head_office.post(f"/client-feeds/{feed.id}/load", data={"file": upload(out.getvalue(), "trades.xlsx")})
    run_waiting_jobs()
    assert [(number, str(amount)) for number, _day, amount in transactions()] == [("t1", "12.50")]


@pytest.mark.parametrize(
    "definition",
    [
        [],
        {"columns": []},
        {"columns": {"account": {"column": "a"}}},
        {"columns": BALANCES | {"gold": {"column": "a"}}},
        {"columns": BALANCES | {"amount": {"column": "a", "constant": "b"}}},
        {"columns": BALANCES | {"amount": {"column": ["a"]}}},
        {"columns": BALANCES | {"on_date": {"column": "a", "format": "YYYY"}}},
        {"columns": BALANCES | {"on_date": {"column": "a", "from_year": True}}},
        {"columns": BALANCES, "encoding": "base64"},
        {"columns": BALANCES, "encoding": 7},
        {"columns": BALANCES, "refused_limit": 101},
        {"columns": BALANCES, "decimal_mark": {}},
        {"columns": BALANCES, "only": {"a": "b"}},
        {"columns": BALANCES, "missing": ["a\x00"]},
        {"columns": BALANCES, "surprise": 1},
    ],
)
def test_a_bad_definition_is_refused(app: Flask, definition: Any) -> None:
    feed = make_feed("balances")
    with pytest.raises(service.BadDefinition), unit_of_work():
        service.define_feed(feed=feed, definition=definition, actor=None)


# ---- Folder ---------------------------------------------------------------------------------------------------------


def put(feed: Feed, name: str, content: str) -> Path:
    path = schedule.prepare_folder(feed) / name
    path.write_text(content)
    os.utime(path, (0, 0))
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


@pytest.fixture
def collected(account: Account) -> Feed:
    feed = make_feed("transactions")
    with unit_of_work():
        feed.name = f"folder-{uuid4().hex}"  # of its own: folders stay when the tables are emptied
        service.schedule_feed(feed=feed, schedule="hourly", daily_at=None, enabled=True, actor=None)
    return feed


def test_files_of_the_folder_are_loaded_in_order_and_put_away(collected: Feed) -> None:
    folder = put(collected, "1.csv", GOOD).parent
    put(collected, "2.csv", rows("transactions", "t1,A1,2026-02-01,buy,2"))
    put(collected, "3.csv", rows("transactions", "t2,A1,2026-02-01,buy,2", "t3,A1"))
    put(collected, ".hidden", "x")
    put(collected, "4.csv.part", "x")
    (folder / "link.csv").symlink_to(folder / "1.csv")
    (folder / "new.csv").write_text(GOOD)  # still being written, perhaps
    with unit_of_work():
        collected.next_at = datetime(2020, 1, 1, tzinfo=UTC)
    run_tick("clients.collect_feeds", tasks.collect_due_feeds)
    run_waiting_jobs()
    states = [(run.file_name, run.state) for run in db.session.scalars(select(FeedRun).order_by(FeedRun.id))]
    assert states == [("1.csv", "done"), ("2.csv", "done"), ("3.csv", "failed")]
    assert names(folder / "done") == ["1-1.csv", "2-2.csv"]
    assert names(folder / "failed") == ["3-3.csv"]
    assert names(folder / "running") == []
    assert names(folder) == [".hidden", "4.csv.part", "new.csv"]
    assert [amount for _id, _day, amount in transactions()] == [2]
    assert collected.next_at is not None
    assert collected.next_at > datetime.now(UTC)


def test_a_file_left_on_its_way_is_taken_up_again(collected: Feed) -> None:
    folder = put(collected, "1.csv", GOOD).parent
    (folder / "1.csv").rename(folder / "running" / "1.csv")
    with unit_of_work():
        job = service.collect_now(feed=collected, actor=None)
        assert service.collect_now(feed=collected, actor=None) is None
    assert job is not None
    run_job(job.id)
    assert names(folder / "done") == ["1-1.csv"]
    assert len(transactions()) == 1


def test_the_next_look_is_at_the_time_of_day_of_the_firm(app: Flask) -> None:
    morning = datetime(2026, 1, 31, 5, 0, tzinfo=UTC)
    assert schedule.next_time("daily", time(6, 30), after=morning) == datetime(2026, 1, 31, 6, 30, tzinfo=UTC)
    assert schedule.next_time("daily", time(4, 30), after=morning) == datetime(2026, 2, 1, 4, 30, tzinfo=UTC)
    assert schedule.next_time("hourly", None, after=morning) == datetime(2026, 1, 31, 6, tzinfo=UTC)
    assert schedule.next_time(None, None, after=morning) is None


# ---- Command line ---------------------------------------------------------------------------------------------------


def test_a_feed_is_defined_listed_and_run_from_the_command_line(app: Flask, account: Account, tmp_path: Path) -> None:
    definition, file, refused = tmp_path / "definition.json", tmp_path / "trades.csv", tmp_path / "refused.csv"
    definition.write_text(json.dumps({"columns": TRANSACTIONS}))
    file.write_text(GOOD + "t2,A2,2026-01-31,buy,1\n")
    shell = app.test_cli_runner()
    made = shell.invoke(args=[
        "feeds", "define", "trades", "--kind", "transactions", "--source", "core", "--definition", str(definition),
        "--schedule", "daily", "--at", "06:30",
    ])  # fmt: skip
    assert (made.exit_code, made.output) == (0, "trades: version 1\n")
    listed = shell.invoke(args=["feeds", "list"])
    assert listed.output == "trades\ttransactions\tcore\tdaily at 06:30\tnever run\n"
    run = shell.invoke(args=["feeds", "run", "trades", str(file), "--refused", str(refused)])
    assert run.exit_code == 0, run.output
    assert "rows read 2\ncreated 1\nchanged 0\nunchanged 0\nrefused 1\n" in run.output
    assert "There is no account with the number “****”." in refused.read_text("utf-8-sig")
    again = shell.invoke(args=["feeds", "run", "trades", str(file)])
    assert "The same file was loaded before" in again.output
    file.write_text("nonsense")
    broken = shell.invoke(args=["feeds", "run", "trades", str(file)])
    assert broken.exit_code == 1
    assert shell.invoke(args=["feeds", "run", "nobody", str(file)]).exit_code == 1
    definition.write_text("{")
    assert shell.invoke(args=["feeds", "define", "trades", "--definition", str(definition)]).exit_code == 1
    assert db.session.scalar(select(func.count()).select_from(Transaction)) == 1
