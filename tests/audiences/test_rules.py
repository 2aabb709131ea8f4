"""The grammar: what is taken, what is refused, and where the refusal points to."""

import json
from datetime import date
from typing import Any

import pytest
from flask import Flask

from app.audiences.fields import load_catalogue
from app.audiences.models import Segment
from app.audiences.rules import (
    MAX_CHARACTERS,
    MAX_CONDITIONS,
    MAX_RELATED,
    Condition,
    Group,
    RuleError,
    SegmentLoop,
    dump_rule,
    parse_rule,
    parse_rule_text,
    segments_in,
)
from tests.factories.audiences import make_segment
from tests.factories.clients import make_custom_field

OLD = {"field": "age", "op": "gte", "value": 60}
TRADES = {"related": "transactions", "op": "gte", "value": 2}


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
        ({"any": [OLD] * 10_000}, f"any[{MAX_CONDITIONS}]", "200 conditions"),
        ({"all": [TRADES] * (MAX_RELATED + 1)}, f"all[{MAX_RELATED}]", "20 times at most"),
        (TRADES | {"related": "friends"}, "related", "no related rows “friends”"),
        (TRADES | {"related": ["x"]}, "related", "no related rows"),
        (TRADES | {"op": "known"}, "op", "knows no comparison “known”"),
        (TRADES | {"value": "2"}, "value", "a number"),
        (TRADES | {"op": "between", "value": 2}, "value", "from and to"),
        (TRADES | {"of": "kind"}, "of", "“kind” cannot be added up"),
        (TRADES | {"of": {}}, "of", "cannot be added up"),
        (TRADES | {"where": OLD}, "where.field", "no field “age”"),
        (TRADES | {"where": {"all": [TRADES]}}, "where.all[0]", "cannot have related rows themselves"),
        (TRADES | {"where": {"all": [], "take": {"count": 1, "random": 1}}}, "where.take", "Only clients"),
        ({"all": [], "take": {"count": 1}}, "take", "“count”, “by” and “order”"),
        ({"all": [], "take": [1]}, "take", "“count”, “by” and “order”"),
        ({"all": [], "take": {"count": 0, "random": 1}}, "take.count", "from 1 to"),
        ({"all": [], "take": {"count": 10**400, "random": 1}}, "take.count", "too large"),
        ({"all": [], "take": {"count": 1, "random": -1}}, "take.random", "from 0 to"),
        ({"all": [], "take": {"percent": 0, "random": 1}}, "take.percent", "over 0"),
        ({"all": [], "take": {"count": 1, "by": "city", "order": "most"}}, "take.by", "put in order by “city”"),
        ({"all": [], "take": {"count": 1, "by": "age", "order": "up"}}, "take.by", "put in order"),
        ({"all": [], "take": {"count": 1, "by": "total_assets", "order": "up"}}, "take.order", "“most” or “least”"),
        ({"not": OLD, "take": {"count": 1, "random": 1}}, "", "A rule is one of"),
        ({"field": "segment", "op": "in", "value": [99]}, "value[0]", "not a choice of “Segment”"),
        ({"field": "number_list", "op": "in", "value": []}, "value", "at least one"),
        ({"field": "city", "op": "in", "value": ["a\x1fb"]}, "value[0]", "cannot be stored"),
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


def test_every_form_is_read_and_written_back(app: Flask) -> None:
    segment = make_segment(rule=OLD)
    rule = {
        "any": [
            {
                "related": "transactions",
                "where": {"all": [{"field": "on_date", "op": "in_last_days", "value": 90}]},
                "op": "between",
                "value": [2, 10],
                "of": "amount",
            },
            {"all": [OLD], "take": {"count": 5, "by": "net_inflow_90", "order": "least"}},
            {"all": [OLD], "take": {"percent": 2.5, "random": 7}},
            {"field": "segment", "op": "not_in", "value": [segment.id]},
        ],
        "take": {"count": 100, "random": 1},
    }
    assert dump_rule(parse_rule(rule, load_catalogue())) == rule
    assert segments_in(rule) == {segment.id}


def takes_in(*segments: Segment) -> dict[str, Any]:
    return {"field": "segment", "op": "in", "value": [segment.id for segment in segments]}


def test_segments_that_lead_back_to_themselves_are_named(app: Flask) -> None:
    first, second, third = (make_segment(name=name) for name in ("First", "Second", "Third"))
    second.rule, third.rule = takes_in(third), {"not": takes_in(first)}
    with pytest.raises(SegmentLoop) as caught:
        parse_rule({"all": [takes_in(second)]}, load_catalogue(), within=first)
    assert str(caught.value) == (
        "At all[0].value[0]: These segments lead back to themselves: “First” > “Second” > “Third” > “First”."
    )
    first.rule = takes_in(second)
    with pytest.raises(SegmentLoop):
        parse_rule(takes_in(third), load_catalogue())


def test_a_problem_inside_a_segment_names_the_segment(app: Flask) -> None:
    broken = make_segment(name="Broken", rule={"all": [{"field": "custom.gone", "op": "known"}]})
    error = refusal({"all": [takes_in(broken)]})
    assert error.path == "all[0].value[0]"
    assert "In the segment “Broken”: At all[0].field: Your firm has no field" in str(error)


def test_conditions_count_through_the_segments_that_are_taken_in(app: Flask) -> None:
    """A bomb: each segment takes the one before in ten times."""
    bomb = make_segment(rule={"any": [OLD] * 10})
    for _ in range(3):
        bomb = make_segment(rule={"any": [takes_in(bomb)] * 10})
    assert "200 conditions" in str(refusal(takes_in(bomb)))


def test_depth_counts_through_the_segments_that_are_taken_in(app: Flask) -> None:
    segment = make_segment(rule=nested(6))
    assert "8 deep" in str(refusal({"all": [{"all": [takes_in(segment)]}]}))


def test_a_rule_of_a_hundred_thousand_levels_or_characters_is_refused(app: Flask) -> None:
    for text in ('{"not":' * 100_000, " " * (MAX_CHARACTERS + 1), '{"not":' * 300 + "{}" + "}" * 300):
        with pytest.raises(RuleError):
            parse_rule_text(text, load_catalogue())
    deep: dict[str, Any] = OLD
    for _ in range(200):
        deep = {"all": [deep]}
    assert "8 deep" in str(refusal(deep))


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
