"""Accounts, known by their number. An account does not change its client unless the feed says that it may."""

from flask_babel import gettext as _

from app.clients.feeds.loading.rules import (
    BRANCHES,
    Outcome,
    Rules,
    outcome,
    refuse_repeated,
    refuse_unknown_branches,
    values,
)
from app.clients.feeds.staging import Stage
from app.clients.holdings.assets import follow_balances

COLUMNS = ["kind", "currency", "opened_on", "activated_on", "matures_on", "closed_on", "partner_bank", "designated_on"]
KEPT = ("kind", "currency")


def check(stage: Stage, rules: Rules) -> None:
    refuse_repeated(
        stage, "number", _("The account number “%(number)s” stands in an earlier row already.", number="{}")
    )
    becomes = values(stage, COLUMNS, kept=KEPT)
    becomes["currency"] = f"coalesce({becomes['currency']}, 'CNY')"
    if "term_months" in stage.filled:
        until = f"({becomes['opened_on']} + make_interval(months => s.term_months))::date"
        becomes["matures_on"] = f"coalesce(s.matures_on, {until}, k.matures_on)"
    branch = "b.id" if "branch" in stage.filled else "k.branch_id"
    holder = (
        "CASE WHEN s.client IS NOT NULL THEN coalesce(c.merged_into_id, c.id) "
        "WHEN s.client_of IS NOT NULL THEN h.client_id ELSE k.client_id END"
    )
    listed = ", ".join(f"{sql} AS {name}" for name, sql in becomes.items())
    known = ", ".join(f"k.{name}" for name in COLUMNS)
    stage.run(
        f"""
        CREATE TEMPORARY TABLE feed_rows ON COMMIT DROP AS
        SELECT s.row_number, s.number, s.client, s.client_of, s.branch, k.id AS account_id,
            k.client_id AS known_client_id, {holder} AS client_id, {branch} AS branch_id, {listed},
            CASE WHEN k.id IS NULL THEN 'new'
                 WHEN ({", ".join(becomes.values())}, {branch}, {holder})
                      IS DISTINCT FROM ({known}, k.branch_id, k.client_id) THEN 'changed'
                 ELSE 'same' END AS state
        FROM feed_stage s
        LEFT JOIN account k ON k.number = s.number
        LEFT JOIN client c ON c.number = s.client
        LEFT JOIN account h ON h.number = s.client_of
        LEFT JOIN {BRANCHES} b ON b.code = lower(s.branch)
        """  # noqa: S608 - names of our own
    )
    _refuse(stage, rules)


def _refuse(stage: Stage, rules: Rules) -> None:
    refuse_unknown_branches(stage, "feed_rows")
    if not rules.create_clients:
        stage.refuse(
            "one.client IS NOT NULL AND one.client_id IS NULL",
            _("There is no client with the number “%(number)s”.", number="{}"),
            value="one.client",
            rows="feed_rows",
        )
    stage.refuse(
        "one.client IS NULL AND one.client_of IS NOT NULL AND one.client_id IS NULL",
        _("There is no account with the number “%(number)s”.", number="{}"),
        value="one.client_of",
        rows="feed_rows",
    )
    stage.refuse(
        "one.client IS NULL AND one.client_id IS NULL",
        _("The account “%(number)s” is not known yet, and the row does not say whose it is.", number="{}"),
        value="one.number",
        rows="feed_rows",
    )
    stage.refuse(
        "one.kind IS NULL",
        _("The account “%(number)s” is not known yet, and the row does not say of which kind it is.", number="{}"),
        value="one.number",
        rows="feed_rows",
    )
    if not rules.move_accounts:
        stage.refuse(
            "one.account_id IS NOT NULL AND one.client_id IS DISTINCT FROM one.known_client_id",
            _("The account “%(number)s” belongs to another client, and this feed may not move it.", number="{}"),
            value="one.number",
            rows="feed_rows",
        )


def apply(stage: Stage, rules: Rules) -> Outcome:
    made = _create_clients(stage, rules) if rules.create_clients else 0
    listed = ", ".join(COLUMNS)
    stage.run(
        f"""
        UPDATE account a SET {", ".join(f"{name} = r.{name}" for name in COLUMNS)}, branch_id = r.branch_id,
            client_id = r.client_id
        FROM feed_rows r WHERE r.state = 'changed' AND a.id = r.account_id
        """  # noqa: S608 - names of our own
    )
    stage.run(
        f"INSERT INTO account (number, client_id, branch_id, {listed}) "  # noqa: S608 - names of our own
        f"SELECT number, client_id, branch_id, {listed} FROM feed_rows WHERE state = 'new' ORDER BY row_number"
    )
    follow_balances(
        stage.connection,
        "SELECT client_id FROM feed_rows WHERE state = 'changed' "
        "UNION SELECT known_client_id FROM feed_rows WHERE state = 'changed'",
        on_date=rules.on_date,
    )
    return outcome(stage, clients_created=made)


def _create_clients(stage: Stage, rules: Rules) -> int:
    """Clients that the firm does not know become clients with nothing but a number, for an import to fill in."""
    made = stage.run(
        "INSERT INTO client (number, branch_id, source) SELECT client, :branch_id, :source FROM feed_rows "
        "WHERE client IS NOT NULL AND client_id IS NULL GROUP BY client ORDER BY min(row_number)",
        branch_id=rules.branch_id,
        source=rules.source,
    )
    stage.run("UPDATE feed_rows r SET client_id = c.id FROM client c WHERE r.client_id IS NULL AND c.number = r.client")
    return made
