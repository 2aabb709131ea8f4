"""Frozen audiences, overlap and growth, as pages."""

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pyroaring import BitMap64
from sqlalchemy import select

from app.audiences.fields import load_catalogue
from app.audiences.history import record_day
from app.audiences.models import Snapshot
from app.audiences.obstacles import by_channel
from app.audiences.overlap import WAYS, combine, combined_rule, page_of
from app.audiences.rules import parse_rule
from app.audiences.snapshots import exclusions_of, freeze, reach, rule_ids
from app.audiences.venn import venn
from app.clients.models import Client
from app.core.clock import today
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from tests.factories.audiences import make_segment
from tests.factories.clients import make_clients
from tests.factories.users import make_branch, make_user, sign_in

LAKESIDE = {"all": [{"field": "city", "op": "is", "value": "Lakeside"}]}


@pytest.fixture
def officer(app: Flask) -> FlaskClient:
    return sign_in(app.test_client(), make_user(role=Role.MARKETING))


def frozen() -> Snapshot:
    return db.session.scalars(select(Snapshot).order_by(Snapshot.id.desc())).first()


def test_a_segment_is_frozen_with_its_rule_and_who_could_not_be_reached(officer: FlaskClient) -> None:
    make_clients(2, city="Lakeside")
    make_clients(1, city="Lakeside", email_consent=None)
    make_clients(1, city="Hilltop")
    segment = make_segment(name="Lake people", rule=LAKESIDE)
    answer = officer.post(f"/segments/{segment.id}/freeze", follow_redirects=True)
    assert "Lake people" in answer.text
    assert "No marketing consent" in answer.text
    snapshot = frozen()
    assert (snapshot.size, snapshot.rule) == (3, LAKESIDE)
    assert snapshot.exclusions == {"email": {"no_consent": 1}, "sms": {"no_address": 3}, "call": {"no_address": 3}}
    listed = officer.get("/segments/snapshots").text
    assert "Lake people" in listed
    assert "No frozen audience has this name." in officer.get("/segments/snapshots?search=else").text


def test_a_frozen_audience_shows_only_the_clients_of_the_readers_branch(app: Flask, officer: FlaskClient) -> None:
    north = make_branch(code="N", name="North")
    make_clients(2, name=lambda n: f"Northerner {n}", branch_id=north.id)
    make_clients(3, name=lambda n: f"Southerner {n}")
    segment = make_segment()
    officer.post(f"/segments/{segment.id}/freeze")
    address = f"/segments/snapshots/{frozen().id}"
    assert "Southerner 1" in officer.get(f"{address}/clients").text
    manager = sign_in(app.test_client(), make_user(role=Role.BRANCH_MANAGER, branch=north))
    page = manager.get(f"{address}/clients").text
    assert "Northerner 1" in page
    assert "Southerner" not in page
    assert ">5<" not in manager.get(address).text
    assert ">2<" in manager.get("/segments/snapshots").text.replace("\n", "")


def test_two_segments_are_compared_and_made_one(officer: FlaskClient) -> None:
    make_clients(3, city="Lakeside", status="client")
    make_clients(2, city="Lakeside", status="lead")
    make_clients(4, city="Hilltop", status="lead")
    lake = make_segment(name="Lake people", rule=LAKESIDE)
    leads = make_segment(name="Leads", rule={"all": [{"field": "status", "op": "is", "value": "lead"}]})
    query = f"set=segment-{lake.id}&set=segment-{leads.id}"
    page = officer.get(f"/segments/overlap?{query}&way=all").text
    assert "2 clients" in page
    assert "<circle" in page
    assert "40.0%" in page  # two of the five of Lakeside
    assert "Make it a segment" in page
    assert officer.get(f"/segments/overlap/clients?{query}&way=first").status_code == 200
    form = {"set": [f"segment-{lake.id}", f"segment-{leads.id}"], "way": "first", "name": "Lake, no leads"}
    assert officer.post("/segments/overlap/freeze", data=form).status_code == 302
    assert (frozen().name, frozen().size) == ("Lake, no leads", 3)


def test_frozen_audiences_count_for_each_channel_whom_it_could_not_reach(officer: FlaskClient) -> None:
    mobile = {"mobile": lambda n: f"+8613800000{n:03}", "city": "Lakeside"}
    make_clients(2, **mobile, sms_consent=True, call_consent=True)
    make_clients(3, **mobile, sms_consent=True, email=None)
    make_clients(1, city="Lakeside", flags=["minor"])
    segment = make_segment(rule=LAKESIDE)
    expected = {
        "email": {"flagged": 1, "no_address": 3},
        "sms": {"flagged": 1},
        "call": {"flagged": 1, "no_consent": 3},
    }
    for address, form in (
        (f"/segments/{segment.id}/freeze", {}),
        ("/segments/overlap/freeze", {"set": [f"segment-{segment.id}"], "way": "any", "name": "Both"}),
    ):
        page = officer.post(address, data=form, follow_redirects=True).text
        snapshot = frozen()
        assert snapshot.exclusions == expected
        for channel, reasons in expected.items():
            one = reach(included=[LAKESIDE], excluded=[], channels=[channel], purpose="marketing")
            assert one.exclusions == reasons
        row = page[page.index("Could be reached") :].split("</tr>")[0]
        assert [piece.split("<")[0].strip() for piece in row.split('<td class="num">')[1:]] == ["2", "5", "2"]


