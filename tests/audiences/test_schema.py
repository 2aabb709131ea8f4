"""The published grammar: it is that of the catalogue, and the parser says the same of every rule."""

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from app.audiences.fields import built_in, load_catalogue
from app.audiences.related import KINDS
from app.audiences.rules import MAX_TAKE, RuleError, parse_rule
from app.audiences.schema import rule_schema

PUBLISHED = Path(__file__).parents[2] / "docs" / "rule.schema.json"
SCHEMA = Draft202012Validator(json.loads(json.dumps(rule_schema())))


def test_the_published_schema_is_the_one_the_catalogue_gives() -> None:
    """Renew it with: flask segments schema > docs/rule.schema.json"""
    assert json.loads(PUBLISHED.read_text()) == json.loads(json.dumps(rule_schema()))
    Draft202012Validator.check_schema(rule_schema())


# Values of every kind, right for some comparisons and wrong for the others. Choices are left to the server.
scalars = st.sampled_from(
    (None, True, "Wuhan", " ", "", "a\x1fb", "x" * 501, 0, 7, 7.0, 1.5, -3, 10**16, 36_501, "2026-01-31", "this_week")
)
values = st.one_of(scalars, st.lists(scalars, max_size=3), st.just([1, 2]), st.just(["2026-01-01", "2026-01-31"]))
client_fields = [field for field in built_in() if not field.takes_choices]


def conditions(fields: list[Any]) -> st.SearchStrategy[dict[str, Any]]:
    keys = st.sampled_from([field.key for field in fields] + ["nose", ""])
    operators = st.sampled_from(sorted({op for field in fields for op in field.operators} | {"like"}))
    right = st.sampled_from(fields).flatmap(
        lambda field: st.fixed_dictionaries(
            {"field": st.just(field.key), "op": st.sampled_from(list(field.operators))}, optional={"value": values}
        )
    )
    wrong = st.fixed_dictionaries({"field": keys, "op": operators}, optional={"value": values, "more": scalars})
    return st.one_of(right, right, wrong)


def related(kind: Any) -> st.SearchStrategy[dict[str, Any]]:
    inner = conditions([field for field in kind.fields.values() if not field.takes_choices])
    return st.fixed_dictionaries(
        {
            "related": st.sampled_from((kind.key, "friends")),
            "op": st.sampled_from(("gte", "between", "known")),
            "value": values,
        },
        optional={
            "where": st.one_of(inner, st.lists(inner, max_size=2).map(lambda rules: {"all": rules}), scalars),
            "of": st.sampled_from((None, "amount", "kind", "value")),
            "take": st.just({}),
        },
    )


numbers = st.sampled_from((0, 1, 5.0, 1.5, "1", None, MAX_TAKE + 1, 2**31, 100, 101))
takes = st.one_of(
    st.fixed_dictionaries(
        {
            "count": numbers,
            "by": st.sampled_from(("total_assets", "city", "age", None)),
            "order": st.sampled_from(("most", "up")),
        }
    ),
    st.fixed_dictionaries({"count": numbers, "random": numbers}),
    st.fixed_dictionaries({"percent": numbers, "random": numbers}, optional={"count": numbers}),
    scalars,
)
leaves = st.one_of(conditions(client_fields), *map(related, KINDS), scalars)
rules = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"all": st.lists(inner, max_size=3)}, optional={"take": takes}),
        st.fixed_dictionaries({"any": st.one_of(inner, st.lists(inner, max_size=2))}),
        st.fixed_dictionaries({"not": inner}, optional={"take": takes}),
    ),
    max_leaves=4,
)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(rule=rules)
def test_schema_and_parser_say_the_same(app: Flask, rule: Any) -> None:
    try:
        parse_rule(rule, load_catalogue())
    except RuleError as error:
        if "greater than the second" in str(error.problem):
            return  # a schema cannot compare two values
        accepted, problem = False, str(error)
    else:
        accepted, problem = True, ""
    assert SCHEMA.is_valid(rule) is accepted, problem


@pytest.mark.parametrize("field", [field for field in built_in() if field.takes_choices], ids=lambda field: field.key)
def test_the_schema_takes_every_choice_there_is(app: Flask, field: Any) -> None:
    for value in load_catalogue().choices(field):
        operator = next(op for op in field.operators.values() if op.value in ("choice", "choices"))
        rule = {"field": field.key, "op": operator.key, "value": value if operator.value == "choice" else [value]}
        assert SCHEMA.is_valid(rule)
        parse_rule(rule, load_catalogue())
