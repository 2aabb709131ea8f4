"""Balances: one an account and day, the newest word on it counts."""

from app.clients.feeds.loading.rules import Outcome, Rules, outcome, resolve_accounts
from app.clients.feeds.staging import Stage
from app.clients.holdings.assets import follow_balances


def check(stage: Stage, rules: Rules) -> None:
    resolve_accounts(stage)
    rank(stage, "feed_rows", "SELECT row_number, account, on_date, amount FROM feed_stage")


def apply(stage: Stage, rules: Rules) -> Outcome:
    store(stage, "feed_rows", rules)
    return outcome(stage)


def rank(stage: Stage, table: str, rows: str) -> None:
    """Make a table of balances out of rows (row_number, account, on_date, amount), joined to what is known.

    Of several rows for an account and day the last in the file counts; the others are passed.
    """
    stage.run(
        f"""
        CREATE TEMPORARY TABLE {table} ON COMMIT DROP AS
        SELECT s.row_number, a.id AS account_id, a.client_id, s.on_date, s.amount,
            CASE WHEN s.later > 1 THEN 'passed' WHEN b.account_id IS NULL THEN 'new'
                 WHEN b.amount <> s.amount THEN 'changed' ELSE 'same' END AS state
        FROM (SELECT rows.*, row_number() OVER (PARTITION BY account, on_date ORDER BY row_number DESC) AS later
              FROM ({rows}) rows) s
        JOIN account a ON a.number = s.account
        LEFT JOIN balance b ON b.account_id = a.id AND b.on_date = s.on_date
        """  # noqa: S608 - names of our own
    )
    stage.run(f"ANALYZE {table}")


def store(stage: Stage, table: str, rules: Rules) -> int:
    """Write the balances of such a table; the clients' total assets follow. Returns how many were written."""
    changed = stage.run(
        f"UPDATE balance b SET amount = r.amount FROM {table} r WHERE r.state = 'changed' "  # noqa: S608
        "AND b.account_id = r.account_id AND b.on_date = r.on_date"
    )
    made = stage.run(
        "INSERT INTO balance (account_id, client_id, on_date, amount) "  # noqa: S608 - names of our own
        f"SELECT account_id, client_id, on_date, amount FROM {table} WHERE state = 'new' ORDER BY on_date, account_id"
    )
    follow_balances(
        stage.connection,
        f"SELECT DISTINCT client_id FROM {table} WHERE state IN ('new', 'changed')",  # noqa: S608
        on_date=rules.on_date,
    )
    return changed + made
