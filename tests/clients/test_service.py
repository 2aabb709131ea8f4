"""Consent, suppression, fields and the uncovering of contact data."""

from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy import func, select

from app.audit.models import AuditEntry
from app.clients import service
from app.clients.models import Client, Consent, CustomField, Suppression
from app.core.errors import Forbidden
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from tests.factories.clients import make_account, make_client, make_clients
from tests.factories.users import make_user

EARLIER = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 2, 1, tzinfo=UTC)


def withdraw(ids: list[int], at: datetime) -> int:
    with unit_of_work():
        return service.withdraw_consent(client_ids=ids, channel="email", source="unsubscribe", at=at)


def grant(ids: list[int], at: datetime) -> int:
    with unit_of_work():
        return service.grant_consent(client_ids=ids, channel="email", source="preference page", at=at)


def test_an_opt_out_told_twice_is_kept_once(app: Flask) -> None:
    ids = make_clients(3)
    assert withdraw(ids[:2], LATER) == 2
    assert withdraw(ids[:2], LATER) == 0
    assert db.session.scalars(select(Client.email_consent).order_by(Client.id)).all() == [False, False, True]
    assert db.session.scalar(select(func.count(Consent.id))) == 2


def test_the_later_statement_wins_whatever_the_order_of_arrival(app: Flask) -> None:
    client = make_client(email_consent=None)
    assert grant([client.id], LATER) == 1
    assert withdraw([client.id], EARLIER) == 0
    assert client.email_consent is True
    assert withdraw([client.id], datetime(2026, 3, 1, tzinfo=UTC)) == 1
    assert grant([client.id], LATER) == 0
    assert client.email_consent is False


def test_staff_note_a_clients_will_with_its_wording(app: Flask) -> None:
    client, user = make_client(sms_consent=None), make_user()
    with pytest.raises(service.ReasonMissing), unit_of_work():
        service.record_will(client=client, matter="sms", granted=True, source="branch", wording=" ", actor=user)
    with unit_of_work():
        service.record_will(client=client, matter="sms", granted=True, source="branch", wording="form 7", actor=user)
    assert client.sms_consent is True
    entry = db.session.scalars(select(AuditEntry)).one()
    assert (entry.actor_id, entry.changes, entry.reason) == (user.id, {"sms_consent": [None, True]}, "form 7")


def test_an_address_is_listed_once_in_lower_case(app: Flask) -> None:
    with unit_of_work():
        added = service.suppress(
            channel="email", addresses=["A@x.com", "a@X.com ", "b@x.com", " "], reason="bounced", source="delivery"
        )
        again = service.suppress(channel="email", addresses=["a@x.com"], reason="complaint", source="delivery")
    assert (added, again) == (2, 0)
    assert set(db.session.scalars(select(Suppression.address))) == {"a@x.com", "b@x.com"}


def test_taking_an_address_off_the_list_needs_a_reason_and_is_audited(app: Flask) -> None:
    user = make_user(role=Role.ADMINISTRATOR)
    with unit_of_work():
        service.suppress(channel="email", addresses=["a@x.com"], reason="bounced", source="delivery")
    listed = db.session.scalars(select(Suppression)).one()
    with pytest.raises(service.ReasonMissing), unit_of_work():
        service.unsuppress(suppression=listed, reason="", actor=user)
    with unit_of_work():
        service.unsuppress(suppression=listed, reason="mailbox repaired", actor=user)
    assert db.session.scalars(select(Suppression)).first() is None
    assert db.session.scalars(select(AuditEntry.reason)).all() == ["mailbox repaired"]


def test_fields_take_free_slots_of_their_type(app: Flask) -> None:
    with unit_of_work():
        slots = [
            service.define_field(key=f"f{i}", label="", type=kind).slot
            for i, kind in enumerate(["text", "choice", "money", "number", "yesno", "date"])
        ]
    assert slots == ["text_01", "text_02", "number_01", "number_02", "yesno_01", "date_01"]


@pytest.mark.parametrize("key", ["", "Age", "1age", "a-b", "x" * 41, "email", "text_01", "职业"])
def test_a_key_that_cannot_be_one_is_refused(app: Flask, key: str) -> None:
    with pytest.raises(service.BadKey), unit_of_work():
        service.define_field(key=key, label="", type="text")


def test_a_type_runs_out_of_slots_with_a_sentence(app: Flask) -> None:
    with unit_of_work():
        for i in range(12):
            service.define_field(key=f"f{i}", label="", type="yesno")
    with pytest.raises(service.NoSlotLeft), unit_of_work():
        service.define_field(key="one_more", label="", type="yesno")


def test_new_choices_join_the_list(app: Flask) -> None:
    with unit_of_work():
        field = service.define_field(key="job", label="Job", type="choice", choices=["b", "a"])
        service.add_choices(field_id=field.id, values={"c", "a"})
    assert db.session.scalars(select(CustomField.choices)).one() == ["b", "a", "c"]


def test_contact_data_is_shown_to_some_and_for_a_reason_only(app: Flask) -> None:
    client = make_client(mobile="+8613812345678", identity_number="110101199003070000")
    account = make_account(client, number="6222000011112222")
    adviser, checker = make_user(role=Role.ADVISER), make_user(role=Role.COMPLIANCE)
    with pytest.raises(Forbidden), unit_of_work():
        service.reveal_contact(client=client, reason="call back", actor=adviser)
    with pytest.raises(service.ReasonMissing), unit_of_work():
        service.reveal_contact(client=client, reason=" ", actor=checker)
    with unit_of_work():
        shown = service.reveal_contact(client=client, reason="complaint 17", actor=checker)
    assert (shown.email, shown.mobile, shown.identity_number, shown.accounts) == (
        "c1@example.com", "+8613812345678", "110101199003070000", {account.id: "6222000011112222"}
    )  # fmt: skip
    entry = db.session.scalars(select(AuditEntry)).one()
    assert (entry.action, entry.reason, entry.changes) == ("client.reveal_contact", "complaint 17", {})
