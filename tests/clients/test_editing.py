"""Facts changed by people: who may change what, what waits, what is kept."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.audit.models import AuditEntry
from app.clients.editing import service
from app.clients.editing.models import ClientChange, ClientCorrection
from app.clients.editing.queries import waiting_corrections
from app.clients.models import Client
from app.clients.queries import record_ids
from app.clients.timeline import timeline
from app.core.errors import Forbidden
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.users.models import User
from tests.factories.clients import make_client, make_custom_field
from tests.factories.users import make_branch, make_user, sign_in


def edit(client: Client, actor: User, **values: object) -> service.Edited:
    with unit_of_work():
        return service.edit_client(client=client, values=values, seen=service.version_of(client), actor=actor)


def test_each_changed_field_is_kept_masked_and_told(app: Flask) -> None:
    client, officer = make_client(city="Paris"), make_user(name="Lin Hua")
    done = edit(client, officer, city="Rome", email="new@example.org", name=client.name)
    assert sorted(done.changed) == ["city", "email"]
    change = db.session.scalars(select(ClientChange)).one()
    assert change.changes == {"city": ["Paris", "Rome"], "email": ["c•••@example.com", "n•••@example.org"]}
    entry = db.session.scalars(select(AuditEntry)).one()
    assert entry.changes == {"city": ["Paris", "Rome"], "email": "changed"}
    words = [entry.text for entry in timeline(record_ids(client.id)).entries]
    assert words == ["E-mail: c•••@example.com → n•••@example.org; City: Paris → Rome, changed by Lin Hua"]


def test_an_edit_of_what_somebody_else_changed_is_refused(app: Flask) -> None:
    client, officer = make_client(), make_user()
    seen = service.version_of(client)
    edit(client, officer, city="Rome")
    with pytest.raises(service.ChangedMeanwhile), unit_of_work():
        service.edit_client(client=client, values={"city": "Oslo"}, seen=seen, actor=officer)


def test_an_adviser_changes_facts_but_their_contact_data_waits(app: Flask) -> None:
    adviser, officer = make_user(role=Role.ADVISER), make_user()
    client = make_client(adviser_id=adviser.id, email_problem="bounced")
    done = edit(client, adviser, city="Rome", email="new@example.org")
    assert (done.changed, done.waiting) == (["city"], ["email"])
    assert client.email == "c1@example.com"
    edit(client, adviser, email="newer@example.org")
    assert waiting_corrections(user=officer) == 1
    correction = db.session.scalars(select(ClientCorrection).where(ClientCorrection.state == "open")).one()
    with unit_of_work():
        service.confirm_correction(correction=correction, actor=officer)
    assert (client.email, client.email_problem) == ("newer@example.org", None)
    with pytest.raises(service.DecidedAlready), unit_of_work():
        service.confirm_correction(correction=correction, actor=officer)
    with pytest.raises(Forbidden):
        edit(client, adviser, risk_level=5)


def test_a_correction_is_confirmed_by_somebody_else_while_it_is_still_right(app: Flask) -> None:
    both, officer = make_user(roles=[Role.ADVISER]), make_user()
    client = make_client(adviser_id=both.id)
    edit(client, both, mobile="+8613812345678")
    correction = db.session.scalars(select(ClientCorrection)).one()
    edit(client, officer, mobile="+8613911112222")
    with pytest.raises(service.OutOfDate), unit_of_work():
        service.confirm_correction(correction=correction, actor=officer)
    with pytest.raises(service.ReasonMissing), unit_of_work():
        service.refuse_correction(correction=correction, reason=" ", actor=officer)
    with unit_of_work():
        service.refuse_correction(correction=correction, reason="asked the client", actor=officer)
    assert (correction.state, client.mobile) == ("refused", "+8613911112222")


def test_flags_are_set_and_cleared_with_a_reason(app: Flask) -> None:
    adviser, officer, client = make_user(role=Role.ADVISER), make_user(), make_client()
    with unit_of_work():
        service.set_flag(client=client, flag="vulnerable", on=True, reason="in hospital", actor=adviser)
    assert client.flags == ["vulnerable"]
    with pytest.raises(Forbidden), unit_of_work():
        service.set_flag(client=client, flag="vulnerable", on=False, reason="well again", actor=adviser)
    with unit_of_work():
        service.set_flag(client=client, flag="vulnerable", on=False, reason="well again", actor=officer)
    assert client.flags == []
    assert len(timeline([client.id]).entries) == 2


def test_an_adviser_adds_a_lead_of_their_own(app: Flask) -> None:
    adviser = make_user(role=Role.ADVISER, branch=make_branch())
    with unit_of_work():
        lead = service.create_client(number=None, values={"last_name": "王", "first_name": "芳"}, actor=adviser)
    assert (lead.name, lead.status, lead.adviser_id, lead.branch_id) == ("王芳", "lead", adviser.id, adviser.branch_id)
    assert lead.number.startswith("L0")
    with pytest.raises(service.LeadsOnly), unit_of_work():
        service.create_client(number=None, values={"name": "x", "status": "client"}, actor=adviser)
    with pytest.raises(service.NothingKnown), unit_of_work():
        service.create_client(number=None, values={"city": "Rome"}, actor=adviser)
    with pytest.raises(service.NumberTaken), unit_of_work():
        service.create_client(number=lead.number, values={"name": "x"}, actor=adviser)


def test_a_client_is_edited_in_the_browser(browser_client: FlaskClient) -> None:
    make_custom_field("likes", type="multichoice", slot="list_01", choices=["Golf", "Art"])
    make_custom_field("fed", type="number", slot="number_01", edited_by="feeds")
    client = make_client(number="1", mobile="+8613812345678")
    officer = sign_in(browser_client, make_user())
    page = officer.get("/clients/1/edit").text
    assert "13812345678" not in page
    assert "+86 138****5678" in page
    assert 'name="custom-fed"' not in page
    form: dict[str, object] = {
        "seen": service.version_of(client), "kind": "person", "status": "client", "branch_id": str(client.branch_id),
            "qualified_investor": "no", "professional_investor": "no", "name": "Wang Fang", "locale": "", "gender": "",
            "risk_level": ""}  # fmt: skip
    wrong = officer.post("/clients/1/edit", data=form | {"email": "nobody", "birth_date": "2999-01-01", "mobile": "12"})
    assert wrong.status_code == 422
    assert "“nobody” is not a complete e-mail address" in wrong.text
    assert "lies in the future" in wrong.text
    answer = officer.post("/clients/1/edit", data=form | {"custom-likes": ["Art"], "birth_date": "1984-05-17"})
    assert answer.status_code == 302, answer.text
    db.session.expire_all()
    assert (client.name, client.mobile) == ("Wang Fang", "+8613812345678")
    assert client.list_01 == ["Art"]  # type: ignore[attr-defined]
    stale = officer.post("/clients/1/edit", data=form)
    assert stale.status_code == 409


def test_a_look_alike_is_shown_before_a_client_is_added(browser_client: FlaskClient) -> None:
    make_client(number="1", email="w@example.com")
    adviser, officer = make_user(role=Role.ADVISER), make_user()
    form = {"kind": "person", "status": "lead", "name": "Wang", "email": "W@example.com", "locale": "", "gender": ""}
    assert sign_in(browser_client, adviser).post("/clients/new", data=form).status_code == 302, "not theirs to see"
    form |= {"branch_id": str(officer.branch_id), "risk_level": "", "qualified_investor": "no",
             "professional_investor": "no"}  # fmt: skip
    page = sign_in(browser_client, officer).post("/clients/new", data=form)
    assert page.status_code == 422
    assert "somebody the book knows already" in page.text
    assert browser_client.post("/clients/new", data=form | {"anyway": "y"}).status_code == 302
    assert browser_client.post("/clients/new", data=form | {"anyway": "y", "number": "a/b"}).status_code == 422


def test_corrections_are_decided_on_their_page(browser_client: FlaskClient) -> None:
    adviser = make_user(role=Role.ADVISER)
    client = make_client(number="1", adviser_id=adviser.id)
    edit(client, adviser, email="new@example.org")
    correction = db.session.scalars(select(ClientCorrection)).one()
    assert sign_in(browser_client, adviser).get("/client-corrections/").status_code == 403
    elsewhere = sign_in(browser_client, make_user(role=Role.BRANCH_MANAGER, branch=make_branch()))
    assert elsewhere.post(f"/client-corrections/{correction.id}/confirm").status_code == 404
    officer = sign_in(browser_client, make_user())
    page = officer.get("/client-corrections/").text
    assert "n•••@example.org" in page
    assert "new@example.org" not in page
    assert "waits for confirmation" in officer.get("/clients/1").text
    assert officer.post(f"/client-corrections/{correction.id}/confirm").status_code == 302
    db.session.expire_all()
    assert client.email == "new@example.org"
    assert "Nothing waits here" in officer.get("/client-corrections/").text


def test_who_decides_a_correction_sees_both_values_for_a_reason(browser_client: FlaskClient) -> None:
    north = make_branch()
    adviser = make_user(role=Role.ADVISER, branch=north)
    client = make_client(number="1", email="old@example.org", adviser_id=adviser.id, branch=north)
    edit(client, adviser, email="new@example.org")
    correction = db.session.scalars(select(ClientCorrection)).one()
    address = f"/client-corrections/{correction.id}/reveal"
    looks = select(AuditEntry).where(AuditEntry.action == "client.reveal_contact")

    manager = make_user(role=Role.BRANCH_MANAGER, branch=north)
    decider = sign_in(browser_client, manager)
    assert "Show in full" in decider.get("/client-corrections/").text
    refused = decider.post(address, data={"reason": " \x00"})
    assert (refused.status_code, "new@example.org" in refused.text) == (422, False)
    assert db.session.scalars(looks).all() == []

    page = decider.post(address, data={"reason": "The client called"})
    assert page.headers["Cache-Control"] == "no-store"
    assert "old@example.org" in page.text
    assert "new@example.org" in page.text
    line = decider.post(address, data={"reason": "Once more"}, headers={"HX-Request": "true"}).text
    assert line.strip().startswith("<tr>")
    assert "new@example.org" in line
    assert "new@example.org" not in decider.get("/client-corrections/").text
    seen = db.session.scalars(looks.order_by(AuditEntry.id)).all()
    assert [(one.actor_id, one.subject_id, one.reason) for one in seen] == [
        (manager.id, client.id, "The client called"),
        (manager.id, client.id, "Once more"),
    ]
    assert "example.org" not in str([one.changes for one in seen])

    decider.post(f"/client-corrections/{correction.id}/confirm")
    decided = decider.post(address, data={"reason": "Too late"})
    assert (decided.status_code, "new@example.org" in decided.text) == (422, False)


def test_who_may_not_see_contact_data_sees_no_correction_in_full(browser_client: FlaskClient) -> None:
    north = make_branch()
    adviser = make_user(role=Role.ADVISER, branch=north)
    edit(make_client(number="1", adviser_id=adviser.id, branch=north), adviser, email="new@example.org")
    address = f"/client-corrections/{db.session.scalars(select(ClientCorrection.id)).one()}/reveal"
    people = {
        403: [make_user(), adviser, make_user(role=Role.COMPLIANCE)],  # may not see, may not decide, neither
        404: [make_user(role=Role.BRANCH_MANAGER, branch=make_branch())],
    }
    for status, refused in people.items():
        for person in refused:
            assert sign_in(browser_client, person).post(address, data={"reason": "x"}).status_code == status
    page = sign_in(browser_client, make_user()).get("/client-corrections/").text
    assert "Show in full" not in page
    assert "sees contact data in part only" in page
