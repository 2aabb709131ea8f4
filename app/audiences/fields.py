"""The catalogue: every field a segment may ask about, declared once.

The builder, the validation, the compiler, the readable sentence and the published schema all come from here. The
built-in fields are the table `built_in`; the firm's own fields join them under the key `custom.<key>`. Rows that a
client has elsewhere (transactions, accounts, ...) are in `related.py`.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

from flask_babel import format_decimal
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.orm import aliased

from app.audiences import choices
from app.audiences.choices import Choice, Directory, Value
from app.audiences.counting import rows_counted
from app.audiences.field import Field as Field
from app.audiences.field import (
    age,
    assessment_expiry,
    below_branches,
    days_since,
    last_of,
    on_list,
    open_account_of,
    reachable,
    truth,
)
from app.audiences.models import Segment
from app.audiences.operators import OPERATORS as OPERATORS
from app.audiences.operators import Operator
from app.audiences.related import KINDS, RowKind
from app.clients.classes.models import ClientClass
from app.clients.holdings.models import Account
from app.clients.labels import FLAG_LABELS, KIND_LABELS, STATUS_LABELS
from app.clients.metrics.models import ClientMetrics
from app.clients.models import Client, CustomField
from app.clients.queries import custom_fields, sees_whole_book
from app.clients.relations.models import HouseholdMember
from app.core.extensions import db
from app.users.models import User

CUSTOM = "custom"
MAX_TAKE = 10_000_000
OFFERED = 50  # choices of a directory that are offered without typing
FOUND = 20  # by typing

GROUPS = {
    "person": _l("Person"),
    "relationship": _l("Relationship"),
    "holdings": _l("Accounts, balances and trades"),
    "classes": _l("Value classes"),
    "risk": _l("Risk and suitability"),
    "contact": _l("Contact and consent"),
    "engagement": _l("Contacts and responses"),
    CUSTOM: _l("Fields of your firm"),
    "members": _l("Segments and lists"),
}
TAKE_ORDERS = {"most": _l("the most"), "least": _l("the least")}


class Catalogue:
    """The fields one request works with; reads choices and segments once, when first asked."""

    def __init__(self, fields: Sequence[Field], kinds: Sequence[RowKind] = KINDS) -> None:
        self.fields: Mapping[str, Field] = {field.key: field for field in fields}
        self.kinds: Mapping[str, RowKind] = {kind.key: kind for kind in kinds}
        self._read: dict[Field, Sequence[Choice]] = {}
        self._labels: dict[Field, dict[Value, object]] = {}
        self._segments: dict[int, Segment | None] = {}

    def choices(self, field: Field) -> dict[Value, object]:
        """Value to label of a field's choices or suggestions, the first of a directory; empty where it has none."""
        return {choice.value: choice.label for choice in self._offered(field, None)}

    def _offered(self, field: Field, user: User | None) -> Sequence[Choice]:
        if isinstance(field.choices, Directory):
            return field.choices.matching("", user, OFFERED + 1)
        if field not in self._read:
            self._read[field] = field.choices() if field.choices else ()
        return self._read[field]

    def labels(self, field: Field, values: Collection[Value]) -> Mapping[Value, object]:
        """Value to label of those of the values (and maybe others) that are choices of the field."""
        known = self._labels.setdefault(field, {})
        if isinstance(field.choices, Directory):
            unread = [value for value in values if value not in known and is_id(value)]
            if unread:
                known |= {choice.value: choice.label for choice in field.choices.named(unread)}
        elif not known:
            known |= self.choices(field)
        return known

    def segments(self, ids: Sequence[int]) -> list[Segment]:
        """The segments with these ids, in their order; those that are gone are left out."""
        unread = [number for number in ids if number not in self._segments]
        if unread:
            self._segments |= dict.fromkeys(unread)
            for found in db.session.scalars(select(Segment).where(Segment.id.in_(unread))):
                self._segments[found.id] = found
        return [segment for number in ids if (segment := self._segments[number]) is not None]

    def for_builder(self, user: User | None = None, rule: object = None) -> dict[str, Any]:
        """The catalogue as the builder in the browser reads it, in the language of the reader, who sees what `user`
        may choose.

        {"groups": [{key, label}], "fields": [FIELD], "related": [KIND], "take": TAKE}, where

        - FIELD is {key, label, group, type, choices: [{value, label}] | None, operators: [{key, label, value}],
          search}; with `search` (its name in a search) there are more choices than these, to be found by typing:
          given are only those that `rule`, as JSON, has chosen;
          an operator's `value` is the kind of value it takes: none, text, number, date, days, list, range,
          daterange, period, choice, choices; one with `choices` of its own takes one of these. Where the kind is
          text or list, the field's `choices` are suggestions. The segments and the number lists are fields like
          others (type "member", operators "in" and "not_in", value [ids]).
        - KIND is {key, label, fields: [FIELD], operators: [{key, label, value: "number" | "range"}],
          sums: [{key, label}]}: rows of a client, for {"related": key, "where": rule over its fields,
          "op": operator, "value": n or [a, b], "of": null or the key of a sum}. Their `where` may have groups and
          "not", but no related rows, no take and no fields of the client.
        - TAKE is {by: [{key, label}], orders: [{key: "most" | "least", label}], max}: the fields that
          {"take": {"count": n, "by": key, "order": order}} on a group may name; the other form is
          {"take": {"count": n, "random": seed}} or {"take": {"percent": p, "random": seed}}.
        """
        used = {field.group for field in self.fields.values()}
        ranking = [{"key": field.key, "label": str(field.label)} for field in self.fields.values() if field.ranks]
        return {
            "groups": _labelled({key: label for key, label in GROUPS.items() if key in used}),
            "fields": [self._field_for_builder(field, "", user, rule) for field in self.fields.values()],
            "related": [self._kind_for_builder(kind, user, rule) for kind in self.kinds.values()],
            "take": {"by": ranking, "orders": _labelled(TAKE_ORDERS), "max": MAX_TAKE},
        }

    def field_named(self, name: str) -> Field | None:
        """The field of a search: "segment" of the client, "engagement.campaign" of related rows."""
        kind, _dot, key = name.rpartition(".")
        if not kind or kind == CUSTOM:
            return self.fields.get(name)
        return self.kinds[kind].fields.get(key) if kind in self.kinds else None

    def _field_for_builder(self, field: Field, kind: str, user: User | None, rule: object) -> dict[str, Any]:
        found = self._offered(field, user)
        many = isinstance(field.choices, Directory) and len(found) > OFFERED
        if isinstance(field.choices, Directory):
            chosen = [value for value in chosen_in(rule, field.key, kind) if is_id(value)]
            offered = {} if many else {choice.value: choice for choice in found}
            missing = [value for value in chosen if value not in offered]
            found = [*offered.values(), *(field.choices.named(missing) if missing else ())]
        offered_now = [choice_for_builder(choice, user) for choice in found]
        return {
            "search": f"{kind}.{field.key}".removeprefix(".") if many else None,
            "key": field.key,
            "label": str(field.label),
            "group": field.group,
            "type": field.type,
            "choices": offered_now or None,
            "operators": _operators_for_builder(field.operators),
        }

    def _kind_for_builder(self, kind: RowKind, user: User | None, rule: object) -> dict[str, Any]:
        return {
            "key": kind.key,
            "label": str(kind.label),
            "fields": [self._field_for_builder(field, kind.key, user, rule) for field in kind.fields.values()],
            "operators": _operators_for_builder(kind.operators),
            "sums": _labelled({field.key: field.label for field in kind.sums.values()}),
        }


