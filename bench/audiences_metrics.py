"""The metrics of the whole book, against one aggregate query written by hand over the same tables."""

from collections.abc import Iterator
from datetime import date, timedelta

from sqlalchemy import text

from app.clients.metrics.service import default_as_of, refresh_metrics
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from bench.big_book import Book
from bench.figures import Measure
from bench.measuring import best

ROUNDS = 2
SHARE_TOUCHED = 100  # one client in so many has new balances after a feed

# What one would write first: plain sums of money, the same windows, the same joins. It is counted, column by column,
# so that no part of it may be left out; nothing is written.
_REFERENCE = """
WITH held AS (
    SELECT client_id,
        sum(greatest(amount, 0)) FILTER (WHERE until > :as_of) AS assets,
        sum(greatest(-amount, 0)) FILTER (WHERE until > :as_of) AS debt,
        sum(greatest(amount, 0) * greatest(0, until - greatest(on_date, :day_30 + 1))) / 30 AS average_30,
        sum(greatest(amount, 0) * greatest(0, until - greatest(on_date, :day_90 + 1))) / 90 AS average_90,
        sum(greatest(amount, 0) * greatest(0, until - greatest(on_date, :day_365 + 1))) / 365 AS average_365,
        sum(greatest(-amount, 0) * greatest(0, until - greatest(on_date, :day_365 + 1))) / 365 AS average_debt,
        sum(greatest(amount, 0)) FILTER (WHERE on_date <= :day_30 AND until > :day_30) AS assets_then_30,
        sum(greatest(amount, 0)) FILTER (WHERE on_date <= :day_90 AND until > :day_90) AS assets_then_90
    FROM (
        SELECT balance.client_id, amount, on_date,
            least(lead(on_date, 1, :as_of + 1) OVER (PARTITION BY account_id ORDER BY on_date),
                CASE WHEN closed_on > on_date THEN closed_on END) AS until
        FROM balance JOIN account ON account.id = account_id
        WHERE on_date <= :as_of
    ) AS periods
    GROUP BY client_id
), moved AS (
    SELECT client_id,
        count(*) FILTER (WHERE on_date > :day_30 AND kind IN ('buy', 'sell', 'subscribe', 'redeem')) AS trades_30,
        count(*) FILTER (WHERE on_date > :day_90 AND kind IN ('buy', 'sell', 'subscribe', 'redeem')) AS trades_90,
        count(*) FILTER (WHERE on_date > :day_365 AND kind IN ('buy', 'sell', 'subscribe', 'redeem')) AS trades_365,
        sum(amount) FILTER (WHERE on_date > :day_30 AND kind IN ('buy', 'sell', 'subscribe', 'redeem')) AS traded_30,
        sum(amount) FILTER (WHERE on_date > :day_90 AND kind IN ('buy', 'sell', 'subscribe', 'redeem')) AS traded_90,
        sum(amount) FILTER (WHERE on_date > :day_365 AND kind IN ('buy', 'sell', 'subscribe', 'redeem')) AS traded_365,
        sum(CASE WHEN kind IN ('deposit', 'transfer_in') THEN amount WHEN kind IN ('withdrawal', 'transfer_out')
            THEN -amount END) FILTER (WHERE on_date > :day_30) AS inflow_30,
        sum(CASE WHEN kind IN ('deposit', 'transfer_in') THEN amount WHEN kind IN ('withdrawal', 'transfer_out')
            THEN -amount END) FILTER (WHERE on_date > :day_90) AS inflow_90,
        sum(CASE WHEN kind IN ('deposit', 'transfer_in') THEN amount WHEN kind IN ('withdrawal', 'transfer_out')
            THEN -amount END) FILTER (WHERE on_date > :day_365) AS inflow_365,
        sum(fee) FILTER (WHERE on_date > :day_30) AS fees_30,
        sum(fee) FILTER (WHERE on_date > :day_90) AS fees_90,
        sum(fee) FILTER (WHERE on_date > :day_365) AS fees_365,
        max(on_date) FILTER (WHERE kind IN ('buy', 'sell', 'subscribe', 'redeem')) AS last_trade_on,
        max(on_date) FILTER (WHERE kind NOT IN ('interest', 'dividend', 'fee', 'tax')) AS last_transaction_on,
        bit_or(1 << extract(month FROM on_date)::int) FILTER (
            WHERE on_date > :day_365 AND kind NOT IN ('interest', 'dividend', 'fee', 'tax')) AS months
    FROM transaction WHERE on_date <= :as_of
    GROUP BY client_id
), channels AS (
    SELECT client_id, mode() WITHIN GROUP (ORDER BY order_channel) AS order_channel
    FROM transaction
    WHERE on_date > :day_365 AND on_date <= :as_of AND kind IN ('buy', 'sell', 'subscribe', 'redeem')
    GROUP BY client_id
), accounts AS (
    SELECT client_id, count(*) AS open_accounts FROM account WHERE opened_on <= :as_of AND closed_on IS NULL
    GROUP BY client_id
), products AS (
    SELECT client_id, array_agg(DISTINCT product_kind) AS kinds, sum(value) AS value, sum(value - cost) AS profit_loss,
        sum(value) FILTER (WHERE value < cost) / nullif(sum(value), 0) AS underwater
    FROM (
        SELECT client_id, product_kind, value, cost FROM position
        UNION ALL
        SELECT client_id, kind, NULL, NULL FROM account WHERE kind IN ('deposit', 'loan', 'card') AND closed_on IS NULL
    ) AS holdings
    GROUP BY client_id
), contacts AS (
    SELECT client_id, max(last_at) AS last_contact_at FROM engagement WHERE kind = 'contacted' GROUP BY client_id
)
SELECT count(assets), count(debt), count(average_30), count(average_90), count(average_365), count(average_debt),
    count((assets - assets_then_30) / nullif(assets_then_30, 0)),
    count((assets - assets_then_90) / nullif(assets_then_90, 0)),
    count(trades_30), count(trades_90), count(trades_365), count(traded_30), count(traded_90), count(traded_365),
    count(traded_365 / nullif(average_365, 0)), count(inflow_30), count(inflow_90), count(inflow_365), count(fees_30),
    count(fees_90), count(fees_365), count(last_trade_on), count(last_transaction_on), count(months),
    count(order_channel), count(open_accounts), count(kinds), count(value), count(value / nullif(assets, 0)),
    count(profit_loss), count(underwater), count(last_contact_at)
FROM client
LEFT JOIN held ON held.client_id = client.id
LEFT JOIN moved ON moved.client_id = client.id
LEFT JOIN channels ON channels.client_id = client.id
LEFT JOIN accounts ON accounts.client_id = client.id
LEFT JOIN products ON products.client_id = client.id
LEFT JOIN contacts ON contacts.client_id = client.id
"""


