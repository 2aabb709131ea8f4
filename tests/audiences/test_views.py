"""The pages of segments, as a browser without script sees them."""

import io
import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text

from app.audiences import queries
from app.audiences.models import Segment
from app.clients.classes.models import ClientClass
from app.clients.models import Client
from app.core.extensions import db
from tests.factories.audiences import make_segment
from tests.factories.clients import make_client, make_clients, make_custom_field
from tests.factories.users import make_branch, make_user, sign_in

WUHAN: dict[str, Any] = {"field": "city", "op": "is", "value": "Wuhan"}


@pytest.fixture
def marketing(browser_client: FlaskClient) -> FlaskClient:
    return sign_in(browser_client, make_user(name="Mary Marketing"))


def saved(name: str) -> Segment:
    db.session.expire_all()
    return db.session.scalars(select(Segment).where(Segment.name == name)).one()


def test_the_first_page_says_what_to_do_first(marketing: FlaskClient) -> None:
    assert "Make the first segment" in marketing.get("/segments").text


def test_a_segment_is_made_found_and_shown(marketing: FlaskClient) -> None:
    make_clients(3, city="Wuhan")
    form = marketing.get("/segments/new").text
    assert "data-segment-builder" in form
    assert "Birthday in the next 7 days" in form
    answer = marketing.post(
        "/segments/new", data={"name": "Wuhan", "rule": json.dumps({"all": [WUHAN]})}, follow_redirects=True
    )
    assert answer.status_code == 200
    assert "Rule: City is Wuhan." in answer.text
    segment = saved("Wuhan")
    assert segment.last_count == 3
    assert segment.owner is not None
    listed = marketing.get("/segments?search=wuh").text
    assert "City is Wuhan" in listed
    assert "Mary Marketing" in listed
    assert "No segment fits" in marketing.get("/segments?search=nothing").text
    counts = marketing.get(f"/segments/counts?id={segment.id}&id=999").text
    assert f'<span id="count-{segment.id}" hx-swap-oob="true">3</span>' in counts


def test_a_ready_segment_fills_the_form(marketing: FlaskClient) -> None:
    form = marketing.get("/segments/new?ready=birthday").text
    assert 'value="Birthday in the next 7 days"' in form
    assert "anniversary_in_next_days" in form


def test_a_refused_segment_keeps_what_was_typed(marketing: FlaskClient) -> None:
    make_segment(name="Taken")
    bad = {"all": [{"field": "age", "op": "gte", "value": "x"}]}
    answer = marketing.post("/segments/new", data={"name": "Mine", "rule": json.dumps(bad)})
    assert answer.status_code == 422
    assert "At all[0].value: Here a number is needed." in answer.text
    assert 'value="Mine"' in answer.text
    answer = marketing.post("/segments/new", data={"name": "taken", "rule": '{"all": []}'})
    assert answer.status_code == 422
    assert "Another segment has this name" in answer.text


def test_an_edit_from_an_old_page_is_refused(marketing: FlaskClient) -> None:
    segment = make_segment(name="Old", rule=WUHAN)
    address = f"/segments/{segment.id}/edit"
    assert "Wuhan" in marketing.get(address).text
    new = {"name": "New", "rule": '{"all": []}', "version": "1"}
    assert marketing.post(address, data=new).status_code == 302
    assert saved("New").rule == {"all": []}
    answer = marketing.post(address, data=new | {"name": "Newer"})
    assert answer.status_code == 422
    assert "Somebody else has changed this segment" in answer.text


def test_the_preview_follows_the_rule(marketing: FlaskClient) -> None:
    make_clients(12, city="Wuhan", email=lambda n: f"secret{n}@example.com")
    make_clients(4, email_consent=None)
    answer = marketing.post("/segments/preview", data={"rule": json.dumps(WUHAN)})
    assert answer.status_code == 200
    assert "75.0% of 16 clients" in answer.text
    assert "12 reachable by e-mail" in answer.text
    assert "City is Wuhan" in answer.text
    assert "s•••@example.com" in answer.text
    assert "secret1" not in answer.text


def test_the_preview_tells_reach_and_reasons_branches_and_tiers(marketing: FlaskClient) -> None:
    branch = make_branch(name="North")
    made = make_clients(3, branch_id=branch.id, email=None)
    db.session.add(ClientClass(client_id=made[0], aum_tier="no such tier"))
    db.session.commit()
    text = marketing.post("/segments/preview", data={"rule": '{"all": []}'}).text
    for words in ("No usable address", "North", "no such tier", "In no tier", "Counted in"):
        assert words in text


