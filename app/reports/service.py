"""Taking figures and lists out of the house: allowed, bounded and noted."""

from app.audit.service import record
from app.campaigns.models import Campaign
from app.core.permissions import Permission, require
from app.users.models import User


def note_report_export(*, campaign: Campaign, format: str, actor: User) -> None:
    """Note that the figures of a report left the house."""
    require(actor, Permission.EXPORT)
    _note(campaign, actor, action="report_exported", format=format)


def note_list_export(
    *,
    campaign: Campaign,
    figure: str,
    segment_id: int | None,
    rows: int,
    format: str,
    purpose: str,
    actor: User,
) -> None:
    """Allow and note a short, masked list; long ones go the way of `clients.exporting`."""
    require(actor, Permission.EXPORT)
    _note(
        campaign,
        actor,
        action="client_list_exported",
        reason=purpose or None,
        format=format,
        figure=figure,
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
