"""The audit trail for administrators and compliance."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from flask import Blueprint, render_template, request
from flask_babel import to_utc
from flask_login import current_user

from app.audit import words
from app.audit.queries import audit_page
from app.core.permissions import Permission, requires

audit = Blueprint("audit", __name__)


@audit.get("/audit")
@requires(Permission.VIEW_AUDIT)
def index() -> Any:
    filters = {name: request.args.get(name, "").strip() for name in ("person", "subject", "number", "day")}
    day = _date(filters["day"])
    page = audit_page(
        scope_path=None if current_user.branch.parent_id is None else current_user.branch.path,
        person=filters["person"],
        subject=filters["subject"],
        subject_id=request.args.get("number", type=int),
        since=_start_of(day) if day else None,
        until=_start_of(day + timedelta(days=1)) if day else None,
        newer_than=request.args.get("newer", type=int),
        older_than=request.args.get("older", type=int),
    )
    return render_template("audit/index.html", page=page, filters=filters, words=words)


def _date(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 1900 < day.year < 9000 else None


def _start_of(day: date) -> datetime:
    """Midnight as the reader's clock has it, in UTC."""
    midnight: datetime = to_utc(datetime.combine(day, time.min))
    return midnight.replace(tzinfo=UTC)
