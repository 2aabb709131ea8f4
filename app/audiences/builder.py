"""What the builder in the browser is given: the catalogue, and what helps people to find their way in it."""

import json
from collections.abc import Sequence
from typing import Any

from flask_babel import force_locale, get_locale

from app.audiences.choices import Directory
from app.audiences.fields import FOUND, Catalogue, choice_for_builder, is_id
from app.audiences.models import Segment
from app.audiences.rules import MAX_CONDITIONS, MAX_DEPTH, MAX_VALUES, SEGMENT
from app.core.errors import NotFound
from app.core.extensions import LANGUAGES
from app.users.models import User

# Under which heading of fields a kind of related rows is offered.
_HEADINGS = {"engagement": "engagement", "class_changes": "classes"}


def builder_catalogue(
    catalogue: Catalogue, *, user: User, rule: str | None = None, segment: Segment | None = None
) -> dict[str, Any]:
    """`Catalogue.for_builder` with what is needed besides:

    - `also` of a field and a kind of related rows: its label in the other languages, so that either finds it;
    - of choices found by typing, those that the rule (JSON text) has chosen; `segment`, whose rule it is, is not
      offered to itself;
    - `group` of a kind of related rows, and the `limits` of a rule.
    """
    data = catalogue.for_builder(user, _decoded(rule))
    others = _labels_in_other_languages(catalogue)
    for field in data["fields"]:
        field["also"] = others.get(field["key"], "")
    for kind in data["related"]:
        kind |= {"group": _HEADINGS.get(kind["key"], "holdings"), "also": others.get(f"related {kind['key']}", "")}
    by_key = {field["key"]: field for field in data["fields"]}
    if segment is not None:
        offered = by_key["segment"]["choices"] or []
        by_key["segment"]["choices"] = [choice for choice in offered if choice["value"] != segment.id]
    return data | {"limits": {"depth": MAX_DEPTH, "conditions": MAX_CONDITIONS}}


def _labels_in_other_languages(catalogue: Catalogue) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for language in LANGUAGES:
        if language == str(get_locale()):
            continue
        with force_locale(language):
            for key, field in catalogue.fields.items():
                found.setdefault(key, []).append(str(field.label))
            for key, kind in catalogue.kinds.items():
                found.setdefault(f"related {key}", []).append(str(kind.label))
    return {key: " ".join(labels) for key, labels in found.items()}


def matching_choices(
    catalogue: Catalogue, *, of: str, typed: str, chosen: Sequence[int] = (), user: User, segment_id: int | None = None
) -> list[dict[str, Any]]:
    """The first choices of a field (`search` of the catalogue) whose label has all the words; where `chosen` names
    some, these instead. Raises NotFound for a field whose choices are not found by typing."""
    field = catalogue.field_named(of)
    if field is None or not isinstance(field.choices, Directory):
        raise NotFound
    if chosen:
        found = field.choices.named([value for value in chosen[:MAX_VALUES] if is_id(value)])
    else:
        found = field.choices.matching(typed, user, FOUND + 1)
    own = segment_id if field.key == SEGMENT else None
    return [choice_for_builder(choice, user) for choice in found if choice.value != own][: None if chosen else FOUND]


def _decoded(rule: str | None) -> object:
    try:
        return json.loads(rule or "null")
    except (ValueError, RecursionError):
        return None
