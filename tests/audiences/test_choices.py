"""Choices of which there may be thousands: few are given with the builder, the others are found by typing."""

import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, insert, select

from app.audiences.builder import builder_catalogue
from app.audiences.fields import FOUND, OFFERED, load_catalogue
from app.audiences.lists.models import NumberList
from app.audiences.rules import RuleError, parse_rule
from app.audiences.sentence import sentence
from app.campaigns.models import Campaign
from app.core.extensions import db
from app.users.models import User
from tests.factories.audiences import make_segment
from tests.factories.campaigns import make_campaign
from tests.factories.users import make_branch, make_user, sign_in

MANY = OFFERED + 10


@pytest.fixture
def officer(app: Flask) -> User:
    return make_user(role="marketing", name="Lin Mei")


@pytest.fixture
def pages(app: Flask, officer: User) -> FlaskClient:
    return sign_in(app.test_client(), officer)


def many_lists() -> list[int]:
    rows = [{"name": f"Fair {n}", "size": n} for n in range(1, MANY + 1)]
    ids = db.session.scalars(insert(NumberList).returning(NumberList.id, sort_by_parameter_order=True), rows).all()
    db.session.commit()
    return list(ids)


def field_of(user: User, key: str, rule: dict[str, Any] | None = None, kind: str = "") -> dict[str, Any]:
    data = builder_catalogue(load_catalogue(), user=user, rule=json.dumps(rule))
    fields = next(one["fields"] for one in data["related"] if one["key"] == kind) if kind else data["fields"]
    return next(one for one in fields if one["key"] == key)


def found(pages: FlaskClient, **asked: Any) -> list[str]:
    answer = pages.get("/segments/choices", query_string=asked)
    assert answer.status_code == 200
    assert answer.json is not None
    return [choice["label"] for choice in answer.json["choices"]]


def test_few_choices_are_given_at_once(app: Flask, officer: User) -> None:
    make_segment(name="Savers")
    field = field_of(officer, "segment")
    assert (field["search"], [choice["label"] for choice in field["choices"]]) == (None, ["Savers"])


def test_of_many_only_those_chosen_are_given(app: Flask, officer: User) -> None:
    ids = many_lists()
    assert field_of(officer, "number_list")["choices"] is None
    rule = {"all": [{"not": {"field": "number_list", "op": "in", "value": [ids[6], ids[3], True, "x", 10**12]}}]}
    field = field_of(officer, "number_list", rule)
    assert field["search"] == "number_list"
    assert {choice["label"]: choice["hint"] for choice in field["choices"]} == {"Fair 4": "4", "Fair 7": "7"}
    assert sentence(parse_rule({"field": "number_list", "op": "in", "value": [ids[6]]}, load_catalogue()),
                    load_catalogue()) == "on the list “Fair 7”"  # fmt: skip
    with pytest.raises(RuleError):
        parse_rule({"field": "number_list", "op": "in", "value": [max(ids) + 1]}, load_catalogue())


def test_choices_are_found_by_all_words_typed_and_named_by_their_values(app: Flask, pages: FlaskClient) -> None:
    ids = many_lists()
    assert found(pages, of="number_list", search="5 fAIr 7") == ["Fair 57"]
    assert len(found(pages, of="number_list")) == FOUND
    assert found(pages, of="number_list", search="100%_\x00") == []
    assert sorted(found(pages, of="number_list", value=ids[:2])) == ["Fair 1", "Fair 2"]
    own, other = make_segment(name="Own"), make_segment(name="Other")
    make_segment(name="Old", archived_at=own.created_at)
    assert found(pages, of="segment", segment=own.id) == [other.name]
    for wrong in ("", "nose", "city", "risk_level", "nothing.at_all", "custom.x"):
        assert pages.get("/segments/choices", query_string={"of": wrong}).status_code == 404


def test_who_may_not_build_segments_finds_nothing(app: Flask) -> None:
    compliance = sign_in(app.test_client(), make_user(role="compliance"))
    assert compliance.get("/segments/choices?of=segment").status_code == 403


def test_campaigns_and_advisers_are_those_of_the_persons_part_of_the_firm(app: Flask) -> None:
    north, south = make_branch(), make_branch()
    local = make_user(role="marketing", branch=north)
    for branch, name in ((north, "North"), (south, "South")):
        make_user(role="adviser", branch=branch, name=f"Adviser {name}")
        make_campaign(name=f"Spring {name}", owner=make_user(role="marketing", branch=branch))
    pages = sign_in(app.test_client(), local)
    assert found(pages, of="adviser", search="adviser") == ["Adviser North"]
    (spring,) = found(pages, of="engagement.campaign", search="spring")
    assert spring.startswith("Spring North")
    assert len(found(sign_in(app.test_client(), make_user(role="marketing")), of="engagement.campaign")) == 2
    south_id = db.session.scalar(select(Campaign.id).where(Campaign.name == "Spring South"))
    rule = {"related": "engagement", "op": "gte", "value": 1, "where": {"field": "campaign", "op": "is",
            "value": south_id}}  # fmt: skip
    parse_rule(rule, load_catalogue())
    named = {choice["label"] for choice in field_of(local, "campaign", rule, "engagement")["choices"]}
    assert {name.split(" (")[0] for name in named} == {"Spring North", "Spring South"}


def test_a_builder_of_a_house_with_thousands_of_campaigns_is_no_larger(app: Flask, officer: User) -> None:
    make_campaign(owner=officer)
    small = len(json.dumps(builder_catalogue(load_catalogue(), user=officer)))
    rows, n = Campaign.__table__, func.generate_series(1, 3000).column_valued("n")
    same = [column for column in rows.c if column.name not in ("id", "code", "name")]
    copies = select(func.concat("X", n), func.concat("Campaign number ", n), *same)
    db.session.execute(insert(rows).from_select(["code", "name", *(column.name for column in same)], copies))
    db.session.commit()
    assert len(json.dumps(builder_catalogue(load_catalogue(), user=officer))) <= small
