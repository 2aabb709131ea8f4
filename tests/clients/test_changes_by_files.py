"""Facts changed by files, on the time line of the client."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_babel import force_locale
from sqlalchemy import func, literal, select

from app.clients.duplicates.service import merge_clients
from app.clients.editing.models import ClientArrival, ClientChange
from app.clients.editing.recording import LONGEST, masked_account, masked_email, masked_mobile
from app.clients.editing.service import version_of
from app.clients.masking import mask_account, mask_email, mask_mobile
from app.clients.models import Client
from app.clients.queries import record_ids
from app.clients.timeline import timeline
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from tests.clients.test_feeds import load, make_feed
from tests.clients.test_importing import run
from tests.factories.clients import make_client, make_custom_field
from tests.factories.users import make_branch, make_user, sign_in


def mapped(*names: str) -> dict[str, Any]:
    return {"columns": {name: {"column": name} for name in ("number", *names)}}


def words(number: str = "1", *, language: str = "en") -> list[str]:
    client_id = db.session.scalars(select(Client.id).where(Client.number == number)).one()
    with force_locale(language):
        return [entry.text for entry in timeline(record_ids(client_id)).entries]


def recorded() -> list[dict[str, list[str | None]]]:
    return list(db.session.scalars(select(ClientChange.changes).order_by(ClientChange.id)))


def test_what_an_import_changes_is_told_with_the_name_of_its_file(app: Flask) -> None:
    make_client(number="1", name="Wang", city="Paris")
    make_client(number="2", name="Li", city="Oslo")
    text = "number,name,city\n1,王芳,Rome\n2,Li,Oslo\n"
    assert run(text, mapped("name", "city")).updated == 1
    assert words("1") == ["Name: Wang → 王芳; City: Paris → Rome, from the file clients.csv"]
    assert words("1", language="zh_CN") == ["名称：Wang → 王芳；城市：Paris → Rome，来自文件 clients.csv"]
    assert words("2") == []
    assert run(text, mapped("name", "city")).unchanged == 2
    assert len(recorded()) == 1, "the same file again adds nothing"


def test_contact_data_and_numbers_are_kept_masked(app: Flask) -> None:
    make_client(number="1", email="wang@example.com", mobile="+8613812345678", identity_number="110101199001011234")
    text = "number,email,mobile,identity_number\n1,wei@example.com,,110101199001015678\n"
    run(text, mapped("email", "mobile", "identity_number"))
    assert recorded() == [
        {
            "email": ["w•••@example.com", "w•••@example.com"],
            "mobile": ["+86 138****5678", None],
            "identity_number": ["****1234", "****5678"],
        }
    ]


ADDRESSES = [
    None, "", "a", "@", "a@b", "@b.c", "a@b@c.d", "王@例子.cn", "nothing", "+8613812345678", "+861381234567",
    "+4912345678901", "123456", "1234567", "12345678", "123456789", "11010119900101123X", "two\nlines@x",
]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_value_is_masked_alike_by_files_and_by_people(app: Flask, address: str | None) -> None:
    column = literal(address, Client.email.type)
    masks = (masked_email(column), masked_mobile(column), masked_account(column))
    assert tuple(db.session.execute(select(*masks)).one()) == (
        mask_email(address),
        mask_mobile(address),
        mask_account(address),
    )


def test_every_kind_of_value_has_its_words(app: Flask) -> None:
    make_custom_field("score", type="number", slot="number_01")
    make_custom_field("likes", type="multichoice", slot="list_01")
    make_custom_field("note", type="text", slot="text_01")
    sh, bj = make_branch(code="SH", name="Shanghai"), make_branch(code="BJ", name="Beijing")
    make_client(number="1", branch=sh, number_01=0.5, list_01=["Golf"], flags=["minor", "frozen"], tags=["vip"])
    names = ("branch", "risk_level", "qualified_investor", "birth_date", "flags", "tags", "personalisation_refused")
    own = ("custom.score", "custom.likes", "custom.note")
    mapping = {"columns": {name: {"column": name} for name in ("number", *names, *own)}}
    run(
        f"number,{','.join((*names, *own))}\n"
        f'1,BJ,C3,yes,1990-05-17,"frozen,deceased",,yes,250000,Art;Tea,{"long " * 60}\n',
        mapping,
    )
    (changes,) = recorded()
    note = changes.pop("custom.note")
    assert note[1] is not None
    assert (len(note[1]), note[1][-1]) == (LONGEST, "…")
    assert changes == {
        "branch_id": [str(sh.id), str(bj.id)],
        "risk_level": [None, "3"],
        "qualified_investor": ["no", "yes"],
        "birth_date": [None, "1990-05-17"],
        "flags": [None, "deceased"],
        "tags": ["vip", None],
        "personalisation_refused": ["no", "yes"],
        "custom.score": ["0.5", "250000"],
        "custom.likes": ["Golf", "Art; Tea"],
    }
    (told,) = words()
    for part in ("Branch: Shanghai → Beijing", "Risk level: – → C3", "Qualified investor: No → Yes",
                 "flagged as “Deceased”", "Tags: vip → –", "Score: 0.5 → 250000",
                 "Likes: Golf → Art, Tea"):  # fmt: skip
        assert part in told


def test_a_figure_of_the_day_consent_and_the_adviser_are_told_elsewhere(app: Flask) -> None:
    adviser = make_user(role=Role.ADVISER, email="a@firm.example")
    make_client(number="1", total_assets=5, email_consent=None)
    text = "number,total_assets,email_consent,adviser\n1,7,yes,a@firm.example\n"
    assert run(text, mapped("total_assets", "email_consent", "adviser")).updated == 1
    assert recorded() == []
    assert words() == ["Agreed to marketing by e-mail"]
    assert db.session.scalars(select(Client.adviser_id)).one() == adviser.id


def test_a_hundred_fields_changed_at_once_are_kept(app: Flask) -> None:
    slots = [*(f"text_{n:02}" for n in range(1, 25)), *(f"number_{n:02}" for n in range(1, 25))]
    for slot in slots:
        make_custom_field(f"my_{slot}", type=slot.split("_")[0], slot=slot)
    make_client(number="1")
    keys = [f"custom.my_{slot}" for slot in slots]
    names = ("name", "city", "source", "birth_date")
    text = f"number,{','.join((*names, *keys))}\n1,A,B,C,1990-01-01,{','.join('7' for _key in keys)}\n"
    run(text, mapped(*names, *keys))
    assert set(recorded()[0]) == {*names, *keys}


def test_what_a_feed_changes_and_brings_is_told_with_feed_and_file(app: Flask) -> None:
    make_client(number="1", name="Wang", city="Paris")
    make_client(number="2", city="Oslo")
    columns = {name: {"column": name} for name in ("number", "city", "risk_level")}
    feed = make_feed("clients", columns, create_clients=True)
    outcome = load(feed, "number,city,risk_level\n1,Rome,C4\n2,Oslo,\n3,Bern,\n", name="monday.csv")
    assert (outcome.created, outcome.changed, outcome.unchanged) == (1, 1, 1)
    assert words("1") == ["City: Paris → Rome; Risk level: – → C4, from the file monday.csv of the feed feed-1"]
    assert words("1", language="zh_CN")[0].endswith("，来自数据接口 feed-1 的文件 monday.csv")
    assert words("2") == []
    assert words("3") == ["Came into the book from the file monday.csv of the feed feed-1"]
    load(feed, "number,city,risk_level\n1,Rome,C4\n2,Oslo,\n3,Bern,\n", name="again.csv", again=True)
    assert len(recorded()) == 1


def test_new_clients_know_their_file_without_a_row_each(app: Flask) -> None:
    make_client(number="0")
    run("number,name\n1,A\n2,B\n3,C\n", mapped("name"))
    assert words("2") == ["Came into the book from the file clients.csv"]
    assert words("2", language="zh_CN") == ["由文件 clients.csv 导入客户库"]
    assert words("0") == []
    assert db.session.scalar(select(func.count()).select_from(ClientArrival)) == 1
    assert recorded() == []


def test_clients_met_in_accounts_know_their_file_too(app: Flask) -> None:
    feed = make_feed("accounts", create_clients=True)
    load(feed, "number,client,kind,opened_on,closed_on\nA1,77,cash,2024-01-02,\n", name="accounts.csv")
    assert words("77") == ["Came into the book from the file accounts.csv of the feed feed-1"]


def test_after_a_merge_the_history_of_both_records_is_told(app: Flask) -> None:
    survivor, loser = make_client(number="1", city="Paris"), make_client(number="2", city="Oslo")
    run("number,city\n1,Rome\n2,Bern\n", mapped("city"))
    actor = make_user()
    with unit_of_work():
        seen = (version_of(survivor), version_of(loser))
        merge_clients(survivor=survivor, loser=loser, take={}, seen=seen, actor=actor)
    told = " ".join(words("1"))
    assert "Paris → Rome" in told
    assert "Oslo → Bern" in told


def test_the_page_shows_it_to_whom_the_client_is_visible(browser_client: FlaskClient) -> None:
    mine, other = make_branch(code="M"), make_branch(code="O")
    make_client(number="1", city="Paris", branch=mine)
    run("number,city\n1,Rome\n", mapped("city"))
    manager = make_user(role=Role.BRANCH_MANAGER, branch=mine)
    stranger = make_user(role=Role.BRANCH_MANAGER, branch=other)
    assert "City: Paris → Rome, from the file clients.csv" in sign_in(browser_client, manager).get("/clients/1").text
    assert sign_in(browser_client, stranger).get("/clients/1").status_code == 404