def test_large_and_small_sets_have_the_same_counts(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_clients(9, email=lambda n: None if n % 3 == 0 else f"c{n}@example.com")
    some = BitMap64([*made[:4], *made[6:]])
    assert exclusions_of(BitMap64()) == {"email": {}, "sms": {}, "call": {}}
    few = exclusions_of(some)
    assert few == {"email": {"no_address": 2}, "sms": {"no_address": 7}, "call": {"no_address": 7}}
    monkeypatch.setattr("app.audiences.snapshots._LOOKED_UP", 2)
    assert exclusions_of(some) == few


def test_an_audience_frozen_by_the_first_versions_has_its_counts_of_e_mail(officer: FlaskClient) -> None:
    ids = BitMap64(make_clients(3))
    for kept, read in (({"no_consent": 1}, {"email": {"no_consent": 1}}), ({}, {"email": {}}), (None, None)):
        with unit_of_work():
            snapshot = freeze(name="Old", ids=ids)
            snapshot.exclusions = kept
            number = snapshot.id
        assert by_channel(frozen().exclusions) == read
        page = officer.get(f"/segments/snapshots/{number}").text
        assert ("No marketing consent" in page) is bool(kept)
        assert ("All of them could be reached." in page) is (kept == {})


@pytest.mark.parametrize(
    "key", ["segment-999", "snapshot-999", "else-1", "segment-", "segment-²", "segment-" + "9" * 40]
)
def test_what_does_not_exist_is_said(officer: FlaskClient, key: str) -> None:
    make_segment()
    answer = officer.get("/segments/overlap", query_string={"set": key})
    assert answer.status_code == 404
    assert "This does not exist" in answer.text


def test_thirteen_are_too_many(officer: FlaskClient) -> None:
    keys = [f"segment-{make_segment().id}" for _n in range(13)]
    answer = officer.get("/segments/overlap", query_string={"set": keys})
    assert answer.status_code == 422
    assert "At most 12" in answer.text


def test_growth_waits_for_two_counts_and_then_lists_who_came_and_went(officer: FlaskClient) -> None:
    (_stays, goes) = make_clients(2, city="Lakeside", name=lambda n: f"Person {n}")
    segment = make_segment(rule=LAKESIDE)
    address = f"/segments/{segment.id}/history"
    assert "Not counted twice yet." in officer.get(address).text
    with unit_of_work():
        record_day(segment=segment, on_date=today() - timedelta(days=7))
        db.session.get_one(Client, goes).city = "Hilltop"
        db.session.flush()
        record_day(segment=segment, on_date=today())
    page = officer.get(address).text
    assert "growth-option" in page
    assert "50.0%" in page
    assert "Person 2" in officer.get(f"{address}/left").text
    assert "Nobody here." in officer.get(f"{address}/joined").text
    assert officer.get(f"{address}?since=nonsense").status_code == 200


def test_a_set_is_read_page_by_page_in_both_directions(app: Flask) -> None:
    ids = BitMap64(make_clients(120))
    first = page_of(ids, user=None)
    second = page_of(ids, user=None, after=first.after)
    third = page_of(ids, user=None, after=second.after)
    assert [len(page.clients) for page in (first, second, third)] == [50, 50, 20]
    assert (first.before, third.after) == (None, None)
    assert page_of(ids, user=None, before=third.before) == second
    assert page_of(BitMap64(), user=None).clients == []


def test_two_circles_are_true_to_scale() -> None:
    same = venn([BitMap64(range(10)), BitMap64(range(10))])
    assert same is not None
    assert same.circles[0].radius == same.circles[1].radius
    assert [label.count for label in same.labels] == [10]
    apart = venn([BitMap64(range(400)), BitMap64(range(1_000, 1_100))])
    assert apart is not None
    one, other = apart.circles
    assert one.radius == pytest.approx(2 * other.radius)
    assert other.x - one.x == pytest.approx(one.radius + other.radius, abs=0.1)
    assert venn([BitMap64(), BitMap64()]) is None
    assert venn([BitMap64([1])]) is None


@pytest.mark.parametrize("way", list(WAYS))
def test_the_rule_of_a_combination_finds_the_same_clients_as_the_sets(app: Flask, way: str) -> None:
    make_clients(3, city="Lakeside", status="client")
    make_clients(2, city="Lakeside", status="lead")
    make_clients(4, city="Hilltop", status="lead")
    rules = [LAKESIDE, {"all": [{"field": "status", "op": "is", "value": "lead"}]}]
    ids = [make_segment(rule=rule).id for rule in rules]
    catalogue = load_catalogue()
    sets = [rule_ids(parse_rule(rule, catalogue), catalogue=catalogue, today=today()) for rule in rules]
    catalogue = load_catalogue()
    joined = parse_rule(combined_rule(ids, way), catalogue)
    assert rule_ids(joined, catalogue=catalogue, today=today()) == combine(sets, way)
