"""The catalogue: every field a segment may ask about, declared once.

The builder, the validation, the compiler and the readable sentence all come from here. Built-in fields are the
table BUILT_IN below; the firm's own fields join them under the key `custom.<key>`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, Date, Integer, cast, func, literal, select, text
from sqlalchemy.orm import aliased

from app.clients.contactability import exclusion_reason
from app.clients.holdings.models import Account, Transaction
from app.clients.models import EXCLUDING_FLAGS, STATUSES, Client, CustomField
from app.core.extensions import db
from app.core.permissions import Role
from app.users.models import Branch, User

CUSTOM = "custom"
Value = str | int


@dataclass(frozen=True, slots=True)
class Operator:
    """A comparison. `value` says what it takes: none, text, number, date, days, list, range, daterange, choice(s)."""

    key: str
    label: object
    value: str


@dataclass(frozen=True, slots=True)
class Choice:
    value: Value
    label: object


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
        ("in_last_days", _l("is in the last"), "days"),
        ("in_next_days", _l("is in the next"), "days"),
        ("more_than_days_ago", _l("is longer ago than"), "days"),
        ("anniversary_in_next_days", _l("anniversary in the next"), "days"),
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
    "tags": _operators(("has", _l("include"), "choice"), ("has_not", _l("do not include"), "choice")),
}

GROUPS = {
    "person": _l("Person"),
    "relationship": _l("Relationship"),
    "holdings": _l("Holdings"),
    "risk": _l("Risk and suitability"),
    "contact": _l("Contact and consent"),
    CUSTOM: _l("Fields of your firm"),
}
_PRESENCE_KEYS = {"known", "missing"}
_FREE = {"choice": "text", "choices": "list"}  # what a field without a closed list of choices takes instead


@dataclass(frozen=True)
class Field:
    """One thing that is known of a client.

    `column(today)` is its SQL value over `client`. `matches(values)`, where given, replaces equality for choices
    and tags (a branch with everything below it, say). `choices` reads the allowed values; with `open_choices` they
    are suggestions only. A field that is `never_empty` is not asked whether it is known; an `address` is asked
    nothing else: counting clients whose e-mail contains a guess would read masked data letter by letter.
    """

    key: str
    label: object
    group: str
    type: str
    column: Callable[[date], ColumnElement[Any]]
    choices: Callable[[], Sequence[Choice]] | None = None
    open_choices: bool = False
    matches: Callable[[Sequence[Value]], ColumnElement[bool]] | None = None
    never_empty: bool = False
    address: bool = False

    @property
    def operators(self) -> dict[str, Operator]:
        kept = OPERATORS[self.type]
        if self.never_empty:
            kept = {key: one for key, one in kept.items() if key not in _PRESENCE_KEYS}
        if self.address:
            kept = {key: one for key, one in kept.items() if key in _PRESENCE_KEYS}
        if self.takes_choices:
            return kept
        return {key: Operator(key, one.label, _FREE.get(one.value, one.value)) for key, one in kept.items()}

    @property
    def takes_choices(self) -> bool:
        """True where a value must be one of the choices."""
        return self.choices is not None and not self.open_choices


class Catalogue:
    """The fields one request works with; reads choices once, when first asked."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self.fields: Mapping[str, Field] = {field.key: field for field in fields}
        self._choices: dict[str, dict[Value, object]] = {}

    def choices(self, field: Field) -> dict[Value, object]:
        """Value to label of a field's choices or suggestions; empty where it has none."""
        if field.key not in self._choices:
            found = field.choices() if field.choices else ()
            self._choices[field.key] = {choice.value: choice.label for choice in found}
        return self._choices[field.key]

    def for_builder(self) -> dict[str, Any]:
        """The catalogue as the builder in the browser reads it, in the reader's language."""
        used = {field.group for field in self.fields.values()}
        return {
            "groups": [{"key": key, "label": str(label)} for key, label in GROUPS.items() if key in used],
            "fields": [self._field_for_builder(field) for field in self.fields.values()],
        }

    def _field_for_builder(self, field: Field) -> dict[str, Any]:
        choices = [{"value": value, "label": str(label)} for value, label in self.choices(field).items()]
        return {
            "key": field.key,
            "label": str(field.label),
            "group": field.group,
            "type": field.type,
            "choices": choices or None,
            "operators": [{"key": o.key, "label": str(o.label), "value": o.value} for o in field.operators.values()],
        }


