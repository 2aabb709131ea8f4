"""Reads about machines' hits: the versions of the rules, and what they come to."""

from collections.abc import Sequence

from sqlalchemy import Row, select, text
from sqlalchemy.orm import joinedload

from app.core.extensions import db
from app.tracking.machines.models import MachineRules

DAYS = 7

_LATELY = text(
    """
    SELECT kind, machine, CASE WHEN machine THEN machine_reasons END AS reasons, count(*) AS hits
    FROM event
    WHERE at > now() - make_interval(days => :days) AND kind IN ('open', 'click') AND machine IS NOT NULL
    GROUP BY 1, 2, 3 ORDER BY hits DESC
    """
)


def versions(limit: int = 10) -> Sequence[MachineRules]:
    """The newest versions of the rules, newest first."""
    return db.session.scalars(
        select(MachineRules)
        .options(joinedload(MachineRules.changed_by), joinedload(MachineRules.job))
        .order_by(MachineRules.id.desc())
        .limit(limit)
    ).all()


def hits_lately() -> Sequence[Row[str, bool, str | None, int]]:
    """Hits of the last seven days by kind, verdict and reasons, the most frequent first."""
    return db.session.execute(_LATELY, {"days": DAYS}).all()
