"""Rows that a client has elsewhere, which a rule can count or add up, with the fields of such a row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import FromClause

from app.audiences import choices
from app.audiences.field import Field, truth
from app.audiences.operators import COUNTING, Operator
from app.clients.classes.models import MODELS, ClassChange
from app.clients.engagement.models import Engagement
from app.clients.holdings.models import TRADES, Account, Balance, Position, Transaction

MODEL_LABELS = dict(
    zip(
        MODELS,
        (
            _l("Asset tier"),
            _l("Contribution and turnover"),
            _l("Profit and stability"),
            _l("Life-cycle stage"),
            _l("Highest suitable product risk"),
            _l("Scorecard grade"),
        ),
        strict=True,
    )
)
_KINDS = {
    "contacted": _l("contacted"),
    "opened": _l("opened"),
    "clicked": _l("clicked"),
    "replied": _l("replied"),
}
_PRODUCT_RISKS = {level: f"R{level}" for level in range(1, 6)}


@dataclass(frozen=True, eq=False)
class RowKind:
    """A table with the column `client_id`, and what can be asked of one of its rows."""

    key: str
    label: object
    table: FromClause
    fields: Mapping[str, Field]

    @property
    def sums(self) -> dict[str, Field]:
        """The fields that can be added up instead of counting the rows."""
        return {key: field for key, field in self.fields.items() if field.type == "money"}

    @property
    def operators(self) -> dict[str, Operator]:
        return COUNTING


def _kind(key: str, label: object, model: Any, *fields: Field) -> RowKind:
    return RowKind(key, label, model.__table__, {field.key: field for field in fields})


def _code(key: str, label: object, column: Any, offered: choices.Choices) -> Field:
    return Field(key, label, "", "text", column, offered, open_choices=True, code=True)


KINDS = (
    _kind(
        "transactions",
        _l("transactions"),
        Transaction,
        Field("on_date", _l("Date"), "", "date", Transaction.on_date, never_empty=True),
        Field("amount", _l("Amount"), "", "money", Transaction.amount, never_empty=True),
        Field("trade", _l("Is a trade"), "", "yesno", compare=truth(Transaction.kind.in_(TRADES)), never_empty=True),
        _code("kind", _l("Kind"), Transaction.kind, choices.frequent("kind", "transaction")),
        Field("fee", _l("Fee"), "", "money", Transaction.fee, never_empty=True),
        _code(
            "order_channel",
            _l("Order channel"),
            Transaction.order_channel,
            choices.frequent("order_channel", "transaction"),
        ),
    ),
    _kind(
        "accounts",
        _l("accounts"),
        Account,
        _code("kind", _l("Kind"), Account.kind, choices.frequent("kind", "account")),
        Field("open", _l("Is open"), "", "yesno", compare=truth(Account.closed_on.is_(None)), never_empty=True),
        Field("opened_on", _l("Opening date"), "", "date", Account.opened_on),
        Field("activated_on", _l("Activated"), "", "date", Account.activated_on),
        Field("matures_on", _l("Matures"), "", "date", Account.matures_on),
        Field("closed_on", _l("Closing date"), "", "date", Account.closed_on),
        _code("currency", _l("Currency"), Account.currency, choices.frequent("currency", "account")),
        Field(
            "partner_bank",
            _l("Partner bank"),
            "",
            "text",
            Account.partner_bank,
            choices.frequent("partner_bank", "account"),
            open_choices=True,
        ),
    ),
    _kind(
        "positions",
        _l("product holdings"),
        Position,
        _code(
            "product_kind", _l("Kind of product"), Position.product_kind, choices.frequent("product_kind", "position")
        ),
        _code("product_code", _l("Product code"), Position.product_code, choices.frequent("product_code", "position")),
        Field("product_name", _l("Product name"), "", "text", Position.product_name),
        Field("product_risk", _l("Product risk"), "", "choice", Position.product_risk, choices.fixed(_PRODUCT_RISKS)),
        Field("value", _l("Value"), "", "money", Position.value, never_empty=True),
        Field("cost", _l("Cost"), "", "money", Position.cost),
        Field("profit", _l("Profit"), "", "money", Position.value - Position.cost),
    ),
    _kind(
        "balances",
        _l("daily balances"),
        Balance,
        Field("on_date", _l("Date"), "", "date", Balance.on_date, never_empty=True),
        Field("amount", _l("Amount"), "", "money", Balance.amount, never_empty=True),
    ),
    _kind(
        "engagement",
        _l("contacts and responses"),
        Engagement,
        Field("kind", _l("What happened"), "", "choice", Engagement.kind, choices.fixed(_KINDS), never_empty=True),
        Field("campaign", _l("Campaign"), "", "choice", Engagement.campaign_id, choices.CAMPAIGNS, never_empty=True),
        _code("channel", _l("Channel"), Engagement.channel, choices.frequent("channel", "engagement")),
        Field("first_at", _l("First time"), "", "date", Engagement.first_at, never_empty=True),
        Field("last_at", _l("Last time"), "", "date", Engagement.last_at, never_empty=True),
    ),
    _kind(
        "class_changes",
        _l("changes of class"),
        ClassChange,
        Field(
            "model", _l("Value model"), "", "choice", ClassChange.model, choices.fixed(MODEL_LABELS), never_empty=True
        ),
        Field("on_date", _l("Date"), "", "date", ClassChange.on_date, never_empty=True),
        Field("was", _l("Class before"), "", "choice", ClassChange.was, choices.all_classes),
        Field("is_now", _l("Class since"), "", "choice", ClassChange.is_now, choices.all_classes),
    ),
)
