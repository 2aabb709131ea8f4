"""Which module loads which kind, and the tables whose months must exist."""

from collections.abc import Callable
from dataclasses import dataclass

from app.clients.feeds.loading import accounts, balances, clients, positions, transactions
from app.clients.feeds.loading.rules import Outcome, Rules, days
from app.clients.feeds.staging import Stage
from app.core.partitions import ensure_months_of
from app.core.unit_of_work import unit_of_work

Check = Callable[[Stage, Rules], None]
Apply = Callable[[Stage, Rules], Outcome]


@dataclass(frozen=True, slots=True)
class Loader:
    """How a kind is loaded. `writes` maps a staged table to the partitioned table its rows go to; `grows` names the
    tables whose statistics follow a large load."""

    check: Check
    apply: Apply
    writes: dict[str, str]
    grows: tuple[str, ...]


LOADERS = {
    "clients": Loader(clients.check, clients.apply, {}, ("client",)),
    "accounts": Loader(accounts.check, accounts.apply, {}, ("account", "client")),
    "balances": Loader(balances.check, balances.apply, {"feed_rows": "balance"}, ("balance", "client")),
    "transactions": Loader(
        transactions.check,
        transactions.apply,
        {"feed_rows": "transaction", "feed_balances": "balance"},
        ("transaction", "balance", "client"),
    ),
    "positions": Loader(positions.check, positions.apply, {}, ("position",)),
}


def make_months(stage: Stage, loader: Loader) -> None:
    """Make the months that the staged rows need, in a transaction of its own: an empty month harms nobody."""
    wanted = {
        table: days(stage, staged)
        for staged, table in loader.writes.items()
        if staged == "feed_rows" or "balance_after" in stage.filled
    }
    with unit_of_work():
        for table, months in sorted(wanted.items()):
            ensure_months_of(table, months)
