"""The report of a joint campaign for its partner."""

from collections.abc import Iterator

from flask import Blueprint, Response, render_template
from flask_babel import gettext as _

from app.campaigns.models import Campaign
from app.campaigns.queries import campaign_by_code
from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.spreadsheet_files import Cell
from app.core.unit_of_work import unit_of_work
from app.reports.downloads import table_file
from app.reports.partner.forms import PartnerForm
from app.reports.partner.queries import PartnerReport, earlier_exports, partner_report
from app.reports.partner.service import note_export, require_partner_reports
from app.reports.partner.suppression import THRESHOLD
from app.reports.partner.words import DIMENSION_LABELS, WITHHELD, category_labels
from app.users.sessions import signed_in_user

bp = Blueprint("partner", __name__)


@bp.get("/reports/<code>/partner")
@requires(Permission.EXPORT)
def show(code: str) -> str:
    """What the partner would see, and what was given out before."""
    found = _campaign(code)
    return _page(found, partner_report(found), PartnerForm())


@bp.post("/reports/<code>/partner")
@requires(Permission.EXPORT)
def export(code: str) -> Response | tuple[str, int]:
    """The report as a file, noted in the audit trail with whom it is for."""
    found, form = _campaign(code), PartnerForm()
    report = partner_report(found)
    if not form.validate_on_submit():
        return _page(found, report, form), 422
    partner, format = str(form.partner.data), str(form.format.data)
    try:
        with unit_of_work():
            note_export(campaign=found, report=report, partner=partner, format=format, actor=signed_in_user())
    except AppError as error:
        form.partner.errors = [str(error)]
        return _page(found, report, form), 422
    return table_file(
        f"{found.code}-partner",
        format,
        title=f"{found.code} {found.name}",
        head=[_("Clients contacted"), *category_labels(report), _("Total")],
        lines=_lines(report),
        notes=_notes(found),
        addressee=_("For %(partner)s", partner=partner),
    )


def _campaign(code: str) -> Campaign:
    require_partner_reports(signed_in_user())
    return campaign_by_code(code, viewer=signed_in_user())


def _page(campaign: Campaign, report: PartnerReport, form: PartnerForm) -> str:
    return render_template(
        "reports/partner/show.html",
        campaign=campaign,
        report=report,
        form=form,
        categories=category_labels(report),
        dimensions=DIMENSION_LABELS,
        withheld=WITHHELD,
        threshold=THRESHOLD,
        earlier=earlier_exports(campaign),
    )


def _lines(report: PartnerReport) -> Iterator[list[Cell]]:
    """The tables one below the other; the totals, which are the same in each, first."""
    yield [_("All clients contacted"), *report.tables[0].total]
    for table in report.tables:
        yield [str(DIMENSION_LABELS[table.dimension])]
        for name, counts in table.lines:
            yield [name or _("Not known"), *(WITHHELD if count is None else count for count in counts)]


def _notes(campaign: Campaign) -> Iterator[list[Cell]]:
    yield [_("Figure"), _("What it counts"), None]
    yield [
        _("Clients contacted"),
        _("Clients of the frozen audience without the control group, by branch and tier as at the launch."),
        None,
    ]
    yield [
        _("Account opened"),
        _("Within %(days)s days of the launch, whether the campaign was the reason or not.", days=campaign.window_days),
        None,
    ]
    yield [
        WITHHELD,
        _(
            "Withheld: a count under %(threshold)s, or one by which such a count could be calculated.",
            threshold=THRESHOLD,
        ),
        None,
    ]
