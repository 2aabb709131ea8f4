# ruff: noqa: S608 - made of names, words and dates of ours; nothing comes from outside
"""The metrics as one SQL query over the client book: what each column means, and how it is computed.

Windows of 30, 90 and 365 days end with the day `as_of`, which counts. Amounts are added as they are, whatever the
currency of their account.

**Balances.** A balance counts from its day on until the account's next one: monthly and daily snapshots give the same
averages where nothing changed in between. From the day an account is closed it holds nothing, unless a balance says
otherwise. Above zero is assets, below zero is debt; they are never set off against each other. An average is the sum
over the days of the window divided by their number: before its first balance an account held nothing (so one opened
yesterday counts for a day), but days before the first balance in the whole book do not count for anybody.

**Transactions.** Trades, inflows and outflows are the kinds that `holdings.models` names. What is posted without the
client doing anything (PASSIVE: interest, dividends, ...) counts neither as the last transaction nor as activity. Months
of activity are calendar months; the first days of a window and its last ones may belong to the same month of the year
and are then one, so there are never more than twelve.

**Products** are the kinds of positions with a value, and of accounts that are a product in themselves. Profit and loss
and the share under water are over the positions whose cost is known.

Money is added up in whole cents as `double precision`, which is exact up to ninety trillion and saves a third of the
time and half of the memory of `numeric` (at that, plans with several workers pass plain numbers on).
"""

from collections.abc import Callable, Sequence
from datetime import date, timedelta

from sqlalchemy import text

from app.clients.holdings.models import INFLOWS, OUTFLOWS, TRADES
from app.core.extensions import db

WINDOWS = (30, 90, 365)
PASSIVE = ("interest", "dividend", "fee", "tax")
PRODUCT_ACCOUNTS = ("deposit", "loan", "card")
CHOSEN = "chosen_clients"


def metrics_query(as_of: date, *, book_start: date | None, chosen: bool) -> str:
    """The SELECT of all columns of `client_metrics` but `computed_at`, a row a client.

    `book_start` is the day of the first balance of the book. With `chosen`, only the clients in the temporary table
    CHOSEN. Dates are literals: CREATE TABLE AS takes no parameters, and the planner leaves out the months it need not
    read.
    """
    covered = max(1, (as_of - (book_start or as_of)).days + 1)
    days = {window: min(window, covered) for window in WINDOWS}
    only = f"client_id IN (SELECT client_id FROM {CHOSEN})" if chosen else "true"
    return f"""
    SELECT client.id AS client_id, DATE '{as_of}' AS as_of,
        coalesce({_money("assets")}, client.total_assets)::numeric(18, 2) AS total_assets,
        {_each(lambda window: f"{_average(f'assets_days_{window}', days[window])} AS average_balance_{window}")},
        {_change(30)} AS assets_change_30,
        {_change(90)} AS assets_change_90,
        {_money("debt")} AS debt,
        {_average("debt_days_365", days[365])} AS average_debt_365,
        {_each(lambda window: f"{_money(f'inflow_{window}', 0)} AS net_inflow_{window}")},
        {_each(lambda window: f"coalesce(trades_{window}, 0)::int AS trades_{window}")},
        {_each(lambda window: f"{_money(f'traded_{window}', 0)} AS traded_value_{window}")},
        coalesce(traded_365, 0) / nullif(floor(assets_days_365 / {days[365]} + 0.5), 0) AS turnover_rate_365,
        {_each(lambda window: f"{_money(f'fees_{window}', 0)} AS fees_{window}")},
        last_trade_on, last_transaction_on,
        coalesce(bit_count(months::bit(13)), 0)::int AS active_months_365,
        order_channel,
        coalesce(open_accounts, 0)::int AS open_accounts,
        coalesce(product_kinds, '{{}}') COLLATE "default" AS product_kinds,
        coalesce(cardinality(product_kinds), 0) AS product_kind_count,
        coalesce(position_value, 0)::numeric(18, 2) AS position_value,
        (coalesce(position_value, 0) / nullif(coalesce({_money("assets")}, client.total_assets), 0))::float8
            AS position_ratio,
        profit_loss::numeric(18, 2) AS profit_loss,
        underwater_share, last_contact_at
    FROM client
    LEFT JOIN ({_held(as_of, only)}) AS held ON held.client_id = client.id
    LEFT JOIN ({_moved(as_of, only)}) AS moved ON moved.client_id = client.id
    LEFT JOIN ({_channels(as_of, only)}) AS channels ON channels.client_id = client.id
    LEFT JOIN ({_accounts(as_of, only)}) AS accounts ON accounts.client_id = client.id
    LEFT JOIN ({_products(as_of, only)}) AS products ON products.client_id = client.id
    LEFT JOIN (
        SELECT client_id, max(last_at) AS last_contact_at FROM engagement
        WHERE kind = 'contacted' AND {only} GROUP BY client_id
    ) AS contacts ON contacts.client_id = client.id
    WHERE {only.replace("client_id", "client.id", 1)}
    """


