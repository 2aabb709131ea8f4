"""The amounts per client that a model may be told to use: metrics, and the firm's own numeric fields.

An expression is over `client` outer-joined with `client_metrics`.
"""

from collections.abc import Mapping
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, Text, cast, func, literal, null, select
from sqlalchemy.dialects.postgresql import ARRAY

from app.clients.metrics.models import ClientMetrics
from app.clients.models import Client, CustomField
from app.core.extensions import db

CUSTOM = "custom."
# The metrics know what accounts hold; where there are none, what the client book says counts.
ASSETS = func.coalesce(ClientMetrics.total_assets, Client.total_assets)

_METRICS: Mapping[str, tuple[object, ColumnElement[Any]]] = {
    "total_assets": (_l("Total assets"), ASSETS),
    "average_balance_30": (_l("Average daily assets, 30 days"), ClientMetrics.average_balance_30.expression),
    "average_balance_90": (_l("Average daily assets, 90 days"), ClientMetrics.average_balance_90.expression),
    "average_balance_365": (_l("Average daily assets, 365 days"), ClientMetrics.average_balance_365.expression),
    "debt": (_l("Loans and other debt"), ClientMetrics.debt.expression),
    "average_debt_365": (_l("Average daily debt, 365 days"), ClientMetrics.average_debt_365.expression),
    "net_inflow_365": (_l("Net inflow, 365 days"), ClientMetrics.net_inflow_365.expression),
    "fees_90": (_l("Fees, 90 days"), ClientMetrics.fees_90.expression),
    "fees_365": (_l("Fees, 365 days"), ClientMetrics.fees_365.expression),
    "trades_365": (_l("Trades, 365 days"), ClientMetrics.trades_365.expression),
    "traded_value_365": (_l("Traded value, 365 days"), ClientMetrics.traded_value_365.expression),
    "turnover_rate_365": (_l("Client asset turnover, 365 days"), ClientMetrics.turnover_rate_365.expression),
    "position_value": (_l("Value of the products held"), ClientMetrics.position_value.expression),
}


def measure_choices() -> list[tuple[str, object]]:
    """Key and label of every measure there is."""
    own = db.session.scalars(
        select(CustomField).where(CustomField.type.in_(("number", "money"))).order_by(CustomField.label)
    )
    return [(key, label) for key, (label, _column) in _METRICS.items()] + [
        (CUSTOM + field.key, field.label) for field in own
    ]


def list_field_choices() -> list[tuple[str, object]]:
    """Key and label of the firm's own fields of several choices."""
    own = db.session.scalars(select(CustomField).where(CustomField.type == "multichoice").order_by(CustomField.label))
    return [(CUSTOM + field.key, field.label) for field in own]


class Measures:
    """Measures as SQL, with the slots of the custom fields read once."""

    def __init__(self) -> None:
        rows = db.session.execute(select(CustomField.key, CustomField.slot))
        self._slots = {CUSTOM + key: slot for key, slot in rows}

    def column(self, key: str | None) -> ColumnElement[Any] | None:
        """The client's amount, NULL where it is not known; None where there is no such measure (any more)."""
        if key is None:
            return None
        if key in _METRICS:
            return _METRICS[key][1]
        return Client.__table__.c[self._slots[key]] if key in self._slots else None

    def amount(self, key: str | None) -> ColumnElement[Any]:
        """The client's amount, 0 where it is not known."""
        column = self.column(key)
        return literal(0) if column is None else func.coalesce(column, 0)

    def list_column(self, key: str) -> ColumnElement[Any]:
        """The words of a field of several choices, NULL where they are not known (or the field is gone)."""
        if key in self._slots:
            column: ColumnElement[Any] = Client.__table__.c[self._slots[key]]
            return column
        return cast(null(), ARRAY(Text))
