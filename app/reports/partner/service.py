"""Giving a report to a partner: who did, to whom, and what it said."""

from hashlib import sha256

from flask_babel import lazy_gettext as _l

from app.audit.service import record
from app.campaigns.models import Campaign
from app.clients.queries import sees_whole_book
from app.core.errors import AppError, Forbidden
from app.core.permissions import Permission, require
from app.reports.partner.queries import EXPORTED, PartnerReport
from app.users.models import User


class NothingToShare(AppError):
    message = _l("Too few accounts were opened to tell a partner anything without pointing at clients.")


def require_partner_reports(actor: User) -> None:
    """Raise Forbidden for who may not take figures out, or sees a part of the firm only: a part subtracts."""
    require(actor, Permission.EXPORT)
    if not sees_whole_book(actor):
        raise Forbidden


def note_export(*, campaign: Campaign, report: PartnerReport, partner: str, format: str, actor: User) -> None:
    """Note what leaves: `figures` is a fingerprint of the tables, by which a file can be known again."""
    require_partner_reports(actor)
    if not report.tables:
        raise NothingToShare
    record(
        actor=actor,
        action=EXPORTED,
        subject="campaign",
        subject_id=campaign.id,
        changes={
            "partner": [None, partner],
            "format": [None, format],
            "clients": [None, report.tables[0].total[-1]],
            "withheld": [None, report.withheld],
            "figures": [None, fingerprint(report)],
        },
    )


def fingerprint(report: PartnerReport) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the tables."""
    told = repr([(table.dimension.value, table.lines, table.total) for table in report.tables])
    return sha256(told.encode()).hexdigest()[:16]
