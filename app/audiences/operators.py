"""The comparisons of each type of field."""

from collections.abc import Mapping
from dataclasses import dataclass

from flask_babel import lazy_gettext as _l

# Parts of the calendar, from their first to their last day; weeks begin on Monday (ISO 8601).
PERIODS: Mapping[str, object] = {
    "this_week": _l("this week"),
    "last_week": _l("last week"),
    "this_month": _l("this month"),
    "last_month": _l("last month"),
    "this_quarter": _l("this quarter"),
    "last_quarter": _l("last quarter"),
    "this_year": _l("this year"),
    "last_year": _l("last year"),
}


@dataclass(frozen=True, slots=True)
class Operator:
    """A comparison. `value` says what it takes: none, text, number, date, days, list, range, daterange, period,
    choice(s)."""

    key: str
    label: object
    value: str

    @property
    def choices(self) -> Mapping[str, object]:
        """The values it takes, whatever the field; none where they are the field's matter."""
        return PERIODS if self.value == "period" else {}


def _operators(*rows: tuple[str, object, str]) -> dict[str, Operator]:
    return {key: Operator(key, label, value) for key, label, value in rows}


_PRESENCE = (("known", _l("is known"), "none"), ("missing", _l("is not known"), "none"))
_NUMBER = _operators(
    ("eq", _l("is"), "number"),
    ("ne", _l("is not"), "number"),
    ("gt", _l("is more than"), "number"),
    ("gte", _l("is at least"), "number"),
    ("lt", _l("is less than"), "number"),
    ("lte", _l("is at most"), "number"),
    ("between", _l("is between"), "range"),
    *_PRESENCE,
)
OPERATORS: dict[str, dict[str, Operator]] = {
    "text": _operators(
        ("is", _l("is"), "text"),
        ("is_not", _l("is not"), "text"),
        ("contains", _l("contains"), "text"),
        ("not_contains", _l("does not contain"), "text"),
        ("starts_with", _l("starts with"), "text"),
        ("in", _l("is one of"), "list"),
        ("not_in", _l("is none of"), "list"),
        *_PRESENCE,
    ),
    "number": _NUMBER,
    "money": _NUMBER,
    "date": _operators(
        ("on", _l("is on"), "date"),
        ("before", _l("is before"), "date"),
        ("after", _l("is after"), "date"),
        ("between", _l("is between"), "daterange"),
        ("in_period", _l("falls in"), "period"),
        ("in_last_days", _l("is in the last"), "days"),
        ("in_next_days", _l("is in the next"), "days"),
        ("more_than_days_ago", _l("is longer ago than"), "days"),
        ("anniversary_in_next_days", _l("anniversary in the next"), "days"),
        ("lunar_anniversary_in_next_days", _l("lunar anniversary in the next"), "days"),
        *_PRESENCE,
    ),
    "yesno": _operators(("is_yes", _l("is yes"), "none"), ("is_no", _l("is no"), "none"), *_PRESENCE),
    "choice": _operators(
        ("is", _l("is"), "choice"),
        ("is_not", _l("is not"), "choice"),
        ("in", _l("is one of"), "choices"),
        ("not_in", _l("is none of"), "choices"),
        *_PRESENCE,
    ),
    "tags": _operators(
        ("has", _l("include"), "choice"),
        ("has_not", _l("do not include"), "choice"),
        ("has_any", _l("include one of"), "choices"),
        ("has_all", _l("include all of"), "choices"),
        *_PRESENCE,
    ),
    "member": _operators(("in", _l("is in"), "choices"), ("not_in", _l("is not in"), "choices")),
}

PRESENCE = {"known", "missing"}
# A negative comparison holds exactly where its positive one does not, so also where the value is missing.
NEGATIVE = {
    "is_not": "is",
    "not_contains": "contains",
    "not_in": "in",
    "ne": "eq",
    "has_not": "has",
    "missing": "known",
}
# What counts of related rows are compared by.
COUNTING = {key: operator for key, operator in _NUMBER.items() if key not in PRESENCE}
