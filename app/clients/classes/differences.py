"""What changed between two versions of a model, in the words of its form."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from flask_babel import format_decimal
from flask_babel import gettext as _

from app.clients.classes.measures import list_field_choices, measure_choices
from app.clients.classes.parameters import Parameters, Setting, settings_of


@dataclass(frozen=True, slots=True)
class Difference:
    """One parameter that differs. `place` is the heading or the class it belongs to; None: was or is not there."""

    place: str
    label: str
    before: str | None
    after: str | None


def differences(before: Parameters, after: Parameters) -> list[Difference]:
    """What differs between two versions of the same model; empty where they are the same."""
    words = {key: str(label) for key, label in [*measure_choices(), *list_field_choices()]}
    found = [
        Difference(str(setting.group), str(setting.label), one, other)
        for name, setting in settings_of(type(before))
        if (one := shown(setting, getattr(before, name), words))
        != (other := shown(setting, getattr(after, name), words))
    ]
    return [*found, *_class_differences(before, after, words)]


def _class_differences(before: Parameters, after: Parameters, words: dict[str, str]) -> Iterator[Difference]:
    old, new = ({one.code: one for one in version.classes} for version in (before, after))
    for code in [*old, *(code for code in new if code not in old)]:
        if code not in new:
            yield Difference(old[code].label, _("Class"), code, None)
        elif code not in old:
            yield Difference(new[code].label, _("Class"), None, code)
        else:
            for name, setting in settings_of(before.class_shape):
                one = shown(setting, getattr(old[code], name), words)
                other = shown(setting, getattr(new[code], name), words)
                if one != other:
                    yield Difference(new[code].label, str(setting.label), one, other)
    if [code for code in old if code in new] != [code for code in new if code in old]:
        yield Difference("", _("Order of the classes"), ", ".join(old), ", ".join(new))


def shown(setting: Setting, value: Any, words: dict[str, str]) -> str:
    """A value as people read it."""
    if value is None or value == "":
        return "–"
    if setting.kind == "yesno":
        return str(_("yes") if value else _("no"))
    if setting.kind == "choice":
        return str(setting.choices[value])
    if setting.kind in ("measure", "list_field"):
        return words.get(str(value), str(value))
    return str(format_decimal(value)) if isinstance(value, Decimal | int) else str(value)