def measures(book: Book) -> Iterator[Measure]:
    """The nightly job (table, key, statistics, swap, total assets), the reference, and the job after a feed."""

    def ours() -> None:
        with unit_of_work():
            assert refresh_metrics() == book.clients

    query = text(_with_days(_REFERENCE, default_as_of()))

    def reference() -> None:
        for setting in ("work_mem = '192MB'", "jit = off"):
            db.session.execute(text(f"SET LOCAL {setting}"))
        row = db.session.execute(query).one()
        db.session.rollback()
        assert row[0] > book.clients / 2

    taken, plain = best(ours, reference, rounds=ROUNDS)
    yield Measure("metrics of the whole book", book.clients, taken, "s", reference=plain, bound=2)

    touched = list(range(1, book.clients + 1, SHARE_TOUCHED))

    def some() -> None:
        with unit_of_work():
            assert refresh_metrics(client_ids=touched) == len(touched)

    (taken_some,) = best(some, rounds=ROUNDS)
    yield Measure("metrics of the clients touched by a feed", len(touched), taken_some, "s", reference=taken)


def _with_days(query: str, as_of: date) -> str:
    """The query with its days as literals, as one would write them."""
    for window in (30, 90, 365):
        query = query.replace(f":day_{window}", f"DATE '{as_of - timedelta(days=window)}'")
    return query.replace(":as_of", f"DATE '{as_of}'")