def choice_for_builder(choice: Choice, user: User | None) -> dict[str, Any]:
    """{value, label}, and `hint`: how many clients it stands for, for those who see all of them."""
    told = {"value": choice.value, "label": str(choice.label)}
    return told | ({"hint": format_decimal(choice.size)} if choice.size is not None and sees_whole_book(user) else {})


def is_id(value: object) -> bool:
    """Something that may be the id of a row."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31


def chosen_in(data: object, key: str, kind: str = "") -> list[Any]:
    """The values that a rule as JSON, whatever it is, has for a field of the client or of related rows of a kind."""
    found: list[Any] = []
    below: list[tuple[object, str]] = [(data, "")]
    while below:
        one, inside = below.pop()
        if isinstance(one, list):
            below += [(part, inside) for part in one]
        elif isinstance(one, Mapping):
            if inside == kind and one.get("field") == key:
                value = one.get("value")
                found += value if isinstance(value, list) else [value]
            below += [(one.get(part), inside) for part in ("all", "any", "not")]
            below.append((one.get("where"), str(one.get("related"))))
    return found


def _labelled(rows: Mapping[str, object]) -> list[dict[str, str]]:
    return [{"key": key, "label": str(label)} for key, label in rows.items()]


def _operators_for_builder(operators: Mapping[str, Operator]) -> list[dict[str, Any]]:
    return [
        {"key": one.key, "label": str(one.label), "value": one.value}
        | (
            {"choices": [{"value": key, "label": str(label)} for key, label in one.choices.items()]}
            if one.choices
            else {}
        )
        for one in operators.values()
    ]


# ---- The fields ----

_RISK_LEVELS = {level: f"C{level}" for level in range(1, 6)}


def _suggested(key: str, label: object, group: str, column: Any) -> Field:
    return Field(key, label, group, "text", column, choices.frequent(key), open_choices=True)


def _yesno(key: str, label: object, group: str, *terms: Any) -> Field:
    return Field(key, label, group, "yesno", compare=truth(*terms), never_empty=True)


def _money(key: str, label: object) -> Field:
    return Field(key, label, "holdings", "money", getattr(ClientMetrics, key))


def _count(key: str, label: object) -> Field:
    return Field(key, label, "holdings", "number", getattr(ClientMetrics, key))


def _percent(key: str, label: object) -> Field:
    return Field(key, label, "holdings", "number", getattr(ClientMetrics, key), scale=100)


def _class(key: str, label: object) -> Field:
    return Field(key, label, "classes", "choice", getattr(ClientClass, key), choices.classes(key))


@cache
def built_in() -> tuple[Field, ...]:
    """The fields every house has."""
    open_accounts = lambda op, value, today: rows_counted(  # noqa: E731
        Account.__table__, op, value, where=Account.closed_on.is_(None)
    )
    referred = aliased(Client)
    has_referred = select(referred.id).where(referred.referred_by_id == Client.id).correlate(Client).exists()
    in_household = select(HouseholdMember.client_id).where(HouseholdMember.client_id == Client.id)
    return (
        Field("number", _l("Client number"), "person", "text", Client.number, never_empty=True),
        Field("name", _l("Name"), "person", "text", Client.name),
        Field(
            "kind",
            _l("Person or company"),
            "person",
            "choice",
            Client.kind,
            choices.fixed(KIND_LABELS),
            never_empty=True,
        ),
        _suggested("gender", _l("Gender"), "person", Client.gender),
        Field("birth_date", _l("Birth date"), "person", "date", Client.birth_date),
        Field("age", _l("Age"), "person", "number", compare=age),
        _suggested("city", _l("City"), "person", Client.city),
        _suggested("locale", _l("Language"), "person", Client.locale),
        # Relationship
        Field(
            "status",
            _l("Status"),
            "relationship",
            "choice",
            Client.status,
            choices.fixed(STATUS_LABELS),
            never_empty=True,
        ),
        Field(
            "branch",
            _l("Branch (with those below it)"),
            "relationship",
            "choice",
            choices=choices.branches,
            compare=below_branches,
            never_empty=True,
        ),
        Field("adviser", _l("Adviser"), "relationship", "choice", Client.adviser_id, choices.ADVISERS),
        Field(
            "second_adviser",
            _l("Second adviser"),
            "relationship",
            "choice",
            Client.second_adviser_id,
            choices.ADVISERS,
        ),
        _yesno("in_pool", _l("In the pool, without an adviser"), "relationship", Client.adviser_id.is_(None)),
        _yesno("in_household", _l("Belongs to a household"), "relationship", in_household.correlate(Client).exists()),
        _yesno("referred", _l("Referred by a client"), "relationship", Client.referred_by_id.is_not(None)),
        _yesno("has_referred", _l("Has referred a client"), "relationship", has_referred),
        _suggested("source", _l("Source"), "relationship", Client.source),
        Field("opened_on", _l("Client since"), "relationship", "date", Client.opened_on),
        Field("tenure_days", _l("Days as a client"), "relationship", "number", compare=days_since(Client.opened_on)),
        Field(
            "added_on",
            _l("Added to the client book"),
            "relationship",
            "date",
            Client.created_at,
            never_empty=True,
        ),
        Field(
            "tags",
            _l("Tags"),
            "relationship",
            "tags",
            Client.tags,
            choices.frequent("tags"),
            open_choices=True,
        ),
        # Accounts, balances and trades
        Field("total_assets", _l("Total assets"), "holdings", "money", Client.total_assets),
        Field(
            "account_kinds",
            _l("Open accounts"),
            "holdings",
            "tags",
            choices=choices.frequent("kind", "account"),
            open_choices=True,
            compare=open_account_of,
        ),
        Field(
            "open_accounts",
            _l("Number of open accounts"),
            "holdings",
            "number",
            compare=open_accounts,
            never_empty=True,
        ),
        Field(
            "products",
            _l("Kinds of products held"),
            "holdings",
            "tags",
            ClientMetrics.product_kinds,
            choices.frequent("product_kind", "position"),
            open_choices=True,
        ),
        _count("product_kind_count", _l("Number of kinds of products")),
        _money("average_balance_30", _l("Average daily balance, 30 days")),
        _money("average_balance_90", _l("Average daily balance, 90 days")),
        _money("average_balance_365", _l("Average daily balance, 365 days")),
        _percent("assets_change_30", _l("Change of assets in 30 days, %")),
        _percent("assets_change_90", _l("Change of assets in 90 days, %")),
        _money("debt", _l("Debt")),
        _money("average_debt_365", _l("Average daily debt, 365 days")),
        _money("net_inflow_30", _l("Net inflow, 30 days")),
        _money("net_inflow_90", _l("Net inflow, 90 days")),
        _money("net_inflow_365", _l("Net inflow, 365 days")),
        _count("trades_30", _l("Trades, 30 days")),
        _count("trades_90", _l("Trades, 90 days")),
        _count("trades_365", _l("Trades, 365 days")),
        _money("traded_value_30", _l("Traded value, 30 days")),
        _money("traded_value_90", _l("Traded value, 90 days")),
        _money("traded_value_365", _l("Traded value, 365 days")),
        _percent("turnover_rate_365", _l("Asset turnover, 365 days, %")),
        _money("fees_30", _l("Fees, 30 days")),
        _money("fees_90", _l("Fees, 90 days")),
        _money("fees_365", _l("Fees, 365 days")),
        Field("last_trade_on", _l("Last trade"), "holdings", "date", ClientMetrics.last_trade_on),
        Field("last_transaction_on", _l("Last transaction"), "holdings", "date", ClientMetrics.last_transaction_on),
        _count("active_months_365", _l("Months with transactions, 365 days")),
        Field(
            "order_channel",
            _l("Preferred order channel"),
            "holdings",
            "text",
            ClientMetrics.order_channel,
            choices.frequent("order_channel", "client_metrics"),
            open_choices=True,
            code=True,
        ),
        _money("position_value", _l("Value of holdings")),
        _percent("position_ratio", _l("Position ratio, %")),
        _money("profit_loss", _l("Profit and loss")),
        _percent("underwater_share", _l("Share of holdings at a loss, %")),
        # Value classes
        _class("aum_tier", _l("Asset tier")),
        _class("contribution_turnover", _l("Contribution and turnover")),
        _class("profit_stability", _l("Profit and stability")),
        _class("life_cycle", _l("Life-cycle stage")),
        _class("scorecard", _l("Scorecard grade")),
        Field("contribution", _l("Contribution"), "classes", "money", ClientClass.contribution),
        Field("stability", _l("Stability score"), "classes", "number", ClientClass.stability),
        Field("score", _l("Scorecard points"), "classes", "number", ClientClass.score),
        Field("potential", _l("Potential score"), "classes", "number", ClientClass.potential),
        # Risk and suitability
        Field("risk_level", _l("Risk level"), "risk", "choice", Client.risk_level, choices.fixed(_RISK_LEVELS)),
        Field("risk_assessed_on", _l("Risk assessment"), "risk", "date", Client.risk_assessed_on),
        Field("risk_expires_on", _l("Risk assessment expires"), "risk", "date", compare=assessment_expiry),
        Field(
            "suitability",
            _l("Highest suitable product risk"),
            "risk",
            "choice",
            ClientClass.suitability,
            choices.classes("suitability"),
        ),
        _yesno("qualified_investor", _l("Qualified investor"), "risk", Client.qualified_investor),
        _yesno("professional_investor", _l("Professional investor"), "risk", Client.professional_investor),
        Field("flags", _l("Flags"), "risk", "tags", Client.flags, choices.fixed(FLAG_LABELS)),
        # Contact and consent
        Field("email", _l("E-mail address"), "contact", "text", Client.email, address=True),
        Field("mobile", _l("Mobile number"), "contact", "text", Client.mobile, address=True),
        Field("email_consent", _l("Marketing consent by e-mail"), "contact", "yesno", Client.email_consent),
        Field("sms_consent", _l("Marketing consent by SMS"), "contact", "yesno", Client.sms_consent),
        Field("call_consent", _l("Marketing consent by call"), "contact", "yesno", Client.call_consent),
        _yesno(
            "personalisation_refused",
            _l("Refused personalised marketing"),
            "contact",
            Client.personalisation_refused,
        ),
        *(
            Field(f"reachable_by_{channel}", label, "contact", "yesno", compare=reachable(channel), never_empty=True)
            for channel, label in (
                ("email", _l("Reachable by e-mail for marketing")),
                ("sms", _l("Reachable by SMS for marketing")),
                ("call", _l("Reachable by call for marketing")),
            )
        ),
        Field(
            "email_problem",
            _l("Why e-mail does not arrive"),
            "contact",
            "text",
            Client.email_problem,
            choices.frequent("email_problem"),
            open_choices=True,
            code=True,
        ),
        Field(
            "mobile_problem",
            _l("Why the mobile is not reached"),
            "contact",
            "text",
            Client.mobile_problem,
            choices.frequent("mobile_problem"),
            open_choices=True,
            code=True,
        ),
        # Contacts and responses; which campaign it was is asked of the related rows
        *(
            Field(f"last_{kind}_on", label, "engagement", "date", compare=last_of(kind))
            for kind, label in (
                ("contacted", _l("Last contact")),
                ("opened", _l("Last opened a message")),
                ("clicked", _l("Last clicked a link")),
                ("replied", _l("Last reply")),
            )
        ),
        # Segments and lists
        Field("segment", _l("Segment"), "members", "member", choices=choices.SEGMENTS),
        Field("number_list", _l("List of numbers"), "members", "member", choices=choices.NUMBER_LISTS, compare=on_list),
    )


def custom_field(row: CustomField) -> Field:
    """A field the firm defined, over its slot of the client row."""
    listed = row.type in ("choice", "multichoice") and bool(row.choices)
    kinds = {"choice": "choice" if listed else "text", "multichoice": "tags"}
    return Field(
        key=f"{CUSTOM}.{row.key}",
        label=row.label,
        group=CUSTOM,
        type=kinds.get(row.type, row.type),
        column=Client.__table__.c[row.slot],
        choices=choices.fixed({value: value for value in row.choices or ()}) if listed else None,
    )


def load_catalogue() -> Catalogue:
    """The built-in fields and the firm's own, as they are now."""
    return Catalogue([*built_in(), *map(custom_field, custom_fields())])
