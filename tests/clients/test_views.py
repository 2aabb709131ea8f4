"""The pages of the client book, as a browser without script sees them."""

import io
import re
from decimal import Decimal

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.audit.models import AuditEntry
from app.clients import service
from app.clients import tasks as tasks
from app.clients.models import Client, ClientImport, CustomField, Suppression
from app.core.extensions import db
from app.core.jobs import Job, run_job
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from tests.factories.clients import make_account, make_client, make_clients, make_consent, make_custom_field
from tests.factories.users import make_branch, make_user, sign_in

FILE = "no,name,mail,age,loan\n" + "".join(
    f"{i},Client {i},{'nobody' if i == 7 else f'c{i}@example.com'},{20 + i},{'yes' if i % 2 else 'no'}\n"
    for i in range(1, 13)
)


@pytest.fixture
def officer(browser_client: FlaskClient) -> FlaskClient:
    return sign_in(browser_client, make_user(role=Role.MARKETING))


def test_an_empty_book_says_what_to_do_first(officer: FlaskClient) -> None:
    page = officer.get("/clients/").text
    assert "There are no clients yet" in page
    assert "/client-imports/new" in page


def test_the_list_masks_contact_data_and_leads_through_the_pages(officer: FlaskClient) -> None:
    make_clients(120, mobile="+8613812345678", total_assets=Decimal(1234567))
    page = officer.get("/clients/").text
    assert "120 clients" in page
    assert "c•••@example.com" in page
    assert "c1@example.com" not in page
    assert "13812345678" not in page
    following = re.search(r'rel="next" href="([^"]+)"', page)
    assert following
    assert ">51<" in officer.get(following[1].replace("&amp;", "&")).text
    assert "No clients match" in officer.get("/clients/?search=zzz").text
    assert officer.get("/clients/?sort=nonsense&after=%00&status=x").status_code == 200


def test_the_page_of_a_client_tells_all_that_is_known(officer: FlaskClient) -> None:
    make_custom_field("balance", type="number", slot="number_01")
    client = make_client(number="K-1", name="王芳", mobile="+8613812345678", flags=["deceased"], number_01=1234.5)
    make_account(client, balance=Decimal("99.50"), number="1234567890123")
    make_consent(client, source="telephone", wording="said so")
    page = officer.get("/clients/K-1").text
    for words in ("王芳", "+86 138****5678", "Deceased", "1,234.5", "****0123", "99.5", "said so", "By telephone"):
        assert words in page
    assert "Agreed to marketing by e-mail" in page
    assert "Show in full" not in page, "marketing may not see contact data"
    assert officer.post("/clients/K-1/contact", data={"reveal-reason": "x"}).status_code == 403


def test_a_client_elsewhere_is_not_found(browser_client: FlaskClient) -> None:
    make_client(number="1", branch=make_branch())
    manager = sign_in(browser_client, make_user(role=Role.BRANCH_MANAGER, branch=make_branch()))
    assert manager.get("/clients/1").status_code == 404
    assert manager.post("/clients/1/consent", data={}).status_code == 404
    assert manager.post("/clients/1/contact", data={"reveal-reason": "x"}).status_code == 404


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_contact_data_is_shown_for_a_reason_that_is_kept(browser_client: FlaskClient, headers: dict[str, str]) -> None:
    make_client(number="1")
    checker = sign_in(browser_client, make_user(role=Role.COMPLIANCE))
    refused = checker.post("/clients/1/contact", data={"reveal-reason": ""}, headers=headers)
    assert (refused.status_code, "c1@example.com" in refused.text) == (422, False)
    shown = checker.post("/clients/1/contact", data={"reveal-reason": "complaint"}, headers=headers)
    assert "c1@example.com" in shown.text
    assert shown.headers["Cache-Control"] == "no-store"
    assert db.session.scalars(select(AuditEntry.reason)).all() == ["complaint"]


def test_staff_record_an_opt_out_with_its_evidence(officer: FlaskClient) -> None:
    client = make_client(number="1")
    form = {"matter": "email", "granted": "no", "source": "telephone", "wording": ""}
    refused = officer.post("/clients/1/consent", data=form)
    assert refused.status_code == 422
    assert "write down what the client said" in refused.text
    assert officer.post("/clients/1/consent", data=form | {"wording": "no more, please"}).status_code == 302
    db.session.expire_all()
    assert client.email_consent is False
    page = officer.get("/clients/1").text
    assert "no more, please" in page
    assert "Opted out of marketing by e-mail" in page


