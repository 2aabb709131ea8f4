"""What forms of several features share: the options of a list, and a list of boxes to tick."""

from collections.abc import Iterable, Mapping
from typing import Any

from wtforms import SelectChoice, SelectMultipleField
from wtforms.widgets import CheckboxInput, ListWidget


def options(labels: Mapping[Any, object] | Iterable[tuple[Any, object]]) -> list[SelectChoice]:
    """The options of a select, radio or checkboxes field, of labels by value or of pairs (value, label)."""
    pairs = labels.items() if isinstance(labels, Mapping) else labels
    return [SelectChoice(value, label) for value, label in pairs]


class CheckboxesField(SelectMultipleField):  # type: ignore[misc]
    """Several of a list, each with a box to tick."""

    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()
