"""Taking figures and lists out of the house: allowed, bounded and noted."""

from flask_babel import lazy_gettext as _l

from app.audit.service import record
from app.campaigns.models import Campaign
from app.core.errors import AppError
from app.core.permissions import Permission, require
from app.reports.response import Outcome
from app.users.models import User

ROWS_WITHOUT_PURPOSE = 1_000
EXCEL_ROWS = 100_000


class PurposeMissing(AppError):
    message = _l("A list of more than 1,000 clients needs a purpose. Say what it is for.")


class TooLongForExcel(AppError):
    message = _l("An Excel list holds up to 100,000 clients here. Take it as CSV, or choose a smaller figure.")


def note_report_export(*, campaign: Campaign, format: str, actor: User) -> None:
    """Note that the figures of a report left the house."""
    require(actor, Permission.EXPORT)
    _note(campaign, actor, action="report_exported", format=format)


def note_list_export(
    *,
    campaign: Campaign,
    outcome: Outcome,
    segment_id: int | None,
    rows: int,
    format: str,
    purpose: str,
    actor: User,
) -> None:
    """Allow and note an export of client data. Raises PurposeMissing or TooLongForExcel."""
    require(actor, Permission.EXPORT)
    if rows > ROWS_WITHOUT_PURPOSE and not purpose:
        raise PurposeMissing
    if format == "xlsx" and rows > EXCEL_ROWS:
        raise TooLongForExcel
    _note(
        campaign,
        actor,
        action="client_list_exported",
        reason=purpose or None,
        format=format,
        figure=outcome.value,
        segment=segment_id,
        rows=rows,
    )


def _note(
    campaign: Campaign, actor: User, *, action: str, reason: str | None = None, **facts: str | int | None
) -> None:
    record(
        actor=actor,
        action=action,
        subject="campaign",
        subject_id=campaign.id,
        changes={key: [None, value] for key, value in facts.items()},
        reason=reason,
    )