def upload(officer: FlaskClient, data: bytes = FILE.encode(), name: str = "clients.csv") -> str:
    answer = officer.post("/client-imports/new", data={"file": (io.BytesIO(data), name)})
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"].rsplit("/", 1)[0]


def form_of(page: str) -> dict[str, str]:
    """The values a browser would send back unchanged."""
    values = dict(re.findall(r'<input[^>]* name="([^"]+)"[^>]* value="([^"]*)"', page))
    for name, options in re.findall(r'<select[^>]* name="([^"]+)"[^>]*>(.*?)</select>', page, re.S):
        chosen = re.search(r'value="([^"]*)" selected', options)
        values[name] = chosen[1] if chosen else ""
    return values


def test_a_file_goes_from_upload_to_result(officer: FlaskClient) -> None:
    make_client(number="1", name="Old name")
    address = upload(officer)
    form = form_of(officer.get(f"{address}/columns").text)
    assert (form["becomes-1"], form["becomes-3"], form["type-3"], form["type-4"]) == ("name", "new", "number", "yesno")
    assert form["becomes-0"] == "new", "“no” might be anything"

    problem = officer.post(f"{address}/columns", data=form)
    assert problem.status_code == 422
    assert "Choose what the client number is" in problem.text
    twice = officer.post(f"{address}/columns", data=form | {"becomes-0": "number", "fixed-number": "{row_number}"})
    assert "is filled twice" in twice.text

    form |= {"becomes-0": "number", "becomes-2": "email", "label-3": "Age in years", "fixed-email_consent": "yes"}
    assert officer.post(f"{address}/columns", data=form).status_code == 302
    preview = officer.get(f"{address}/preview").text
    assert "“****” is not a complete e-mail address." in preview
    assert "The first 12 rows were tried" in preview
    assert len(db.session.scalars(select(Client)).all()) == 1

    assert officer.post(f"{address}/start").status_code == 302
    waiting = officer.get(address).text
    assert "every 1s" in waiting
    run_job(db.session.scalars(select(Job.id)).one())
    db.session.expire_all()
    assert officer.get(f"{address}/progress").headers["HX-Refresh"] == "true"
    result = officer.get(address).text
    assert "Refused rows" in result
    done = db.session.scalars(select(ClientImport)).one()
    assert (done.created, done.updated, done.refused) == (10, 1, 1)
    refused = officer.get(f"{address}/refused.csv")
    assert refused.text.splitlines()[1].startswith("7,mail: “****” is not a complete e-mail address.,7,Client 7")
    labels = {field.key: field.label for field in db.session.scalars(select(CustomField))}
    assert labels == {"age": "Age in years", "loan": "loan"}
    assert "clients.csv" in officer.get("/client-imports/").text

    again = form_of(officer.get(f"{upload(officer)}/columns").text)
    assert (again["becomes-0"], again["becomes-3"], again["fixed-email_consent"]) == ("number", "custom.age", "yes")


def test_a_file_that_is_no_table_is_refused_in_the_form(officer: FlaskClient) -> None:
    answer = officer.post("/client-imports/new", data={"file": (io.BytesIO(b"%PDF-1.4"), "list.pdf")})
    assert answer.status_code == 422
    assert "This is a PDF" in answer.text
    assert officer.post("/client-imports/new", data={}).status_code == 422


def test_an_import_that_stopped_can_be_continued(officer: FlaskClient) -> None:
    address = upload(officer)
    form = form_of(officer.get(f"{address}/columns").text) | {"becomes-0": "number"}
    officer.post(f"{address}/columns", data=form)
    officer.post(f"{address}/start")
    with unit_of_work():
        job = db.session.scalars(select(Job)).one()
        job.state = "failed"
    assert "Go on" in officer.get(address).text
    assert "Stopped" in officer.get("/client-imports/").text
    assert officer.post(f"{address}/resume").status_code == 302
    run_job(db.session.scalars(select(Job.id).order_by(Job.id.desc())).first() or 0)
    db.session.expire_all()
    assert db.session.scalars(select(ClientImport.created)).one() == 11


def test_imports_of_others_are_for_the_head_office_only(app: Flask) -> None:
    north, south = (sign_in(app.test_client(), make_user(branch=make_branch())) for _name in "ns")
    address = upload(north)
    assert south.get(f"{address}/columns").status_code == 404
    assert "clients.csv" not in south.get("/client-imports/").text
    assert sign_in(app.test_client(), make_user()).get(f"{address}/columns").status_code == 200


