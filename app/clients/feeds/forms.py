"""Forms of the feed pages. The columns are read by `definition_of_form`: a line a target, options below."""

import re
from collections.abc import Mapping as MappingType
from typing import Any

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired
from wtforms import BooleanField, SelectField, StringField, TimeField
from wtforms.validators import InputRequired, Length, Optional

from app.clients.feeds.definitions import TARGETS
from app.clients.feeds.labels import KIND_LABELS, SCHEDULE_LABELS
from app.core.form_fields import options

_FILE_HELP = _l("CSV, TSV or Excel (.xlsx). The first row names the columns.")


class FeedForm(FlaskForm):  # type: ignore[misc]
    name = StringField(
        _l("Name"),
        validators=[InputRequired(_l("Please enter a name.")), Length(max=40)],
        description=_l("Letters, digits, hyphens and underscores, such as daily-balances. It cannot be changed later."),
    )
    kind = SelectField(_l("What the rows are"), choices=options(KIND_LABELS))
    source = StringField(
        _l("Source"),
        validators=[InputRequired(_l("Please name the system that the rows come from.")), Length(max=40)],
        description=_l("The system the rows come from, such as core. Transactions are unique within their source."),
    )
    file = FileField(
        _l("A file as an example"), validators=[FileRequired(_l("Please choose a file."))], description=_FILE_HELP
    )


class SampleForm(FlaskForm):  # type: ignore[misc]
    file = FileField(
        _l("Another file as an example"), validators=[FileRequired(_l("Please choose a file."))], description=_FILE_HELP
    )


class LoadForm(FlaskForm):  # type: ignore[misc]
    file = FileField(_l("File"), validators=[FileRequired(_l("Please choose a file."))], description=_FILE_HELP)
    again = BooleanField(_l("Load it even if the same file was loaded before"))


class ScheduleForm(FlaskForm):  # type: ignore[misc]
    schedule = SelectField(_l("Look into the folder"), choices=options(SCHEDULE_LABELS))
    daily_at = TimeField(_l("Time of day"), validators=[Optional()], description=_l("In the firm’s time zone."))
    enabled = BooleanField(_l("The feed is switched on"))


# ---- Columns --------------------------------------------------------------------------------------------------------


def definition_of_form(form: MappingType[str, str], kind: str, columns: list[str]) -> dict[str, Any]:
    """The plain definition that a filled-in page says; `read_definition` checks it."""
    chosen: dict[str, Any] = {}
    for target in TARGETS[kind]:
        source = _where_from(form, target, columns)
        if source is not None:
            chosen[target] = source | _how_read(form, target)
    only = _number(form.get("only-column"))
    words = _list(form.get("only-words", ""))
    limit = _number(form.get("refused_limit"))
    return {
        "columns": chosen,
        "only": {columns[only]: words} if only is not None and only < len(columns) and words else {},
        "missing": _list(form.get("missing", "")),
        "date_order": form.get("date_order") or None,
        "decimal_mark": form.get("decimal_mark") or ".",
        "encoding": form.get("encoding", "").strip() or None,
        "refused_limit": 20 if limit is None else limit,
        **{name: name in form for name in ("create_clients", "move_accounts", "whole_statements", "open_end")},
    }


def _where_from(form: MappingType[str, str], target: str, columns: list[str]) -> dict[str, Any] | None:
    position = _number(form.get(f"column-{target}"))
    if position is not None and position < len(columns):
        return {"column": columns[position]}
    words = form.get(f"text-{target}", "").strip()
    if not words:
        return None
    return {"template": words} if re.search(r"\{[^{}]+\}", words) else {"constant": words}


def _how_read(form: MappingType[str, str], target: str) -> dict[str, Any]:
    year = _number(form.get(f"year-{target}"))
    lines = [line.partition("=") for line in form.get(f"map-{target}", "").splitlines() if line.strip()]
    plain = {
        "map": {word.strip(): means.strip() for word, _equals, means in lines} if lines else None,
        "else": form.get(f"else-{target}", "").strip() or None,
        "format": form.get(f"format-{target}", "").strip() or None,
        "from_year": year,
        "sign": form.get(f"sign-{target}") or None,
    }
    return {part: value for part, value in plain.items() if value is not None}


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"[0-9]{1,9}", text) else None


def _list(text: str) -> list[str]:
    return [word.strip() for word in re.split(r"[,，\n]", text) if word.strip()]
