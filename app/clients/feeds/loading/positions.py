"""Positions: what an account holds now. The newest statement of an account replaces the one before as a whole."""

from flask_babel import gettext as _

from app.clients.feeds.loading.rules import Outcome, Rules, outcome, resolve_accounts, values
from app.clients.feeds.staging import Stage

COLUMNS = ["product_name", "product_kind", "product_risk", "value", "cost"]


def check(stage: Stage, rules: Rules) -> None:
    of_product, of_same = (
        ("", "") if rules.whole_statements else (", product_code", "AND p.product_code = s.product_code")
    )
    resolve_accounts(stage)
    stage.run(
        "CREATE TEMPORARY TABLE feed_twice ON COMMIT DROP AS SELECT account, product_code, on_date, "
        "min(row_number) AS first FROM feed_stage GROUP BY 1, 2, 3 HAVING count(*) > 1"
    )
    stage.refuse(
        "EXISTS (SELECT FROM feed_twice t WHERE (t.account, t.product_code, t.on_date) = "
        "(one.account, one.product_code, one.on_date) AND t.first <> one.row_number)",
        _("The product “%(code)s” stands in this statement of the account already.", code="{}"),
        value="one.product_code",
    )
    becomes = values(stage, COLUMNS)
    listed = ", ".join(f"{sql} AS {name}" for name, sql in becomes.items())
    known = ", ".join(f"k.{name}" for name in COLUMNS)
    # A statement older than what is known, or than another in the same file, has been overtaken.
    stage.run(
        f"""
        CREATE TEMPORARY TABLE feed_rows ON COMMIT DROP AS
        SELECT s.row_number, a.id AS account_id, a.client_id, s.product_code, s.on_date, {listed},
            CASE WHEN s.on_date < greatest(s.newest, held.on_date) THEN 'passed' WHEN k.account_id IS NULL THEN 'new'
                 WHEN ({", ".join(becomes.values())}) IS DISTINCT FROM ({known}) THEN 'changed' ELSE 'same' END AS state
        FROM (SELECT feed_stage.*, max(on_date) OVER (PARTITION BY account{of_product}) AS newest FROM feed_stage) s
        JOIN account a ON a.number = s.account
        LEFT JOIN position k ON k.account_id = a.id AND k.product_code = s.product_code
        LEFT JOIN LATERAL (SELECT max(p.on_date) AS on_date FROM position p WHERE p.account_id = a.id
            {of_same}) held ON true
        """  # noqa: S608 - names of our own
    )
    stage.run("ANALYZE feed_rows")


def apply(stage: Stage, rules: Rules) -> Outcome:
    removed = 0
    if rules.whole_statements:
        removed = stage.run(
            """
            DELETE FROM position p
            WHERE p.account_id IN (SELECT account_id FROM feed_rows WHERE state <> 'passed')
                AND NOT EXISTS (SELECT FROM feed_rows r WHERE r.state <> 'passed' AND r.account_id = p.account_id
                    AND r.product_code = p.product_code)
            """
        )
    assigned = ", ".join(f"{name} = r.{name}" for name in COLUMNS)
    stage.run(
        f"""
        UPDATE position p SET {assigned}, on_date = r.on_date FROM feed_rows r
        WHERE r.state IN ('changed', 'same') AND p.account_id = r.account_id AND p.product_code = r.product_code
            AND (r.state = 'changed' OR p.on_date <> r.on_date)
        """  # noqa: S608 - names of our own
    )
    listed = ", ".join(COLUMNS)
    stage.run(
        f"INSERT INTO position (account_id, client_id, product_code, on_date, {listed}) "  # noqa: S608
        f"SELECT account_id, client_id, product_code, on_date, {listed} FROM feed_rows WHERE state = 'new' "
        "ORDER BY account_id, product_code"
    )
    return outcome(stage, removed=removed)
