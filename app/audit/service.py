"""Writing the audit trail."""

from collections.abc import Mapping
from typing import Any

from app.audit.models import AuditEntry
from app.core.extensions import db
from app.core.permissions import Actor


def record(
    *,
    actor: Actor | None,
    action: str,
    subject: str,
    subject_id: int | None,
    changes: Mapping[str, Any] | None = None,
    reason: str | None = None,
) -> None:
    """Note an act in the current transaction. `actor` None is the system itself.

    `changes` maps a field to [before, after]; contact data never goes in, only the fact that it changed.
    """
    db.session.add(
        AuditEntry(
            actor_id=actor.id if actor else None,
            action=action,
            subject=subject,
            subject_id=subject_id,
            changes=dict(changes or {}),
            reason=reason,
        )
    )