def test_questions_of_a_page_may_be_ended(marketing: FlaskClient) -> None:
    make_clients(2)
    question = {"rule": '{"all": []}', "builder": "abc123", "edit": "7"}
    assert marketing.post("/segments/preview", data=question).status_code == 200
    assert marketing.post("/segments/preview/end", data={"builder": "abc123"}).status_code == 204
    # What is no name of a page ends nothing and harms nothing.
    for builder in ("", "'; DROP TABLE client", "x" * 500):
        assert marketing.post("/segments/preview/end", data={"builder": builder}).status_code == 204
        for edit in ("-1", "x", "9" * 30):
            odd = question | {"builder": builder, "edit": edit}
            assert marketing.post("/segments/preview", data=odd).status_code == 200


def test_the_builder_is_given_related_rows_limits_and_both_languages(marketing: FlaskClient) -> None:
    other = make_segment(name="Members", last_count=1234)
    mine = make_segment(name="Mine")
    page = marketing.get(f"/segments/{mine.id}/edit").text
    catalogue = json.loads(page.partition('id="catalogue-json">')[2].partition("</script>")[0])
    by_key = {field["key"]: field for field in catalogue["fields"]}
    assert by_key["segment"]["choices"] == [{"value": other.id, "label": "Members", "hint": "1,234"}]
    assert "城市" in by_key["city"]["also"]
    kinds = {kind["key"]: kind for kind in catalogue["related"]}
    assert kinds["transactions"]["group"] in {group["key"] for group in catalogue["groups"]}
    assert catalogue["limits"] == {"depth": 8, "conditions": 200}


def test_a_segment_names_those_it_takes_in_and_is_kept_as_long_as_one_takes_it_in(marketing: FlaskClient) -> None:
    inner = make_segment(name="Inner", rule=WUHAN)
    outer = make_segment(name="Outer", rule={"field": "segment", "op": "in", "value": [inner.id]})
    assert "takes this one in" in marketing.get(f"/segments/{inner.id}").text
    assert f'href="/segments/{inner.id}"' in marketing.get(f"/segments/{outer.id}").text
    refused = marketing.post(f"/segments/{inner.id}/archive", follow_redirects=True).text
    assert "The segment “Outer” takes this one in." in refused
    loop = json.dumps({"field": "segment", "op": "in", "value": [outer.id]})
    answer = marketing.post("/segments/preview", data={"rule": loop, "segment": str(inner.id)})
    assert answer.status_code == 422
    assert "Outer" in answer.text
    saved = marketing.post(f"/segments/{inner.id}/edit", data={"name": "Inner", "rule": loop, "version": "1"})
    assert saved.status_code == 422


def test_a_list_of_numbers_is_uploaded_and_asked_for(marketing: FlaskClient) -> None:
    numbers = make_clients(5)
    wanted = db.session.scalars(select(Client.number).where(Client.id.in_(numbers[:2]))).all()
    file = (io.BytesIO("\n".join(["client number", *wanted, "nobody"]).encode()), "Fair visitors.csv")
    answer = marketing.post("/segments/number-lists", data={"file": file}, headers={"Accept": "application/json"})
    assert answer.status_code == 201
    assert answer.json is not None
    assert (answer.json["label"], answer.json["hint"]) == ("Fair visitors", "3")
    rule = {"field": "number_list", "op": "in", "value": [answer.json["value"]]}
    assert "40.0% of 5 clients" in marketing.post("/segments/preview", data={"rule": json.dumps(rule)}).text
    for bad in (b"", b"\x00\x01\x02"):
        sent = {"file": (io.BytesIO(bad), "bad.csv")}
        refused = marketing.post("/segments/number-lists", data=sent, headers={"Accept": "application/json"})
        assert refused.status_code in (400, 422)
        assert refused.json is not None
        assert refused.json["error"]["message"]


def test_the_preview_says_where_a_rule_is_wrong(marketing: FlaskClient) -> None:
    rule = {"any": [WUHAN, {"field": "nose", "op": "is"}]}
    answer = marketing.post("/segments/preview", data={"rule": json.dumps(rule)})
    assert answer.status_code == 422
    assert "At any[1].field: There is no field “nose”." in answer.text
    assert 'data-rule-path="any[1].field"' in answer.text
    assert answer.content_type.startswith("text/html")
    assert marketing.post("/segments/preview", data={"rule": "<script>"}).status_code == 422


