"""What becomes of each table when one record of a client is merged into another.

Every table with a client in it stands here, in MOVED, COMBINED or STAYS, or is moved by a feature that registered
`on_merge`; a test fails for a table that nobody thought of.
"""

from collections.abc import Callable, Sequence

from flask_babel import lazy_gettext as _l
from sqlalchemy import text

from app.clients.editing.fields import FACTS, ChangedBy, Fact, own_fact
from app.clients.metrics.service import mark_stale
from app.clients.queries import custom_fields
from app.core.extensions import db

# Rows that go over as they are. Balances, transactions and positions follow their account by themselves.
MOVED = ("account", "consent", "client_note")
# Rows that go over only as far as the survivor has none of the kind; see the statements of COMBINE.
COMBINED = (
    "engagement", "household_member", "class_override", "ownership", "client_correction", "repair_task",
    "duplicate_pair", "topic_refusal", "marketing_pause",
)  # fmt: skip
FOLLOW_ACCOUNT = ("balance", "transaction", "position")
# History that stays with the record it happened to; the time line reads all records of a client. A second check judged
# the facts of that record: the survivor needs one of its own.
STAYS = ("client_change", "client_merge", "class_change", "second_check", "attribution")
# Derived rows of a record that is no client any more.
DROPPED = ("client_metrics", "client_class", "stale_client")

COMBINE: dict[str, str] = {
    "engagement": """
        WITH gone AS (DELETE FROM engagement WHERE client_id = :loser RETURNING *)
        INSERT INTO engagement (client_id, kind, campaign_id, channel, first_at, last_at)
        SELECT :survivor, kind, campaign_id, channel, first_at, last_at FROM gone
        ON CONFLICT (client_id, kind, channel, campaign_id) DO UPDATE SET
            first_at = least(engagement.first_at, excluded.first_at),
            last_at = greatest(engagement.last_at, excluded.last_at)
        """,
    "household_member": """
        UPDATE household_member SET client_id = :survivor WHERE client_id = :loser
          AND NOT EXISTS (SELECT 1 FROM household_member WHERE client_id = :survivor)
        """,
    "class_override": """
        UPDATE class_override AS mine SET client_id = :survivor WHERE client_id = :loser
          AND NOT EXISTS (SELECT 1 FROM class_override AS other
                          WHERE other.client_id = :survivor AND other.model = mine.model)
        """,
    "client_correction": """
        UPDATE client_correction SET client_id = :survivor, decided_at = coalesce(decided_at, now()),
               state = CASE state WHEN 'open' THEN 'superseded' ELSE state END
        WHERE client_id = :loser
        """,
    # An address of the merged record is nobody's problem any more: one that stays is the survivor's own.
    "repair_task": """
        UPDATE repair_task SET client_id = :survivor, closed_at = coalesce(closed_at, now()),
               state = CASE state WHEN 'open' THEN 'done' ELSE state END
        WHERE client_id = :loser
        """,
    # What either record refused stays refused, and the longer pause holds.
    "topic_refusal": """
        WITH gone AS (DELETE FROM topic_refusal WHERE client_id = :loser RETURNING topic_id, at)
        INSERT INTO topic_refusal (client_id, topic_id, at) SELECT :survivor, topic_id, at FROM gone
        ON CONFLICT DO NOTHING
        """,
    "marketing_pause": """
        WITH gone AS (DELETE FROM marketing_pause WHERE client_id = :loser RETURNING until, at)
        INSERT INTO marketing_pause (client_id, until, at) SELECT :survivor, until, at FROM gone
        ON CONFLICT (client_id) DO UPDATE SET until = greatest(marketing_pause.until, excluded.until)
        """,
    # Who looked after the merged record did so until now; the present owner is the survivor's.
    "ownership": """
        UPDATE ownership SET client_id = :survivor, until = coalesce(until, now()) WHERE client_id = :loser
        """,
}

MergeStep = Callable[[int, int], int]
_steps: dict[str, MergeStep] = {}


def on_merge(table: str, step: MergeStep) -> None:
    """Register `step(loser_id, survivor_id)`, which moves a later feature's rows and returns how many."""
    _steps[table] = step


def registered_tables() -> set[str]:
    """The tables that features have registered."""
    return set(_steps)


def move_rows(loser_id: int, survivor_id: int) -> dict[str, int]:
    """Move or combine everything that hangs on the loser, in the current transaction. Returns rows by table."""
    ids = {"loser": loser_id, "survivor": survivor_id}
    moved = {
        table: _count(f"UPDATE {table} SET client_id = :survivor WHERE client_id = :loser", ids)  # noqa: S608
        for table in MOVED
    }
    moved |= {table: _count(statement, ids) for table, statement in COMBINE.items()}
    for table in (*DROPPED, "household_member", "class_override"):
        _count(f"DELETE FROM {table} WHERE client_id = :loser", ids)  # noqa: S608
    mark_stale([survivor_id])
    moved |= {table: step(loser_id, survivor_id) for table, step in _steps.items()}
    return {table: count for table, count in moved.items() if count}


def _count(statement: str, ids: dict[str, int]) -> int:
    return int(db.session.execute(text(statement), ids).rowcount)  # type: ignore[attr-defined]


_OWNER_FACTS = (
    Fact("adviser_id", _l("Adviser"), "adviser", ChangedBy.MANAGERS, int, group="firm"),
    Fact("second_adviser_id", _l("Second adviser"), "adviser", ChangedBy.MANAGERS, int, group="firm"),
)


def merged_facts() -> Sequence[Fact]:
    """The facts of which one record's value stays, in the order they are compared."""
    return (*FACTS, *_OWNER_FACTS, *map(own_fact, custom_fields()))