def test_the_suppression_list_is_searched_by_whole_addresses(officer: FlaskClient) -> None:
    assert "The list is empty" in officer.get("/suppression-list/").text
    form = {"channel": "email", "addresses": "A@x.com\nb@x.com\n", "reason": "asked by letter"}
    assert officer.post("/suppression-list/", data=form | {"reason": ""}).status_code == 422
    assert officer.post("/suppression-list/", data=form).status_code == 302
    page = officer.get("/suppression-list/").text
    assert "a•••@x.com" in page
    assert "a@x.com" not in page
    assert "asked by letter" in officer.get("/suppression-list/?search=A@x.com").text
    assert "Nothing like this" in officer.get("/suppression-list/?search=x.com").text
    entry = db.session.scalars(select(Suppression)).first()
    assert entry
    assert officer.post(f"/suppression-list/{entry.id}/remove", data={"reason": "x"}).status_code == 403


def test_an_administrator_takes_an_address_off_with_a_reason(browser_client: FlaskClient) -> None:
    with unit_of_work():
        service.suppress(channel="sms", addresses=["+8613812345678"], reason="bounced", source="delivery")
    administrator = sign_in(browser_client, make_user(role=Role.ADMINISTRATOR))
    entry = db.session.scalars(select(Suppression)).one()
    assert administrator.post(f"/suppression-list/{entry.id}/remove", data={"reason": ""}).status_code == 422
    assert administrator.post(f"/suppression-list/{entry.id}/remove", data={"reason": "repaired"}).status_code == 302
    assert db.session.scalars(select(Suppression)).first() is None


@pytest.fixture
def administrator(browser_client: FlaskClient) -> FlaskClient:
    return sign_in(browser_client, make_user(role=Role.ADMINISTRATOR))


def test_fields_are_added_and_renamed_by_administrators(administrator: FlaskClient) -> None:
    form = {"label": "Risk score", "key": "risk_score", "type": "number", "edited_by": "managers"}
    assert administrator.post("/client-fields/", data=form | {"key": "Risk"}).status_code == 422
    assert administrator.post("/client-fields/", data=form).status_code == 302
    assert "There is a field with this key already" in administrator.post("/client-fields/", data=form).text
    field = db.session.scalars(select(CustomField)).one()
    renamed = administrator.post(f"/client-fields/{field.id}", data={"label": "Score of risk", "edited_by": "feeds"})
    assert renamed.status_code == 302
    assert "Score of risk" in administrator.get("/client-fields/").text


def test_who_is_no_administrator_defines_no_fields(officer: FlaskClient) -> None:
    field = make_custom_field("score", type="number", slot="number_01")
    form = {"label": "Risk score", "key": "risk_score", "type": "number", "edited_by": "managers"}
    assert officer.get("/client-fields/").status_code == 403
    assert officer.post("/client-fields/", data=form).status_code == 403
    for path in ("", "/move", "/archive", "/restore", "/free"):
        assert officer.post(f"/client-fields/{field.id}{path}", data=form).status_code == 403


@pytest.mark.parametrize(("role", "code", "may"), [
    (Role.MARKETING, "N", False), (Role.MARKETING, "", True), (Role.ADMINISTRATOR, "N", True),
])  # fmt: skip
def test_a_branch_brings_in_no_new_fields(browser_client: FlaskClient, role: Role, code: str, may: bool) -> None:
    user = make_user(role=role, branch=make_branch(code=code)) if code else make_user(role=role)
    browser = sign_in(browser_client, user)
    sent = {"file": (io.BytesIO(b"number,shoe size\n1,42\n2,43\n"), "clients.csv")}
    page = browser.post("/client-imports/new", data=sent).headers["Location"]
    assert ("A new field" in browser.get(page).text) == may
    form = {"becomes-0": "number", "becomes-1": "new", "key-1": "shoe_size", "label-1": "Shoe size", "type-1": "number"}
    answer = browser.post(page, data=form)
    assert answer.status_code == (302 if may else 422)
    assert ("ask for fields for them: shoe size" in answer.text) != may
    assert browser.post(page, data=form | {"becomes-1": ""}).status_code == 302


def test_advisers_neither_import_nor_see_the_lists(browser_client: FlaskClient) -> None:
    adviser = sign_in(browser_client, make_user(role=Role.ADVISER))
    assert "There are no clients in your part of the firm yet" in adviser.get("/clients/").text
    for path in ("/client-imports/", "/client-imports/new", "/suppression-list/", "/client-fields/"):
        assert adviser.get(path).status_code == 403
