"""The grammar of rules as JSON Schema (draft 2020-12), made from the catalogue.

Published as docs/rule.schema.json; a test keeps the two equal. Choices that a house defines itself (branches,
advisers, custom fields) are not in it: the server checks them.
"""

from typing import Any

from app.audiences.fields import CUSTOM, OPERATORS, Field, built_in
from app.audiences.rules import MAX_DAYS, MAX_NUMBER, MAX_TEXT, MAX_VALUES

_TEXT = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
_NUMBER = {"type": "number", "minimum": -MAX_NUMBER, "maximum": MAX_NUMBER}
_DATE = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "format": "date"}
_CHOICE = {"type": ["string", "integer"]}
_SCALARS = {
    "text": _TEXT,
    "list": _TEXT,
    "number": _NUMBER,
    "range": _NUMBER,
    "date": _DATE,
    "daterange": _DATE,
    "days": {"type": "integer", "minimum": 0, "maximum": MAX_DAYS},
    "choice": _CHOICE,
    "choices": _CHOICE,
}


def rule_schema() -> dict[str, Any]:
    """The schema of a rule over the built-in fields and any custom field."""
    groups: list[dict[str, Any]] = [
        _object({key: {"type": "array", "items": {"$ref": "#/$defs/rule"}}}, [key]) for key in ("all", "any")
    ]
    negation = _object({"not": {"$ref": "#/$defs/rule"}}, ["not"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rule of a Bellwether segment",
        "$ref": "#/$defs/rule",
        "$defs": {
            "rule": {"anyOf": [*groups, negation, {"$ref": "#/$defs/condition"}]},
            "condition": {"anyOf": [*(_conditions({"const": field.key}, field) for field in built_in()), _custom()]},
        },
    }


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _conditions(key: dict[str, Any], field: Field) -> dict[str, Any]:
    by_value: dict[str, list[str]] = {}
    for operator in field.operators.values():
        by_value.setdefault(operator.value, []).append(operator.key)
    return {"anyOf": [_condition(key, operators, kind) for kind, operators in by_value.items()]}


def _custom() -> dict[str, Any]:
    key = {"type": "string", "pattern": f"^{CUSTOM}\\.[a-z][a-z0-9_]{{0,39}}$"}
    every = sorted({operator for of_type in OPERATORS.values() for operator in of_type})
    return _object({"field": key, "op": {"enum": every}, "value": {}}, ["field", "op"])


def _condition(key: dict[str, Any], operators: list[str], kind: str) -> dict[str, Any]:
    properties: dict[str, Any] = {"field": key, "op": {"enum": operators}}
    if kind == "none":
        return _object(properties, ["field", "op"])
    one = _SCALARS[kind]
    if kind in ("list", "choices"):
        one = {"type": "array", "items": one, "minItems": 1, "maxItems": MAX_VALUES}
    elif kind in ("range", "daterange"):
        one = {"type": "array", "items": one, "minItems": 2, "maxItems": 2}
    return _object(properties | {"value": one}, ["field", "op", "value"])
