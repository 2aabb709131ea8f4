"""The grammar of rules as JSON Schema (draft 2020-12), made from the catalogue.

Published as docs/rule.schema.json; a test keeps the two equal. Choices that a house defines itself (branches,
advisers, custom fields) are not in it: the server checks them.
"""

from collections.abc import Iterable
from typing import Any

from app.audiences.field import Field
from app.audiences.fields import CUSTOM, MAX_TAKE, OPERATORS, TAKE_ORDERS, built_in
from app.audiences.operators import PERIODS
from app.audiences.related import KINDS, RowKind
from app.audiences.rules import MAX_DAYS, MAX_NUMBER, MAX_SEED, MAX_TEXT, MAX_VALUES

# Something that is no blank, and nothing that cannot be stored.
_TEXT = {
    "type": "string",
    "maxLength": MAX_TEXT,
    "allOf": [{"pattern": r"\S"}, {"pattern": r"^[^\x00-\x1f\ud800-\udfff]*$"}],
}
_NUMBER = {"type": "number", "minimum": -MAX_NUMBER, "maximum": MAX_NUMBER}
_DATE = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "format": "date"}
_CHOICE = {"type": ["string", "integer"]}
_CUSTOM_KEY = rf"^{CUSTOM}\.[a-z][a-z0-9_]{{0,39}}$"
_SCALARS: dict[str, dict[str, Any]] = {
    "text": _TEXT,
    "list": _TEXT,
    "number": _NUMBER,
    "range": _NUMBER,
    "date": _DATE,
    "daterange": _DATE,
    "days": {"type": "integer", "minimum": 0, "maximum": MAX_DAYS},
    "period": {"enum": list(PERIODS)},
    "choice": _CHOICE,
    "choices": _CHOICE,
}


def rule_schema() -> dict[str, Any]:
    """The schema of a rule over the built-in fields and any custom field."""
    conditions = [*_conditions(built_in()), _custom()]
    kinds = {f"{kind.key}_row": _rows(kind) for kind in KINDS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rule of a Bellwether segment",
        "$ref": "#/$defs/rule",
        "$defs": {
            "rule": {"anyOf": [*_groups("rule", take=True), _ref("condition"), *map(_related, KINDS)]},
            "condition": {"anyOf": conditions},
            "take": _take(),
            **kinds,
        },
    }


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


def _groups(name: str, *, take: bool) -> list[dict[str, Any]]:
    """Groups and the negation of rules of this name."""
    members = {"type": "array", "items": _ref(name)}
    more = {"take": _ref("take")} if take else {}
    groups = [_object({key: members} | more, [key]) for key in ("all", "any")]
    return [*groups, _object({"not": _ref(name)}, ["not"])]


def _rows(kind: RowKind) -> dict[str, Any]:
    """A rule over the fields of such a row."""
    return {"anyOf": [*_groups(f"{kind.key}_row", take=False), *_conditions(kind.fields.values())]}


def _related(kind: RowKind) -> dict[str, Any]:
    base: dict[str, Any] = {"related": {"const": kind.key}, "where": _ref(f"{kind.key}_row")}
    base["of"] = {"enum": [None, *kind.sums]}
    by_value: dict[str, list[str]] = {}
    for operator in kind.operators.values():
        by_value.setdefault(operator.value, []).append(operator.key)
    forms = [
        _object(base | {"op": {"enum": keys}, "value": _value(value)}, ["related", "op", "value"])
        for value, keys in by_value.items()
    ]
    return {"anyOf": forms}


def _take() -> dict[str, Any]:
    count = {"type": "integer", "minimum": 1, "maximum": MAX_TAKE}
    seed = {"type": "integer", "minimum": 0, "maximum": MAX_SEED}
    percent = {"type": "number", "exclusiveMinimum": 0, "maximum": 100}
    ranking = [{"enum": [field.key for field in built_in() if field.ranks]}, {"type": "string", "pattern": _CUSTOM_KEY}]
    top = {"count": count, "by": {"anyOf": ranking}, "order": {"enum": list(TAKE_ORDERS)}}
    forms = (top, {"count": count, "random": seed}, {"percent": percent, "random": seed})
    return {"anyOf": [_object(form, list(form)) for form in forms]}


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _conditions(fields: Iterable[Field]) -> list[dict[str, Any]]:
    """Fields that take the same comparisons with the same kind of value stand together."""
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for field in fields:
        by_value: dict[str, list[str]] = {}
        for operator in field.operators.values():
            by_value.setdefault(operator.value, []).append(operator.key)
        for kind, operators in by_value.items():
            alike.setdefault((kind, tuple(operators)), []).append(field.key)
    return [_condition({"enum": keys}, list(operators), kind) for (kind, operators), keys in alike.items()]


def _custom() -> dict[str, Any]:
    key = {"type": "string", "pattern": _CUSTOM_KEY}
    every = sorted({operator for of_type in OPERATORS.values() for operator in of_type})
    return _object({"field": key, "op": {"enum": every}, "value": {}}, ["field", "op"])


def _condition(key: dict[str, Any], operators: list[str], kind: str) -> dict[str, Any]:
    properties: dict[str, Any] = {"field": key, "op": {"enum": operators}}
    if kind == "none":
        return _object(properties | {"value": {"type": "null"}}, ["field", "op"])
    return _object(properties | {"value": _value(kind)}, ["field", "op", "value"])


def _value(kind: str) -> dict[str, Any]:
    one: dict[str, Any] = _SCALARS[kind]
    if kind in ("list", "choices"):
        return {"type": "array", "items": one, "minItems": 1, "maxItems": MAX_VALUES}
    if kind in ("range", "daterange"):
        return {"type": "array", "items": one, "minItems": 2, "maxItems": 2}
    return one
