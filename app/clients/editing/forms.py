"""The forms that facts are typed into. Their fields come from the table of facts, so that each is declared once."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    HiddenField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired, Length

from app.clients.editing.fields import NEEDED, Fact, masked_value, may_change, typed, waits
from app.clients.importing.values import BadValue, parse_client_number
from app.clients.labels import FLAG_LABELS
from app.clients.models import Client
from app.core.form_fields import CheckboxesField, options
from app.users.models import User
from app.users.queries import branch_tree

MAX_TYPED = 2_000
_REMOVE = "remove_"


class ClientForm(FlaskForm):  # type: ignore[misc]
    """Made by `client_form`, with a field per fact the person may change."""

    seen = HiddenField()


class NewClientForm(FlaskForm):  # type: ignore[misc]
    number = StringField(
        _l("Client no."),
        validators=[Length(max=64)],
        description=_l("Leave empty for a lead: it gets a number of its own."),
    )
    anyway = BooleanField(_l("Somebody else: add them anyway"))


class FlagForm(FlaskForm):  # type: ignore[misc]
    flag = SelectField(_l("Flag"), choices=options(FLAG_LABELS))
    reason = StringField(
        _l("Reason"),
        validators=[InputRequired(_l("Please give a reason; it is kept in the audit trail.")), Length(max=500)],
    )


class RefusalForm(FlaskForm):  # type: ignore[misc]
    reason = StringField(
        _l("Reason"),
        validators=[InputRequired(_l("Please give a reason; it is kept in the audit trail.")), Length(max=500)],
    )


def client_form(facts: Sequence[Fact], *, client: Client | None, actor: User) -> Any:
    """A form with the facts that the actor may change, filled with what is known of the client (None: a new one).

    Secret values are never repeated: their fields are empty, show the masked value, and empty means "as it is".
    """
    base = ClientForm if client is not None else NewClientForm
    fields: dict[str, Any] = {}
    data: dict[str, Any] = {}
    for fact in facts:
        if not may_change(fact, actor):
            continue
        name = field_name(fact)
        value = getattr(client, fact.column) if client is not None else _first_value(fact, actor)
        fields[name] = _field(fact, actor, client, value)
        data[name] = list(value or ()) if fact.kind == "choices" else "" if fact.secret else typed(value)
        if fact.secret and value:
            fields[_REMOVE + name] = BooleanField(_l("Remove it"))
    return cast(Any, type("FactsForm", (base,), fields))(data=data)


def field_name(fact: Fact) -> str:
    """The name of the form's field of a fact."""
    return fact.key.replace(".", "-")


def read_values(form: Any, facts: Sequence[Fact], *, client: Client | None) -> dict[str, Any] | None:
    """What was typed, parsed, by key of the fact; None where something cannot be read (the fields say what)."""
    valid = bool(form.validate())
    values: dict[str, Any] = {}
    for fact in facts:
        field = form._fields.get(field_name(fact))
        if field is None:
            continue
        try:
            found = _read(form, fact, field)
        except BadValue as problem:
            field.errors = [str(problem.message) % {"value": _shown(field.data)}]
            valid = False
            continue
        if found is not _UNCHANGED:
            values[fact.key] = found
    if client is None and form.number.data and not form.number.errors:
        try:
            form.number.data = parse_client_number(form.number.data.strip()) if form.number.data.strip() else ""
        except BadValue as problem:
            form.number.errors = [str(problem.message) % {"value": _shown(form.number.data)}]
            valid = False
    return values if valid else None


_UNCHANGED = object()


def _read(form: Any, fact: Fact, field: Any) -> Any:
    if fact.kind == "choices":
        return list(field.data or ())
    text = (field.data or "").replace("\x00", "").strip()
    if fact.secret and not text:
        removed = form._fields.get(_REMOVE + field_name(fact))
        return None if removed is not None and removed.data else _UNCHANGED
    if not text:
        if fact.key in NEEDED:
            raise BadValue(_("Please choose one."))
        return None
    return fact.parse(text)


def _shown(text: object) -> str:
    words = str(text or "")
    return words if len(words) <= 60 else words[:60] + "…"


def _first_value(fact: Fact, actor: User) -> Any:
    return {"status": "lead", "kind": "person", "branch_id": actor.branch_id}.get(
        fact.key, False if fact.key in NEEDED else None
    )


def _field(fact: Fact, actor: User, client: Client | None, value: Any) -> Any:
    help_text = fact.help
    if client is not None and waits(fact, actor):
        help_text = _l("Your correction is shown to a manager or officer and holds once it is confirmed.")
    render = {}
    if fact.secret and value:
        render = {"placeholder": _("Now %(value)s; empty keeps it", value=masked_value(fact, value))}
    if fact.kind == "date":
        render = {"type": "date"}
    if fact.kind == "number":
        render = {"inputmode": "decimal"}
    if fact.kind in ("email", "mobile", "identity"):
        render |= {"autocomplete": "off"}
    if fact.kind == "choices":
        known = dict.fromkeys([*(fact.choices or {}), *(value or ())])
        return CheckboxesField(
            fact.label,
            choices=[SelectChoice(one, one) for one in known],
            description=help_text,
        )
    choices = _choices(fact, actor, value)
    if choices is not None:
        empty = [] if fact.key in NEEDED else [SelectChoice("", _l("Not known"))]
        return SelectField(fact.label, choices=[*empty, *choices], description=help_text)
    limit = Length(max=MAX_TYPED, message=_l("This is too long."))
    kind = TextAreaField if fact.kind == "text" and fact.group == "custom" else StringField
    return kind(fact.label, validators=[limit], description=help_text, render_kw=render)


def _choices(fact: Fact, actor: User, value: Any) -> list[SelectChoice] | None:
    if fact.kind == "yesno":
        return [SelectChoice("yes", _l("Yes")), SelectChoice("no", _l("No"))]
    if fact.kind == "branch":
        lines = branch_tree(actor.branch)
        known = {line.branch.id for line in lines}
        own = [] if value in known or value is None else [SelectChoice(str(value), _l("As it is"))]
        return own + [SelectChoice(str(line.branch.id), "   " * line.depth + line.branch.name) for line in lines]
    if fact.kind == "choice":
        listed: Mapping[str, object] = fact.choices or {}
        words = typed(value)
        odd = [] if not words or words in listed else [SelectChoice(words, words)]
        return odd + [SelectChoice(key, label) for key, label in listed.items()]
    return None
