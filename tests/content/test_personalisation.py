"""What a message may say about its reader."""

from datetime import date
from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy import event, select

from app.clients.models import Client
from app.content.personalisation import client_values, columns_for, example_values, merge_fields, nest
from app.core.extensions import db
from tests.factories.clients import make_client, make_custom_field
from tests.factories.users import make_branch, make_user


def test_the_firms_own_fields_are_merge_fields(app: Flask) -> None:
    make_custom_field("plan", type="choice", slot="text_01", choices=["gold", "silver"])
    make_custom_field("limit", type="money", slot="number_01")
    fields = {field.key: field for field in merge_fields()}
    assert fields["custom.plan"].example == "gold"
    assert fields["custom.limit"].example == 1250.5
    assert len(fields) == len(merge_fields())


def test_columns_are_named_by_key_and_unknown_ones_left_out(app: Flask) -> None:
    assert [column.name for column in columns_for(["client.city", "custom.gone", "client.name"])] == [
        "client.name",
        "client.city",
    ]


def test_the_values_of_a_client_come_in_one_statement(app: Flask) -> None:
    make_custom_field("plan", type="text", slot="text_01")
    adviser = make_user(name="Chen Wei")
    client = make_client(
        first_name="Maria",
        city="",
        birth_date=date(1984, 5, 17),
        branch=make_branch(name="Harbour branch"),
        adviser_id=adviser.id,
        text_01="gold",
    )
    keys = ["client.first_name", "client.city", "client.birth_date", "adviser.name", "branch.name", "custom.plan"]
    columns, client_id = columns_for(keys), client.id
    statements: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        statements.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    row = db.session.execute(select(*columns).where(Client.id == client_id)).one()
    event.remove(db.engine, "before_cursor_execute", note)
    assert len(statements) == 1
    expected = {
        "client": {"first_name": "Maria", "birth_date": "1984-05-17"},
        "adviser": {"name": "Chen Wei"},
        "branch": {"name": "Harbour branch"},
        "custom": {"plan": "gold"},
    }
    assert nest([column.name for column in columns], row) == expected
    values = client_values(client)
    assert {group: {name: values[group][name] for name in names} for group, names in expected.items()} == expected


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Decimal("1250.00"), 1250),
        (Decimal("1250.50"), 1250.5),
        (3.0, 3),
        (0, 0),
        (float("inf"), float("inf")),
        (Decimal("Infinity"), float("inf")),
        (True, True),
        (False, False),
        (date(2026, 1, 31), "2026-01-31"),
        ("客户", "客户"),
    ],
)
def test_values_are_presentable(value: object, shown: object) -> None:
    assert nest(["custom.x"], [value])["custom"] == {"x": shown}
    assert type(nest(["custom.x"], [value])["custom"]["x"]) is type(shown)


@pytest.mark.parametrize("missing", [None, ""])
def test_missing_values_stay_missing(missing: object) -> None:
    assert nest(["custom.x"], [missing])["custom"] == {}


def test_not_a_number_does_not_stop_a_message() -> None:
    assert str(nest(["custom.x"], [float("nan")])["custom"]["x"]) == "nan"


def test_the_examples_fill_every_field(app: Flask) -> None:
    make_custom_field("plan", type="yesno", slot="yesno_01")
    values = example_values()
    assert {f"{group}.{name}" for group, names in values.items() for name in names} == {
        field.key for field in merge_fields()
    }
