"""Keeps the outcome sets: whoever changed since the last count is taken out of every set and put where they are now.

So a count is right whatever changed and however often it is repeated. Late bounces, hits that were judged anew and
messages that a person settled are changes like any other.
"""

from typing import Any

from pyroaring import BitMap64
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from app.core.clock import now
from app.core.extensions import db
from app.reports.outcomes.models import Fact, OutcomeSet, UncountedClients
from app.reports.outcomes.queries import Sets, replace, sets_of

AT_ONCE = 200_000
"""Clients that one count takes in hand, which is about a second's work; the next goes on."""

# One counter at a time for a run: it reads sets, changes them and writes them back.
_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended('reports.outcomes', :run_id))")
_TAKE = text(
    """
    WITH waiting AS (
        SELECT id, sum(cardinality(client_ids)) OVER (ORDER BY id) - cardinality(client_ids) AS before
        FROM uncounted_clients WHERE run_id = :run_id
    )
    DELETE FROM uncounted_clients USING waiting
    WHERE uncounted_clients.run_id = :run_id AND uncounted_clients.id = waiting.id AND waiting.before < :at_once
    RETURNING uncounted_clients.step_id, uncounted_clients.client_ids
    """
)


def count_outcomes(*, at_once: int = AT_ONCE) -> int:
    """Bring the sets up to date, in the caller's transaction. Returns how many clients were looked at.

    May run beside writers and beside itself: what is written meanwhile waits for the next count, and a run that
    another one is counting is left to it.
    """
    looked_at = 0
    for run_id in db.session.scalars(select(UncountedClients.run_id).distinct()).all():
        if looked_at >= at_once:
            break
        looked_at += _count_run(run_id, at_once - looked_at)
    return looked_at


def _count_run(run_id: int, at_once: int) -> int:
    if not db.session.scalar(_LOCK, {"run_id": run_id}):
        return 0
    changed: dict[int, BitMap64] = {}
    for step_id, ids in db.session.execute(_TAKE, {"run_id": run_id, "at_once": at_once}):
        changed[step_id] = changed.get(step_id, BitMap64()) | BitMap64(ids)
    for step_id, ids in changed.items():
        _count_step(run_id, step_id, ids)
    return sum(map(len, changed.values()))


def _count_step(run_id: int, step_id: int, ids: BitMap64) -> None:
    """Read the messages after what is uncounted was taken: whoever wrote it has committed, so they are seen."""
    stored = db.session.execute(
        select(OutcomeSet.fact, OutcomeSet.reason, OutcomeSet.bitmap).where(
            OutcomeSet.run_id == run_id, OutcomeSet.step_id == step_id
        )
    )
    sets: Sets = {(Fact(row.fact), row.reason): BitMap64.deserialize(row.bitmap) for row in stored}
    at = now()
    rows = [
        _row(run_id, step_id, key, sets[key]) | {"counted_at": at}
        for key in replace(sets, ids, sets_of(run_id, step_id, ids))
    ]
    if rows:
        statement = upsert(OutcomeSet).values(rows)
        fresh = {name: statement.excluded[name] for name in ("bitmap", "size", "counted_at")}
        db.session.execute(
            statement.on_conflict_do_update(index_elements=["run_id", "step_id", "fact", "reason"], set_=fresh)
        )


def _row(run_id: int, step_id: int, key: tuple[Fact, str], clients: BitMap64) -> dict[str, Any]:
    clients.run_optimize()
    return {
        "run_id": run_id,
        "step_id": step_id,
        "fact": key[0].value,
        "reason": key[1],
        "bitmap": clients.serialize(),
        "size": len(clients),
    }
