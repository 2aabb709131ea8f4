"""Noting that figures of several campaigns left the house."""

from app.audit.service import record
from app.core.permissions import Permission, require
from app.users.models import User


def note_export(*, what: str, format: str, campaigns: int, actor: User) -> None:
    """`what` is "programme" or "comparison"."""
    require(actor, Permission.EXPORT)
    record(
        actor=actor,
        action="report_exported",
        subject="report",
        subject_id=None,
        changes={"report": [None, what], "format": [None, format], "campaigns": [None, campaigns]},
    )
