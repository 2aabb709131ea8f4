"""Parameters from what a form, a preset or the database holds, checked; and back to JSON."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.clients.classes.parameters import SHAPES, Parameters, Setting, ValueClass, settings_of
from app.core.errors import AppError

MOST_CLASSES = 12
MAX_LINE = 60
MAX_TEXT = 2_000
_CODE = re.compile(r"[A-Za-z0-9_]{1,30}")


class BadParameters(AppError):
    """What is wrong, by the path of the parameter: `profit_cut`, `classes.2.assets`."""

    message = _l("Some of the parameters cannot be used.")

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__(" ".join([str(type(self).message), *dict.fromkeys(self.problems.values())]))


class _Refused(Exception):
    """A value cannot be what the setting asks for; carries the sentence."""


def parse_parameters(model: str, data: object) -> Parameters:
    """The parameters in `data` (numbers may be text, as a form gives them). Raises BadParameters."""
    shape = SHAPES[model]
    given: Mapping[str, Any] = data if isinstance(data, Mapping) else {}
    problems: dict[str, str] = {}
    values = _values(shape, given, "", problems)
    values["classes"] = _classes(shape, given.get("classes"), problems)
    if problems:
        raise BadParameters(problems)
    parameters = shape(**values)
    problems |= {path: str(sentence) for path, sentence in parameters.problems()}
    if problems:
        raise BadParameters(problems)
    return parameters


def dump_parameters(parameters: Parameters) -> dict[str, Any]:
    """As JSON: amounts are text, so that no cent is lost."""
    dumped = _dump(parameters)
    dumped["classes"] = [_dump(one) for one in parameters.classes]
    return dumped


def _dump(part: Parameters | ValueClass) -> dict[str, Any]:
    values = {name: getattr(part, name) for name, _setting in settings_of(type(part))}
    return {name: f"{value.normalize():f}" if isinstance(value, Decimal) else value for name, value in values.items()}


def _values(shape: Any, given: Mapping[str, Any], prefix: str, problems: dict[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, setting in settings_of(shape):
        try:
            values[name] = _value(setting, given.get(name))
        except _Refused as refusal:
            problems[prefix + name] = str(refusal)
    return values


def _classes(shape: type[Parameters], given: object, problems: dict[str, str]) -> tuple[ValueClass, ...]:
    rows = [one for one in given if isinstance(one, Mapping)] if isinstance(given, list | tuple) else []
    if not 1 <= len(rows) <= MOST_CLASSES:
        problems["classes"] = _("A model has from 1 to %(most)s classes.", most=MOST_CLASSES)
        return ()
    made, codes = [], []
    for position, row in enumerate(rows):
        values = _values(shape.class_shape, row, f"classes.{position}.", problems)
        codes.append(values.get("code"))
        if values.get("code") in codes[:-1]:
            problems[f"classes.{position}.code"] = _("Another class has this code.")
        if not any(path.startswith(f"classes.{position}.") for path in problems):
            made.append(shape.class_shape(**values))
    if shape.codes is not None and tuple(codes) != shape.codes:
        problems.setdefault(
            "classes", _("The classes of this model are fixed: %(codes)s.", codes=", ".join(shape.codes))
        )
    return tuple(made)


def _value(setting: Setting, given: object) -> Any:
    if setting.kind == "yesno":
        return given is True
    if given is None or (isinstance(given, str) and not given.strip()):
        if setting.kind == "text":
            return ""
        if setting.optional:
            return None
        raise _Refused(_("Please fill this in."))
    return _KINDS[setting.kind](setting, given)


def _number(setting: Setting, given: object) -> Decimal:
    if isinstance(given, bool) or not isinstance(given, str | int | float | Decimal):
        raise _Refused(_("Here a number is needed."))
    text = re.sub(r"[\s,，]", "", str(given)).removesuffix("%")
    try:
        number = Decimal(text) if len(text) <= 40 else Decimal("nan")
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite():
        raise _Refused(_("Here a number is needed."))
    if not setting.low <= number <= setting.high:
        raise _Refused(
            _("A number from %(low)s to %(high)s is needed.", low=f"{setting.low:,f}", high=f"{setting.high:,f}")
        )
    places = 2 if setting.kind == "money" else 4
    if number != round(number, places):
        raise _Refused(_("At most %(places)s decimal places, please.", places=places))
    return number.normalize()


def _whole(setting: Setting, given: object) -> int:
    number = _number(setting, given)
    if number != int(number):
        raise _Refused(_("Here a whole number is needed."))
    return int(number)


def _choice(setting: Setting, given: object) -> str:
    if not isinstance(given, str) or given not in setting.choices:
        raise _Refused(_("Please choose one of the list."))
    return given


def _key(setting: Setting, given: object) -> str:
    """The key of a measure or field; whether it exists is looked up when the choices are known."""
    if not isinstance(given, str) or not re.fullmatch(r"[a-z0-9_.]{1,60}", given):
        raise _Refused(_("Please choose one of the list."))
    return given


def _code(setting: Setting, given: object) -> str:
    if not isinstance(given, str) or not _CODE.fullmatch(given.strip()):
        raise _Refused(_("A code has up to 30 letters, digits and underscores."))
    return given.strip()


def _line(setting: Setting, given: object) -> str:
    text = " ".join(_text(setting, given).split())
    if len(text) > MAX_LINE:
        raise _Refused(_("At most %(most)s characters, please.", most=MAX_LINE))
    return text


def _text(setting: Setting, given: object) -> str:
    if not isinstance(given, str) or "\x00" in given:
        raise _Refused(_("Here a text is needed."))
    text = given.replace("\r\n", "\n").strip()
    if len(text) > MAX_TEXT:
        raise _Refused(_("At most %(most)s characters, please.", most=MAX_TEXT))
    return text


_KINDS: Mapping[str, Callable[[Setting, object], Any]] = {
    "money": _number,
    "percent": _number,
    "number": _number,
    "whole": _whole,
    "choice": _choice,
    "measure": _key,
    "list_field": _key,
    "code": _code,
    "line": _line,
    "text": _text,
}
