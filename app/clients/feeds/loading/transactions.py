"""Transactions, known by their source and its own number. A corrected date, amount or kind replaces what was there."""

from flask_babel import gettext as _

from app.clients.feeds.loading.balances import rank, store
from app.clients.feeds.loading.rules import Outcome, Rules, outcome, refuse_repeated, resolve_accounts
from app.clients.feeds.staging import Stage

COLUMNS = ["on_date", "account_id", "client_id", "kind", "amount", "fee", "order_channel"]


def check(stage: Stage, rules: Rules) -> None:
    refuse_repeated(
        stage,
        "external_id",
        _("The number of the transaction “%(number)s” stands in an earlier row already.", number="{}"),
    )
    resolve_accounts(stage)
    fee = "coalesce(s.fee, 0)" if "fee" in stage.filled else "coalesce(k.fee, 0)"
    channel = "s.order_channel" if "order_channel" in stage.filled else "k.order_channel"
    # Joined by number alone, whatever the month: a corrected date finds the row under its old one.
    stage.run(
        f"""
        CREATE TEMPORARY TABLE feed_rows ON COMMIT DROP AS
        SELECT s.row_number, s.external_id, s.on_date, a.id AS account_id, a.client_id, s.kind, s.amount, {fee} AS fee,
            {channel} AS order_channel, k.on_date AS known_on,
            CASE WHEN k.on_date IS NULL THEN 'new'
                 WHEN (s.on_date, a.id, s.kind, s.amount, {fee}, {channel})
                      IS DISTINCT FROM (k.on_date, k.account_id, k.kind, k.amount, k.fee, k.order_channel)
                     THEN 'changed'
                 ELSE 'same' END AS state
        FROM feed_stage s
        JOIN account a ON a.number = s.account
        LEFT JOIN "transaction" k ON k.source = :source AND k.external_id = s.external_id
        """,  # noqa: S608 - names of our own
        source=rules.source,
    )
    stage.run("ANALYZE feed_rows (state, known_on, on_date)")
    if "balance_after" in stage.filled:
        rank(
            stage,
            "feed_balances",
            "SELECT row_number, account, on_date, balance_after AS amount FROM feed_stage "
            "WHERE balance_after IS NOT NULL",
        )


def apply(stage: Stage, rules: Rules) -> Outcome:
    stage.run(
        """
        DELETE FROM "transaction" k USING feed_rows r
        WHERE r.state = 'changed' AND r.known_on <> r.on_date
            AND k.source = :source AND k.external_id = r.external_id AND k.on_date = r.known_on
        """,
        source=rules.source,
    )
    stage.run(
        f"""
        UPDATE "transaction" k SET {", ".join(f"{name} = r.{name}" for name in COLUMNS if name != "on_date")}
        FROM feed_rows r
        WHERE r.state = 'changed' AND r.known_on = r.on_date
            AND k.source = :source AND k.external_id = r.external_id AND k.on_date = r.on_date
        """,  # noqa: S608 - names of our own
        source=rules.source,
    )
    listed = ", ".join(COLUMNS)
    stage.run(
        f'INSERT INTO "transaction" (source, external_id, {listed}) '  # noqa: S608 - names of our own
        f"SELECT :source, external_id, {listed} FROM feed_rows "
        "WHERE state = 'new' OR (state = 'changed' AND known_on <> on_date) ORDER BY row_number",
        source=rules.source,
    )
    if "balance_after" in stage.filled:
        store(stage, "feed_balances", rules)
    return outcome(stage)
