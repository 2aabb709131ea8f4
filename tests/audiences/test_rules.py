"""The grammar: what is taken, what is refused, and where the refusal points to."""

import json
from datetime import date
from typing import Any

import pytest
from flask import Flask

from app.audiences.fields import load_catalogue
from app.audiences.rules import MAX_CONDITIONS, Condition, Group, RuleError, dump_rule, parse_rule, parse_rule_text
from tests.factories.clients import make_custom_field

OLD = {"field": "age", "op": "gte", "value": 60}


def refusal(rule: Any) -> RuleError:
    with pytest.raises(RuleError) as caught:
        parse_rule(rule, load_catalogue())
    return caught.value


def nested(depth: int) -> dict[str, Any]:
    rule: dict[str, Any] = OLD
    for _ in range(depth):
        rule = {"all": [rule]}
    return rule


def test_a_rule_is_read_and_written_back(app: Flask) -> None:
    rule = {
        "all": [
            {"field": "age", "op": "between", "value": [18, 60.5]},
            {"not": {"any": [{"field": "city", "op": "in", "value": ["Wuhan", "北京"]}]}},
            {"field": "birth_date", "op": "on", "value": "2000-02-29"},
            {"field": "status", "op": "is", "value": "client"},
            {"field": "email", "op": "known"},
        ]
    }
    parsed = parse_rule(rule, load_catalogue())
    assert isinstance(parsed, Group)
    assert isinstance(parsed.rules[2], Condition)
    assert parsed.rules[2].value == date(2000, 2, 29)
    assert dump_rule(parsed) == rule


@pytest.mark.parametrize(
    ("rule", "path", "words"),
    [
        ([], "", "a group, a “not” or a condition"),
        ({}, "", "A rule is one of"),
        ({"all": [], "any": []}, "", "A rule is one of"),
        ({"all": OLD}, "all", "a list of rules"),
        ({"all": [OLD, {"field": "age", "op": "gte", "value": "x"}]}, "all[1].value", "a number"),
        ({"not": {"any": [{"field": "nose", "op": "is"}]}}, "not.any[0].field", "no field “nose”"),
        ({"field": "custom.nose", "op": "is"}, "field", "no field “custom.nose” (any more)"),
        ({"field": ["age"], "op": "gte"}, "field", "There is no field"),
        ({"field": "age", "op": "contains", "value": 1}, "op", "knows no comparison “contains”"),
        ({"field": "age", "op": {}, "value": 1}, "op", "knows no comparison"),
        ({"field": "email", "op": "contains", "value": "a"}, "op", "only: known, missing"),
        ({"field": "age", "op": "gte", "value": True}, "value", "a number"),
        ({"field": "age", "op": "gte", "value": float("nan")}, "value", "a number"),
        ({"field": "age", "op": "gte", "value": float("inf")}, "value", "too large"),
        ({"field": "age", "op": "gte", "value": 10**400}, "value", "too large"),
        ({"field": "age", "op": "gte"}, "value", "a number"),
        ({"field": "age", "op": "between", "value": [1]}, "value", "from and to"),
        ({"field": "age", "op": "between", "value": [2, 1]}, "value", "not be greater"),
        ({"field": "age", "op": "between", "value": [1, None]}, "value[1]", "a number"),
        ({"field": "age", "op": "known", "value": 1}, "value", "takes no value"),
        ({"field": "city", "op": "is", "value": " "}, "value", "a text"),
        ({"field": "city", "op": "is", "value": 7}, "value", "a text"),
        ({"field": "city", "op": "is", "value": "a\0b"}, "value", "cannot be stored"),
        ({"field": "city", "op": "is", "value": "\ud800"}, "value", "cannot be stored"),
        ({"field": "city", "op": "is", "value": "x" * 501}, "value", "500 characters"),
        ({"field": "city", "op": "in", "value": []}, "value", "at least one"),
        ({"field": "city", "op": "in", "value": ["a", 1]}, "value[1]", "a text"),
        ({"field": "city", "op": "in", "value": ["a"] * 1001}, "value", "1000 values"),
        ({"field": "birth_date", "op": "on", "value": "2001-02-29"}, "value", "a date such as"),
        ({"field": "birth_date", "op": "on", "value": "20010228"}, "value", "a date such as"),
        ({"field": "birth_date", "op": "in_last_days", "value": 1.5}, "value", "whole number of days"),
        ({"field": "birth_date", "op": "in_last_days", "value": -1}, "value", "whole number of days"),
        ({"field": "status", "op": "is", "value": "gone"}, "value", "“gone” is not a choice of “Status”"),
        ({"field": "status", "op": "in", "value": ["client", []]}, "value[1]", "is not a choice"),
        ({"field": "risk_level", "op": "is", "value": True}, "value", "is not a choice"),
        ({"field": "branch", "op": "is", "value": "nowhere"}, "value", "is not a choice"),
        ({"field": "age", "op": "gte", "value": 1, "more": 1}, "", "A rule is one of"),
        ({"any": [OLD] * (MAX_CONDITIONS + 1)}, f"any[{MAX_CONDITIONS}]", "200 conditions"),
    ],
)
def test_a_refusal_leads_to_the_place_and_says_why(app: Flask, rule: Any, path: str, words: str) -> None:
    error = refusal(rule)
    assert error.path == path
    assert words in str(error.problem)
    assert str(error).startswith(f"At {path}: " if path else str(error.problem))


def test_groups_nest_eight_deep_and_no_deeper(app: Flask) -> None:
    parse_rule(nested(8), load_catalogue())
    error = refusal(nested(9))
    assert error.path.count("all") == 8
    assert "8 deep" in str(error)


@pytest.mark.parametrize("text", ["", "{", "{'all': []}", "[" * 100_000])
def test_text_that_is_no_json_is_refused_with_a_sentence(app: Flask, text: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse_rule_text(text, load_catalogue())
    assert caught.value.path == ""


def test_every_field_offers_each_of_its_operators_to_the_builder(app: Flask) -> None:
    make_custom_field("job", type="choice", slot="text_01", choices=["student", "retired"], label="Job")
    catalogue = load_catalogue()
    builder = json.loads(json.dumps(catalogue.for_builder()))
    groups = {group["key"] for group in builder["groups"]}
    fields = {field["key"]: field for field in builder["fields"]}
    assert fields.keys() == catalogue.fields.keys()
    for field in fields.values():
        assert field["group"] in groups
        assert field["operators"]
    assert fields["custom.job"]["choices"] == [
        {"value": "student", "label": "student"},
        {"value": "retired", "label": "retired"},
    ]
    assert [one["key"] for one in fields["email"]["operators"]] == ["known", "missing"]
    assert [one["value"] for one in fields["account_kinds"]["operators"]][:3] == ["text", "text", "list"]