def book_start() -> date | None:
    """The day of the first balance of the book; None where there is none."""
    months = db.session.scalars(
        text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'balance'::regclass ORDER BY 1")
    ).all()
    for month in months:
        first: date | None = db.session.scalar(text(f"SELECT min(on_date) FROM {month}"))
        if first is not None:
            return first
    return None


def _held(as_of: date, only: str) -> str:
    """Assets and debt of each client at the end of three days, and their sums over the days of the windows."""
    start = as_of - timedelta(days=WINDOWS[-1])  # the day before the longest window
    overlap = {
        window: f"greatest(0, until - greatest(since, DATE '{as_of - timedelta(days=window - 1)}'))"
        for window in WINDOWS
    }
    then = {window: f"DATE '{as_of - timedelta(days=window)}'" for window in WINDOWS[:2]}
    return f"""
    SELECT client_id,
        sum(greatest(cents, 0)) FILTER (WHERE until > DATE '{as_of}') AS assets,
        sum(greatest(-cents, 0)) FILTER (WHERE until > DATE '{as_of}') AS debt,
        {_each(lambda window: f"sum(greatest(cents, 0) * {overlap[window]}) AS assets_days_{window}")},
        sum(greatest(-cents, 0) * {overlap[365]}) AS debt_days_365,
        sum(greatest(cents, 0)) FILTER (WHERE since <= {then[30]} AND until > {then[30]}) AS assets_30_days_ago,
        sum(greatest(cents, 0)) FILTER (WHERE since <= {then[90]} AND until > {then[90]}) AS assets_90_days_ago
    FROM (
        SELECT client_id, (amount * 100)::bigint::float8 AS cents, on_date AS since,
            lead(on_date, 1, DATE '{as_of + timedelta(days=1)}')
                OVER (PARTITION BY account_id ORDER BY on_date) AS until
        FROM (
            SELECT account_id, client_id, on_date, amount FROM balance
            WHERE on_date > DATE '{start}' AND on_date <= DATE '{as_of}' AND {only}
            UNION ALL
            SELECT id, client_id, DATE '{start}',
                CASE WHEN closed_on > newest.on_date AND closed_on <= DATE '{start}' THEN 0 ELSE amount END
            FROM account CROSS JOIN LATERAL (
                SELECT on_date, amount FROM balance WHERE account_id = account.id AND on_date <= DATE '{start}'
                ORDER BY on_date DESC LIMIT 1
            ) AS newest
            WHERE {only}
            UNION ALL
            SELECT id, client_id, closed_on, 0 FROM account
            WHERE closed_on > DATE '{start}' AND closed_on <= DATE '{as_of}' AND {only}
                AND EXISTS (SELECT FROM balance WHERE account_id = account.id AND on_date < closed_on)
                AND NOT EXISTS (SELECT FROM balance WHERE account_id = account.id AND on_date = closed_on)
        ) AS snapshots
    ) AS periods
    GROUP BY client_id
    """


