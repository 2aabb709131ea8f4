"""The form of a model's parameters, made from their declaration, and the small forms around it.

Every number is a text field: what it must be is said and checked in one place, `parsing.py`.
"""

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    DateField,
    FieldList,
    Form,
    FormField,
    HiddenField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired, Length

from app.clients.classes.measures import list_field_choices, measure_choices
from app.clients.classes.parameters import SHAPES, Parameters, Setting, settings_of
from app.clients.classes.parsing import (
    MAX_LINE,
    MAX_TEXT,
    MOST_CLASSES,
    BadParameters,
    dump_parameters,
    parse_parameters,
)


def _field(setting: Setting) -> Any:
    about = {"label": setting.label, "description": setting.help}
    if setting.kind == "yesno":
        return BooleanField(**about)
    if setting.kind in ("choice", "measure", "list_field"):
        return SelectField(**about, choices=[], validate_choice=False)
    if setting.kind == "text":
        return TextAreaField(**about, render_kw={"maxlength": MAX_TEXT, "rows": 2})
    if setting.kind in ("code", "line"):
        return StringField(**about, render_kw={"maxlength": MAX_LINE})
    return StringField(**about, render_kw={"inputmode": "decimal", "autocomplete": "off"})


@cache
def _form_class(model: str) -> type[FlaskForm]:
    shape: Any = SHAPES[model]
    row = type("ClassForm", (Form,), {name: _field(setting) for name, setting in settings_of(shape.class_shape)})
    parts = {name: _field(setting) for name, setting in settings_of(shape)}
    return type(
        "ModelForm",
        (FlaskForm,),
        parts
        | {
            "classes": FieldList(FormField(row), max_entries=MOST_CLASSES),
            "note": StringField(
                _l("What this change is for"),
                validators=[Length(max=500)],
                description=_l("Shown in the history of versions."),
            ),
            "revision": HiddenField(),
        },
    )


def model_form(model: str, values: Mapping[str, Any] | None = None) -> Any:
    """The form of a model, filled with parameters as JSON has them where it was not sent."""
    shape: Any = SHAPES[model]
    given = _readable(shape, dict(values or {}))
    given["classes"] = [_readable(shape.class_shape, row) for row in given.get("classes", ())]
    form: Any = _form_class(model)(data=given)
    lists: dict[str, list[tuple[str, object]]] = {}
    for name, setting in settings_of(SHAPES[model]):
        if setting.kind == "choice":
            form[name].choices = [SelectChoice(key, label) for key, label in setting.choices.items()]
        elif setting.kind in ("measure", "list_field"):
            if setting.kind not in lists:
                lists[setting.kind] = measure_choices() if setting.kind == "measure" else list_field_choices()
            nothing = [SelectChoice("", _("not used"))] if setting.optional else []
            form[name].choices = nothing + [SelectChoice(key, label) for key, label in lists[setting.kind]]
    return form


def _readable(shape: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Amounts of money with separators of thousands."""
    money = {name for name, setting in settings_of(shape) if setting.kind == "money"}
    return {
        name: f"{Decimal(value):,f}" if name in money and value is not None else value for name, value in values.items()
    }


def groups_of(model: str, form: Any) -> list[tuple[object, list[Any]]]:
    """The fields of the form under their headings, in the order they are declared."""
    groups: list[tuple[object, list[Any]]] = []
    for name, setting in settings_of(SHAPES[model]):
        if not groups or str(groups[-1][0]) != str(setting.group):
            groups.append((setting.group, []))
        groups[-1][1].append(form[name])
    return groups


def read_parameters(model: str, form: Any) -> Parameters:
    """The parameters the form holds. Raises BadParameters, with each sentence put on its field."""
    shape = SHAPES[model]
    given = {name: form[name].data for name, _setting in settings_of(shape)}
    given["classes"] = [entry.data for entry in form.classes]
    try:
        parameters = parse_parameters(model, given)
        _check_measures(parameters, form)
    except BadParameters as refusal:
        _tell(form, refusal.problems)
        raise
    return parameters


def _check_measures(parameters: Parameters, form: Any) -> None:
    problems = {}
    for name, setting in settings_of(type(parameters)):
        if setting.kind in ("measure", "list_field"):
            known = {choice.value for choice in form[name].choices}
            if (getattr(parameters, name) or "") not in known:
                problems[name] = _("Please choose one of the list.")
    if problems:
        raise BadParameters(problems)


def _tell(form: Any, problems: Mapping[str, str]) -> None:
    for path, sentence in problems.items():
        name, *rest = path.split(".")
        field = form[name]
        if rest:
            field = field.entries[int(rest[0])].form[rest[1]]
        field.errors = [sentence]


def change_rows(model: str, form: Any, action: str) -> bool:
    """Add an empty class at the end or take one out, as the button says. False where it says something else."""
    if SHAPES[model].codes is not None:
        return False
    rows = form.classes.entries
    if action == "add":
        if len(rows) < MOST_CLASSES:
            form.classes.append_entry()
        return True
    verb, _dash, place = action.partition("-")
    if verb != "remove" or not place.isdecimal() or int(place) >= len(rows):
        return False
    kept = [entry.data for position, entry in enumerate(rows) if position != int(place)]
    while form.classes.entries:
        form.classes.pop_entry()
    form.classes.last_index = -1
    for data in kept:
        form.classes.append_entry(data)
    return True


def filled(model: str, parameters: Parameters) -> Any:
    """A form filled with these parameters."""
    return model_form(model, dump_parameters(parameters))


class ActivateForm(FlaskForm):  # type: ignore[misc]
    seen = HiddenField()


class ScheduleForm(FlaskForm):  # type: ignore[misc]
    on = DateField(_l("In force from"), validators=[InputRequired(_l("Choose a day after today."))])


class OverrideForm(FlaskForm):  # type: ignore[misc]
    model = SelectField(_l("Value model"), validate_choice=False)
    class_code = SelectField(_l("Class"), validate_choice=False)
    reason = StringField(
        _l("Reason"),
        validators=[InputRequired(_l("Please give a reason; it is kept in the audit trail.")), Length(max=500)],
    )
    expires_on = DateField(
        _l("Until"),
        validators=[InputRequired(_l("An override ends on a day after today, within a year."))],
    )
