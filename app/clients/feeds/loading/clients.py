"""Facts of clients: name, birth date, city and the like.

Contact data and consent come through imports, which keep evidence. A merged-away client is passed over.
"""

from flask_babel import gettext as _
from sqlalchemy import column, func, table, update

from app.clients.editing.recording import change_clients
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
from app.clients.models import Client
from app.core.extensions import table_of

COLUMNS = [
    "name", "first_name", "last_name", "kind", "status", "gender", "birth_date", "city", "source", "opened_on",
    "risk_level", "risk_assessed_on",
]  # fmt: skip
KEPT = ("kind", "status")
_CLIENT = table_of(Client)


def check(stage: Stage, rules: Rules) -> None:
    refuse_repeated(stage, "number", _("The client number “%(number)s” stands in an earlier row already.", number="{}"))
    becomes = values(stage, COLUMNS, kept=KEPT)
    if "name" not in stage.filled and {"first_name", "last_name"} & stage.filled:
        becomes["name"] = "coalesce(nullif(concat_ws(' ', s.first_name, s.last_name), ''), k.name)"
    branch = "coalesce(b.id, k.branch_id)" if "branch" in stage.filled else "k.branch_id"
    becomes["kind"] = f"coalesce({becomes['kind']}, 'person')"
    becomes["status"] = f"coalesce({becomes['status']}, 'client')"
    listed = ", ".join(f"{sql} AS {name}" for name, sql in becomes.items())
    known = ", ".join(f"k.{name}" for name in COLUMNS)
    stage.run(
        f"""
        CREATE TEMPORARY TABLE feed_rows ON COMMIT DROP AS
        SELECT s.row_number, s.number, k.id AS client_id, s.branch, b.id AS branch_id,
            {branch} AS next_branch_id, {listed},
            CASE WHEN k.id IS NULL THEN 'new' WHEN k.merged_into_id IS NOT NULL THEN 'passed'
                 WHEN ({", ".join(becomes.values())}, {branch}) IS DISTINCT FROM ({known}, k.branch_id) THEN 'changed'
                 ELSE 'same' END AS state
        FROM feed_stage s
        LEFT JOIN client k ON k.number = s.number
        LEFT JOIN {BRANCHES} b ON b.code = lower(s.branch)
        """  # noqa: S608 - names of our own
    )
    refuse_unknown_branches(stage, "feed_rows")
    if not rules.create_clients:
        stage.refuse(
            "one.state = 'new'",
            _("There is no client with the number “%(number)s”.", number="{}"),
            value="one.number",
            rows="feed_rows",
        )


def apply(stage: Stage, rules: Rules) -> Outcome:
    rows = table("feed_rows", *(column(name) for name in ("client_id", "state", "next_branch_id", *COLUMNS)))
    was = _CLIENT.alias("was")
    becomes = {name: rows.c[name] for name in COLUMNS} | {"branch_id": rows.c.next_branch_id}
    change_clients(
        change=update(_CLIENT)
        .where(rows.c.state == "changed", _CLIENT.c.id == rows.c.client_id, was.c.id == _CLIENT.c.id)
        .values({**becomes, "updated_at": func.now()}),
        was=was,
        columns=list(becomes),
        connection=stage.connection,
        feed_run_id=rules.run_id,
    )
    listed = ", ".join(COLUMNS)
    stage.run(
        f"INSERT INTO client (number, branch_id, {listed}) "  # noqa: S608 - names of our own
        f"SELECT number, coalesce(branch_id, :branch_id), {listed} FROM feed_rows WHERE state = 'new' "
        "ORDER BY row_number",
        branch_id=rules.branch_id,
    )
    return outcome(stage)