def _moved(as_of: date, only: str) -> str:
    """What happened on each client's accounts, and when last."""
    within = {window: f"on_date > DATE '{as_of - timedelta(days=window)}'" for window in WINDOWS}
    trade, cents = f"kind IN {_list(TRADES)}", "(amount * 100)::bigint::float8"
    signed = f"CASE WHEN kind IN {_list(INFLOWS)} THEN {cents} ELSE -{cents} END"
    crossing = f"kind IN {_list((*INFLOWS, *OUTFLOWS))}"
    active = f"kind NOT IN {_list(PASSIVE)}"
    return f"""
    SELECT client_id,
        {_each(lambda window: f"count(*) FILTER (WHERE {within[window]} AND {trade}) AS trades_{window}")},
        {_each(lambda window: f"sum({cents}) FILTER (WHERE {within[window]} AND {trade}) AS traded_{window}")},
        {_each(lambda window: f"sum({signed}) FILTER (WHERE {within[window]} AND {crossing}) AS inflow_{window}")},
        {_each(lambda window: f"sum((fee * 100)::bigint::float8) FILTER (WHERE {within[window]}) AS fees_{window}")},
        max(on_date) FILTER (WHERE {trade}) AS last_trade_on,
        max(on_date) FILTER (WHERE {active}) AS last_transaction_on,
        bit_or(1 << date_part('month', on_date)::int) FILTER (WHERE {within[365]} AND {active}) AS months
    FROM transaction
    WHERE on_date <= DATE '{as_of}' AND {only}
    GROUP BY client_id
    """


def _channels(as_of: date, only: str) -> str:
    """Through which channel each client traded most often in the longest window; the first by name of equals."""
    return f"""
    SELECT DISTINCT ON (client_id) client_id, order_channel
    FROM (
        SELECT client_id, order_channel, count(*) AS trades FROM transaction
        WHERE on_date > DATE '{as_of - timedelta(days=WINDOWS[-1])}' AND on_date <= DATE '{as_of}'
            AND order_channel IS NOT NULL AND kind IN {_list(TRADES)} AND {only}
        GROUP BY client_id, order_channel
    ) AS counted
    ORDER BY client_id, trades DESC, order_channel COLLATE "C"
    """


def _accounts(as_of: date, only: str) -> str:
    return f"""
    SELECT client_id, count(*) AS open_accounts FROM account WHERE {_open(as_of)} AND {only} GROUP BY client_id
    """


def _products(as_of: date, only: str) -> str:
    return f"""
    SELECT client_id,
        array_agg(DISTINCT kind COLLATE "C" ORDER BY kind COLLATE "C") FILTER (WHERE held) AS product_kinds,
        sum(value) AS position_value, sum(value - cost) AS profit_loss,
        (sum(CASE WHEN value < cost THEN value ELSE 0 END) FILTER (WHERE cost IS NOT NULL)
            / nullif(sum(value) FILTER (WHERE cost IS NOT NULL), 0))::float8 AS underwater_share
    FROM (
        SELECT client_id, product_kind AS kind, value <> 0 AS held, value, cost FROM position WHERE {only}
        UNION ALL
        SELECT client_id, kind, true, NULL, NULL FROM account
        WHERE kind IN {_list(PRODUCT_ACCOUNTS)} AND {_open(as_of)} AND {only}
    ) AS holdings
    GROUP BY client_id
    """


def _open(as_of: date) -> str:
    day = f"DATE '{as_of}'"
    return f"(opened_on IS NULL OR opened_on <= {day}) AND (closed_on IS NULL OR closed_on > {day})"


def _money(cents: str, otherwise: int | None = None) -> str:
    """A sum of cents as money."""
    value = cents if otherwise is None else f"coalesce({cents}, {otherwise})"
    return f"({value}::bigint * 0.01)::numeric(18, 2)"


def _average(cents_days: str, days: int) -> str:
    """Half a cent is rounded up; what is averaged is never negative."""
    return f"(floor({cents_days} / {days} + 0.5)::bigint * 0.01)::numeric(18, 2)"


def _change(window: int) -> str:
    """The change of assets as a share of what they were; NULL where there were none."""
    return f"(assets - assets_{window}_days_ago) / nullif(assets_{window}_days_ago, 0)"


def _each(column: Callable[[int], str]) -> str:
    return ", ".join(column(window) for window in WINDOWS)


def _list(words: Sequence[str]) -> str:
    return "(" + ", ".join(f"'{word}'" for word in words) + ")"
