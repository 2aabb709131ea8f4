"""What the builder in the browser is given: the catalogue, and what helps people to find their way in it."""

from typing import Any

from flask_babel import force_locale, format_decimal, get_locale
from sqlalchemy import select

from app.audiences.fields import Catalogue
from app.audiences.lists.models import NumberList
from app.audiences.models import Segment
from app.audiences.rules import MAX_CONDITIONS, MAX_DEPTH
from app.clients.queries import sees_whole_book
from app.core.extensions import LANGUAGES, db
from app.users.models import User

# Under which heading of fields a kind of related rows is offered.
_HEADINGS = {"engagement": "engagement", "class_changes": "classes"}


def builder_catalogue(catalogue: Catalogue, *, user: User, segment: Segment | None = None) -> dict[str, Any]:
    """`Catalogue.for_builder` with what is needed besides:

    - `also` of a field and a kind of related rows: its label in the other languages, so that either finds it;
    - `hint` of a segment and a number list to choose from: its size as last counted, for those who see all clients;
      `segment`, whose rule it is, is not offered to itself;
    - `group` of a kind of related rows, and the `limits` of a rule.
    """
    data = catalogue.for_builder()
    others = _labels_in_other_languages(catalogue)
    for field in data["fields"]:
        field["also"] = others.get(field["key"], "")
    for kind in data["related"]:
        kind |= {"group": _HEADINGS.get(kind["key"], "holdings"), "also": others.get(f"related {kind['key']}", "")}
    by_key = {field["key"]: field for field in data["fields"]}
    if sees_whole_book(user):
        _add_sizes(by_key["segment"], select(Segment.id, Segment.last_count).where(Segment.archived_at.is_(None)))
        _add_sizes(by_key["number_list"], select(NumberList.id, NumberList.size))
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


def _add_sizes(field: dict[str, Any], sizes: Any) -> None:
    known = {number: size for number, size in db.session.execute(sizes) if size is not None}
    for choice in field["choices"] or []:
        if choice["value"] in known:
            choice["hint"] = format_decimal(known[choice["value"]])