# ---- Choices ----


def _fixed(rows: Mapping[Any, object]) -> Callable[[], Sequence[Choice]]:
    choices = tuple(Choice(value, label) for value, label in rows.items())
    return lambda: choices


def _frequent(column: str, table: str = "client") -> Callable[[], Sequence[Choice]]:
    """Suggestions: the frequent values, as the database's own statistics know them (so no pass over the table)."""
    query = text(
        "SELECT DISTINCT value FROM pg_stats, "
        "unnest(coalesce(most_common_elems, most_common_vals)::text::text[]) AS value "
        "WHERE schemaname = current_schema() AND tablename = :table AND attname = :column ORDER BY value"
    )

    def read() -> Sequence[Choice]:
        found = db.session.scalars(query, {"table": table, "column": column})
        return [Choice(value, value) for value in found]

    return read


def _branches() -> Sequence[Choice]:
    rows = db.session.execute(select(Branch.code, Branch.name).order_by(Branch.path, Branch.code))
    return [Choice(row.code, f"{row.name} ({row.code})") for row in rows]


def _advisers() -> Sequence[Choice]:
    rows = db.session.execute(
        select(User.id, User.name).where(User.roles.contains([Role.ADVISER.value])).order_by(User.name, User.id)
    )
    return [Choice(row.id, row.name) for row in rows]


# ---- SQL values ----


def _column(column: Any) -> Callable[[date], ColumnElement[Any]]:
    return lambda today: column


def _age(today: date) -> ColumnElement[Any]:
    """Completed years; who was born on 29 February grows older on 1 March of a common year."""
    years = func.date_part("year", func.age(literal(today, Date), Client.birth_date))
    return cast(years, Integer)


def _tenure(today: date) -> ColumnElement[Any]:
    return cast(literal(today, Date) - Client.opened_on, Integer)


def _last_transaction(today: date) -> ColumnElement[Any]:
    return (
        select(func.max(Transaction.on_date))
        .join(Account, Account.id == Transaction.account_id)
        .where(Account.client_id == Client.id)
        .correlate(Client)
        .scalar_subquery()
    )


def _open_accounts(today: date) -> ColumnElement[Any]:
    return (
        select(func.count(Account.id))
        .where(Account.client_id == Client.id, Account.closed_on.is_(None))
        .correlate(Client)
        .scalar_subquery()
    )


def _reachable(channel: str) -> ColumnElement[Any]:
    return exclusion_reason(channel=channel, purpose="marketing").is_(None)


def _below_branches(codes: Sequence[Value]) -> ColumnElement[bool]:
    """The client's branch is one of these or lies below one of them."""
    top = aliased(Branch)
    ids = select(Branch.id).join(top, Branch.path.like(top.path.concat("%"))).where(top.code.in_(codes))
    return Client.branch_id.in_(ids)


def _open_account_of(kinds: Sequence[Value]) -> ColumnElement[bool]:
    return (
        select(literal(1))
        .where(Account.client_id == Client.id, Account.closed_on.is_(None), Account.kind.in_(kinds))
        .correlate(Client)
        .exists()
    )


# ---- The fields ----

_STATUSES = dict(zip(STATUSES, (_l("lead"), _l("prospect"), _l("client"), _l("dormant"), _l("closed")), strict=True))
_FLAGS = dict(
    zip(
        EXCLUDING_FLAGS,
        (_l("deceased"), _l("minor"), _l("frozen"), _l("vulnerable"), _l("open complaint")),
        strict=True,
    )
)
_KINDS = {"person": _l("person"), "company": _l("company")}
_RISK_LEVELS = {level: f"C{level}" for level in range(1, 6)}


