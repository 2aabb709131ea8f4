"""What all kinds of feeds share while they load."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import text

from app.clients.feeds.staging import Stage


@dataclass(frozen=True, slots=True)
class Rules:
    """What the feed allows. `source` names the system the rows come from; new clients belong to the branch.

    `run_id` is the run whose file changes the book; None where nothing is applied.
    """

    source: str
    branch_id: int
    on_date: date
    run_id: int | None = None
    create_clients: bool = False
    move_accounts: bool = False
    whole_statements: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became (or would become) of the rows that were not refused."""

    created: int
    changed: int
    unchanged: int
    left_out: int
    clients_created: int = 0


def outcome(stage: Stage, *, clients_created: int = 0, removed: int = 0) -> Outcome:
    """Count the states of `feed_rows`. `removed` rows of the client book count as changed."""
    counts: dict[str, Any] = dict(
        iter(stage.connection.execute(text("SELECT state, count(*) FROM feed_rows GROUP BY 1")))
    )
    return Outcome(
        created=counts.get("new", 0),
        changed=counts.get("changed", 0) + removed,
        unchanged=counts.get("same", 0),
        left_out=counts.get("passed", 0),
        clients_created=clients_created,
    )


def days(stage: Stage, table: str) -> list[date]:
    """A day of each month that the rows of `feed_rows` or `feed_balances` will write to."""
    found = stage.connection.execute(
        text(f"SELECT DISTINCT date_trunc('month', on_date)::date FROM {table} WHERE state IN ('new', 'changed')")  # noqa: S608
    )
    return list(found.scalars())


def refuse_repeated(stage: Stage, key: str, reason: str) -> None:
    """Of rows with the same key the first counts; the later ones are refused."""
    stage.run(
        f"CREATE TEMPORARY TABLE feed_twice ON COMMIT DROP AS SELECT {key}, min(row_number) AS first "  # noqa: S608
        f"FROM feed_stage GROUP BY {key} HAVING count(*) > 1"
    )
    if stage.count("SELECT count(*) FROM feed_twice"):
        stage.refuse(
            f"EXISTS (SELECT FROM feed_twice t WHERE t.{key} = one.{key} AND t.first <> one.row_number)",
            reason,
            value=f"one.{key}",
        )


def values(stage: Stage, names: list[str], *, kept: tuple[str, ...] = ()) -> dict[str, str]:
    """SQL for what each column becomes, over `s` (staged) and `k` (known).

    A target that the file fills takes its value, also a missing one, which empties it except for those `kept`.
    A target that the file does not fill stays.
    """
    becomes = {}
    for name in names:
        if name not in stage.filled:
            becomes[name] = f"k.{name}"
        else:
            becomes[name] = f"coalesce(s.{name}, k.{name})" if name in kept else f"s.{name}"
    return becomes


def resolve_accounts(stage: Stage) -> None:
    """Refuse rows whose account or client is not known, and name the account of rows that name their client only.

    A client alone says which account where it has exactly one that is open.
    """
    if "client" in stage.filled:
        stage.run(
            """
            CREATE TEMPORARY TABLE feed_holders ON COMMIT DROP AS
            SELECT s.client, holder.id AS client_id, count(a.id) AS accounts, min(a.number) AS number
            FROM (SELECT DISTINCT client FROM feed_stage WHERE client IS NOT NULL) s
            JOIN client c ON c.number = s.client
            JOIN client holder ON holder.id = coalesce(c.merged_into_id, c.id)
            LEFT JOIN account a ON a.client_id = holder.id AND a.closed_on IS NULL
            GROUP BY s.client, holder.id
            """
        )
        stage.run("ANALYZE feed_holders")
        stage.refuse(
            "one.client IS NOT NULL AND NOT EXISTS (SELECT FROM feed_holders h WHERE h.client = one.client)",
            _("There is no client with the number “%(number)s”.", number="{}"),
            value="one.client",
        )
        stage.refuse(
            "one.account IS NULL AND EXISTS (SELECT FROM feed_holders h WHERE h.client = one.client AND accounts <> 1)",
            _("The client “%(number)s” does not have exactly one open account; the row must name one.", number="{}"),
            value="one.client",
        )
        stage.run(
            "UPDATE feed_stage s SET account = h.number FROM feed_holders h "
            "WHERE s.account IS NULL AND h.client = s.client"
        )
        stage.refuse(
            "EXISTS (SELECT FROM feed_holders h JOIN account a ON a.number = one.account "
            "WHERE h.client = one.client AND a.client_id <> h.client_id)",
            _("The account “%(number)s” belongs to another client.", number="{}"),
            value="one.account",
        )
    stage.refuse("one.account IS NULL", _("The row names neither an account nor a client."))
    stage.refuse(
        "NOT EXISTS (SELECT FROM account a WHERE a.number = one.account)",
        _("There is no account with the number “%(number)s”.", number="{}"),
        value="one.account",
    )


def refuse_unknown_branches(stage: Stage, rows: str) -> None:
    """Rows of a table with `branch` and `branch_id` whose code nobody knows."""
    stage.refuse(
        "one.branch IS NOT NULL AND one.branch_id IS NULL",
        _("There is no branch with the code “%(code)s”.", code="{}"),
        value="one.branch",
        rows=rows,
    )


BRANCHES = "(SELECT lower(code) AS code, min(id) AS id FROM branch GROUP BY 1)"
