"""The mapping as people fill it in: a line for each column of the file, and values that come from no column."""

import re
from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext as _

from app.clients.importing.mapping import (
    CUSTOM,
    TARGETS,
    BadMapping,
    ColumnSample,
    Mapping,
    NewField,
    field_key,
    guess_type,
    read_mapping,
)
from app.clients.importing.row_masks import kinds_of, mask_of, masked

NEW = "new"
# Targets that make sense without a column; shown as text boxes.
FIXED = ("number", "email", "email_consent", "sms_consent", "call_consent", "branch", "status", "source", "tags")
ROW_NUMBER = "{row_number}"
SHOWN_VALUES = 4


@dataclass(frozen=True, slots=True)
class ColumnLine:
    """One column of the file as the form shows it. `becomes` is a target, NEW, or "" (left out)."""

    position: int
    name: str
    values: list[str]
    becomes: str
    key: str
    label: str
    type: str


def column_lines(mapping: Mapping, columns: list[str], samples: list[ColumnSample], keys: set[str]) -> list[ColumnLine]:
    """The lines for a completed mapping (see `complete_fields`). `keys` are those of the firm's fields."""
    targets = {source["column"]: target for target, source in mapping.columns.items() if "column" in source}
    taken = keys | {new.key for new in mapping.new_fields.values()}
    lines = []
    kinds = mask_of(columns, kinds_of(mapping)).kinds
    for position, (column, sample, kind) in enumerate(zip(columns, samples, kinds, strict=True)):
        new = mapping.new_fields.get(column)
        if new is None:
            new = NewField(field_key(column, taken), column, guess_type(sample.without(mapping.missing)))
            taken.add(new.key)
            becomes = targets.get(column, "")
        else:
            becomes = NEW
        shown = list(sample.distinct)[:SHOWN_VALUES]
        shown = [masked(value, kind) for value in shown]
        lines.append(ColumnLine(position, column, shown, becomes, new.key, new.label, new.type))
    return lines


def fixed_values(mapping: Mapping) -> dict[str, str]:
    """What the text boxes show: a constant as it is, a template with its braces."""
    shown = {}
    for target in FIXED:
        source = mapping.columns.get(target, {})
        shown[target] = ROW_NUMBER if "row_number" in source else source.get("constant") or source.get("template") or ""
    return shown


def mapping_of_form(form: MappingType[str, str], columns: list[str]) -> Mapping:
    """Read the form. Raises BadMapping with a sentence."""
    chosen: dict[str, dict[str, Any]] = {}
    new_fields: dict[str, dict[str, str]] = {}
    for position, column in enumerate(columns):
        becomes = form.get(f"becomes-{position}", "")
        if becomes == NEW:
            new_fields[column] = {
                "key": form.get(f"key-{position}", "").strip() or field_key(column, ()),
                "label": form.get(f"label-{position}", "").strip()[:80] or column,
                "type": form.get(f"type-{position}", "text"),
            }
        elif becomes:
            _fill(chosen, becomes, {"column": column})
    for target in FIXED:
        words = form.get(f"fixed-{target}", "").strip()
        if words:
            _fill(chosen, target, _fixed_source(words))
    return read_mapping(
        {
            "columns": chosen,
            "missing": [word for word in re.split(r"[,，\n]", form.get("missing", "")) if word.strip()],
            "new_fields": new_fields,
            "other_columns": "ignore",
            "date_order": form.get("date_order") or None,
            "decimal_mark": form.get("decimal_mark") or ".",
            "region": form.get("region", "").strip().upper() or None,
        }
    )


def _fixed_source(words: str) -> dict[str, Any]:
    if words == ROW_NUMBER:
        return {"row_number": True}
    return {"template": words} if re.search(r"\{[^{}]+\}", words) else {"constant": words}


def _fill(chosen: dict[str, dict[str, Any]], target: str, source: dict[str, Any]) -> None:
    if target in chosen:
        label = TARGETS[target][0] if target in TARGETS else target.removeprefix(CUSTOM)
        raise BadMapping(_("“%(target)s” is filled twice. Please choose one source for it.", target=str(label)))
    chosen[target] = source
