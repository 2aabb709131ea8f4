"""The administration of the firm's own fields."""

import pytest
from flask import Flask
from sqlalchemy import select

from app.audiences.service import archive_segment, create_segment
from app.clients import field_service as fields
from app.clients import tasks as tasks
from app.clients.models import Client, CustomField
from app.clients.queries import custom_fields, free_slots
from app.core.errors import Conflict
from app.core.extensions import db
from app.core.jobs import Job, run_job
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from tests.factories.clients import make_client, make_clients, make_custom_field
from tests.factories.users import make_user


def change(field: CustomField, choices: list[str]) -> None:
    actor = make_user()
    with unit_of_work():
        fields.edit_field(
            field=field, label="Likes", description="what", edited_by="managers", choices=choices, actor=actor
        )


def test_a_choice_in_use_does_not_vanish(app: Flask) -> None:
    field = make_custom_field("likes", type="multichoice", slot="list_01", choices=["Golf", "Art", "Tea"])
    make_client(list_01=["Art", "Golf"])
    with pytest.raises(fields.ChoiceInUse) as refusal:
        change(field, ["Golf", "Tea"])
    assert "1 clients have “Art”" in str(refusal.value)
    change(field, ["Art", "New", "Golf"])
    assert (field.choices, field.label, field.edited_by) == (["Art", "New", "Golf"], "Likes", "managers")


def test_a_field_that_a_segment_asks_about_stays(app: Flask) -> None:
    field, actor = make_custom_field("score", type="number", slot="number_01"), make_user()
    with unit_of_work():
        segment = create_segment(name="High", rule={"field": "custom.score", "op": "gte", "value": 1}, actor=actor)
    with pytest.raises(Conflict) as refusal, unit_of_work():
        fields.archive_field(field=field, actor=actor)
    assert "“High”" in str(refusal.value)
    with unit_of_work():
        archive_segment(segment=segment, actor=actor)
        fields.archive_field(field=field, actor=actor)
    assert custom_fields() == []
    with unit_of_work():
        fields.restore_field(field=field, actor=actor)
    assert custom_fields() == [field]


def test_a_freed_field_leaves_an_empty_column(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields, "FREED_AT_ONCE", 2)
    administrator = make_user(role=Role.ADMINISTRATOR)
    field = make_custom_field("score", type="number", slot="number_01")
    make_clients(5, number_01=lambda i: float(i))
    with pytest.raises(fields.NotArchived), unit_of_work():
        fields.order_freeing(field=field, actor=administrator)
    with unit_of_work():
        fields.archive_field(field=field, actor=administrator)
        fields.order_freeing(field=field, actor=administrator)
    assert free_slots()["number"] == 23
    run_job(db.session.scalars(select(Job.id)).one())
    db.session.expire_all()
    assert db.session.scalars(select(Client.number_01).distinct()).all() == [None]  # type: ignore[attr-defined]
    assert db.session.scalars(select(CustomField)).all() == []
    assert free_slots()["number"] == 24


def test_fields_stand_in_the_order_the_firm_chose(app: Flask) -> None:
    actor = make_user()
    for position, key in enumerate("abc", start=1):
        make_custom_field(key, type="text", slot=f"text_0{position}", position=position)
    last = custom_fields()[-1]
    with unit_of_work():
        fields.move_field(field=last, up=True, actor=actor)
        fields.move_field(field=custom_fields()[0], up=True, actor=actor)
    assert [field.key for field in custom_fields()] == ["a", "c", "b"]