@cache
def built_in() -> tuple[Field, ...]:
    """The fields every house has."""
    added_on = cast(func.timezone("UTC", Client.created_at), Date)
    return (
        Field("number", _l("Client number"), "person", "text", _column(Client.number), never_empty=True),
        Field("name", _l("Name"), "person", "text", _column(Client.name)),
        Field(
            "kind", _l("Person or company"), "person", "choice", _column(Client.kind), _fixed(_KINDS), never_empty=True
        ),
        Field("gender", _l("Gender"), "person", "text", _column(Client.gender), _frequent("gender"), open_choices=True),
        Field("birth_date", _l("Birth date"), "person", "date", _column(Client.birth_date)),
        Field("age", _l("Age"), "person", "number", _age),
        Field("city", _l("City"), "person", "text", _column(Client.city), _frequent("city"), open_choices=True),
        Field(
            "locale", _l("Language"), "person", "text", _column(Client.locale), _frequent("locale"), open_choices=True
        ),
        Field(
            "status",
            _l("Status"),
            "relationship",
            "choice",
            _column(Client.status),
            _fixed(_STATUSES),
            never_empty=True,
        ),
        Field(
            "branch",
            _l("Branch (with those below it)"),
            "relationship",
            "choice",
            _column(Client.branch_id),
            _branches,
            matches=_below_branches,
            never_empty=True,
        ),
        Field("adviser", _l("Adviser"), "relationship", "choice", _column(Client.adviser_id), _advisers),
        Field(
            "source",
            _l("Source"),
            "relationship",
            "text",
            _column(Client.source),
            _frequent("source"),
            open_choices=True,
        ),
        Field("opened_on", _l("Client since"), "relationship", "date", _column(Client.opened_on)),
        Field("tenure_days", _l("Days as a client"), "relationship", "number", _tenure),
        Field("added_on", _l("Added to the client book"), "relationship", "date", _column(added_on), never_empty=True),
        Field("tags", _l("Tags"), "relationship", "tags", _column(Client.tags), _frequent("tags"), open_choices=True),
        Field("total_assets", _l("Total assets"), "holdings", "money", _column(Client.total_assets)),
        Field(
            "account_kinds",
            _l("Open accounts"),
            "holdings",
            "tags",
            _column(Client.id),
            _frequent("kind", "account"),
            open_choices=True,
            matches=_open_account_of,
        ),
        Field("open_accounts", _l("Number of open accounts"), "holdings", "number", _open_accounts, never_empty=True),
        Field("last_transaction_on", _l("Last transaction"), "holdings", "date", _last_transaction),
        Field("risk_level", _l("Risk level"), "risk", "choice", _column(Client.risk_level), _fixed(_RISK_LEVELS)),
        Field("risk_assessed_on", _l("Risk assessment"), "risk", "date", _column(Client.risk_assessed_on)),
        Field(
            "qualified_investor",
            _l("Qualified investor"),
            "risk",
            "yesno",
            _column(Client.qualified_investor),
            never_empty=True,
        ),
        Field("flags", _l("Flags"), "risk", "tags", _column(Client.flags), _fixed(_FLAGS)),
        Field("email", _l("E-mail address"), "contact", "text", _column(Client.email), address=True),
        Field("mobile", _l("Mobile number"), "contact", "text", _column(Client.mobile), address=True),
        Field("email_consent", _l("Marketing consent by e-mail"), "contact", "yesno", _column(Client.email_consent)),
        Field("sms_consent", _l("Marketing consent by SMS"), "contact", "yesno", _column(Client.sms_consent)),
        Field("call_consent", _l("Marketing consent by call"), "contact", "yesno", _column(Client.call_consent)),
        Field(
            "reachable_by_email",
            _l("Reachable by e-mail for marketing"),
            "contact",
            "yesno",
            _column(_reachable("email")),
            never_empty=True,
        ),
        Field(
            "reachable_by_sms",
            _l("Reachable by SMS for marketing"),
            "contact",
            "yesno",
            _column(_reachable("sms")),
            never_empty=True,
        ),
    )


def custom_field(row: CustomField) -> Field:
    """A field the firm defined, over its slot of the client row."""
    listed = row.type == "choice" and bool(row.choices)
    return Field(
        key=f"{CUSTOM}.{row.key}",
        label=row.label,
        group=CUSTOM,
        type="text" if row.type == "choice" and not listed else row.type,
        column=_column(Client.__table__.c[row.slot]),
        choices=_fixed({value: value for value in row.choices or ()}) if listed else None,
    )


def load_catalogue() -> Catalogue:
    """The built-in fields and the firm's own, as they are now."""
    own = db.session.scalars(select(CustomField).order_by(CustomField.label, CustomField.id))
    return Catalogue([*built_in(), *map(custom_field, own)])