def test_the_preview_gives_up_in_time(marketing: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = make_segment()
    monkeypatch.setattr(queries, "TIME_LIMIT_MS", 50)
    with db.engine.connect() as other, other.begin():
        other.execute(text("LOCK TABLE client IN ACCESS EXCLUSIVE MODE"))
        answer = marketing.post("/segments/preview", data={"rule": '{"all": []}'})
        figures = marketing.get(f"/segments/{segment.id}/preview")
    assert answer.status_code == figures.status_code == 422
    assert "takes too long" in answer.text
    assert "every client" in answer.text


def test_names_and_values_are_never_read_as_html(marketing: FlaskClient) -> None:
    evil = "</script><img src=evil>"
    make_custom_field("evil", type="text", slot="text_01", label=evil)
    make_client(name=evil, city=evil)
    segment = make_segment(name=evil, rule={"field": "city", "op": "is", "value": evil})
    for address in (
        "",
        "/new",
        f"/{segment.id}",
        f"/{segment.id}/edit",
        f"/{segment.id}/preview",
        f"/{segment.id}/clients",
    ):
        page = marketing.get(f"/segments{address}")
        assert page.status_code == 200
        assert "<img src=evil" not in page.text


def test_a_copy_opens_for_editing(marketing: FlaskClient) -> None:
    segment = make_segment(name="Savers", rule=WUHAN)
    answer = marketing.post(f"/segments/{segment.id}/duplicate", follow_redirects=True)
    assert 'value="Savers (copy)"' in answer.text


def test_archived_segments_leave_the_list_and_come_back(marketing: FlaskClient) -> None:
    segment = make_segment(name="Savers")
    assert "is archived" in marketing.post(f"/segments/{segment.id}/archive", follow_redirects=True).text
    assert "Savers" not in marketing.get("/segments").text
    assert "Savers" in marketing.get("/segments?state=archived").text
    make_segment(name="Savers")
    answer = marketing.post(f"/segments/{segment.id}/restore", follow_redirects=True)
    assert "Another segment has this name" in answer.text


def test_a_rule_about_a_field_that_is_gone_is_shown_with_its_problem(marketing: FlaskClient) -> None:
    segment = make_segment(name="Broken", rule={"field": "custom.gone", "op": "is", "value": "x"})
    assert "Open it to repair it" in marketing.get("/segments").text
    page = marketing.get(f"/segments/{segment.id}")
    assert page.status_code == 200
    assert "no field “custom.gone” (any more)" in page.text
    assert "–" in marketing.get(f"/segments/counts?id={segment.id}").text
    assert marketing.get(f"/segments/{segment.id}/preview").status_code == 422
    assert marketing.get(f"/segments/{segment.id}/clients").status_code == 422
    assert marketing.get(f"/segments/{segment.id}/edit").status_code == 200


def test_counts_and_clients_end_at_the_persons_part_of_the_firm(app: Flask, browser_client: FlaskClient) -> None:
    branch = make_branch(name="North")
    make_clients(2, branch_id=branch.id, name="Mine")
    make_clients(3, name="Theirs")
    segment = make_segment()
    manager = sign_in(browser_client, make_user(role="branch_manager", branch=branch))
    assert ">2</span>" in manager.get(f"/segments/counts?id={segment.id}").text
    for address in ("preview", "clients"):
        page = manager.get(f"/segments/{segment.id}/{address}").text
        assert "Mine" in page
        assert "Theirs" not in page


def test_who_may_not_edit_only_reads(app: Flask, browser_client: FlaskClient) -> None:
    segment = make_segment(name="Savers")
    reader = sign_in(browser_client, make_user(role="compliance"))
    page = reader.get(f"/segments/{segment.id}")
    assert page.status_code == 200
    assert "Archive" not in page.text
    assert reader.get("/segments/new").status_code == 403
    assert reader.post("/segments/preview", data={"rule": "{}"}).status_code == 403
    assert reader.post(f"/segments/{segment.id}/archive").status_code == 403
    adviser = sign_in(browser_client, make_user(role="adviser"))
    assert adviser.get("/segments").status_code == 403


def test_what_does_not_exist_is_not_found(marketing: FlaskClient) -> None:
    for address in ("", "/edit", "/preview", "/clients"):
        assert marketing.get(f"/segments/999{address}").status_code == 404
