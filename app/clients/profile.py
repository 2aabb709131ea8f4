"""What the page of a client tells of holdings, risk and figures, read from the tables of those parts."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from app.clients.classes.suitability import expiry, valid_months
from app.clients.holdings.models import Account, Position
from app.clients.metrics.models import ClientMetrics
from app.clients.models import Client
from app.clients.queries import AccountLine
from app.core.clock import today
from app.core.extensions import db

POSITIONS_SHOWN = 50
SOON_DAYS = 30

# The metrics shown, in order: column, label, and how it is read (money, share, count, date, words).
METRICS = (
    ("total_assets", _l("Total assets"), "money"),
    ("average_balance_90", _l("Average daily assets, 90 days"), "money"),
    ("assets_change_30", _l("Change of assets in 30 days"), "share"),
    ("net_inflow_90", _l("Net inflow, 90 days"), "money"),
    ("debt", _l("Debt"), "money"),
    ("trades_90", _l("Trades, 90 days"), "count"),
    ("traded_value_90", _l("Traded value, 90 days"), "money"),
    ("turnover_rate_365", _l("Client asset turnover, 365 days"), "share"),
    ("fees_365", _l("Fees, 365 days"), "money"),
    ("last_trade_on", _l("Last trade"), "date"),
    ("position_ratio", _l("Position ratio"), "share"),
    ("profit_loss", _l("Profit and loss"), "money"),
    ("underwater_share", _l("Share of holdings at a loss"), "share"),
    ("order_channel", _l("Preferred order channel"), "words"),
    ("last_contact_at", _l("Last contact"), "date"),
)


@dataclass(frozen=True, slots=True)
class PositionLine:
    """A product the client holds. `profit` is value less cost, None where the cost is not known."""

    position: Position
    currency: str

    @property
    def profit(self) -> Decimal | None:
        return None if self.position.cost is None else self.position.value - self.position.cost

    @property
    def profit_share(self) -> Decimal | None:
        """Profit over cost: 0.05 is 5 %."""
        cost = self.position.cost
        return (self.position.value - cost) / cost if cost else None


def positions_of(client_id: int) -> list[PositionLine]:
    """The products the client holds, the largest first; fifty at most."""
    rows = db.session.execute(
        select(Position, Account.currency)
        .join(Account, Account.id == Position.account_id)
        .where(Position.client_id == client_id)
        .order_by(Position.value.desc(), Position.product_code)
        .limit(POSITIONS_SHOWN)
    )
    return [PositionLine(*row) for row in rows]


def totals(accounts: Sequence[AccountLine]) -> dict[str, Decimal]:
    """The last balances of open accounts, added up by currency."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for line in accounts:
        if line.balance is not None and line.account.closed_on is None:
            sums[line.account.currency] += line.balance
    return dict(sums)


def metrics_of(client_id: int) -> ClientMetrics | None:
    """The client's metrics as computed last."""
    return db.session.get(ClientMetrics, client_id)


@dataclass(frozen=True, slots=True)
class RiskState:
    """Until when the client's risk level holds: `valid`, `soon` (expires within 30 days), `expired`, `missing`.

    `expires_on` is the first day on which it does not hold any more.
    """

    state: str
    expires_on: date | None


def risk_state(client: Client) -> RiskState:
    """A level without a dated assessment counts as missing. How long one holds is the suitability model's to say."""
    if client.risk_level is None or client.risk_assessed_on is None:
        return RiskState("missing", None)
    expires_on = expiry(client.risk_assessed_on, valid_months())
    left = (expires_on - today()).days
    return RiskState("expired" if left <= 0 else "soon" if left <= SOON_DAYS else "valid", expires_on)
