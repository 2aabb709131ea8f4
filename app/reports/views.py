"""The overview, the reports, the clients behind each figure, and their export."""

from collections.abc import Iterable, Iterator
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, send_file, stream_with_context, url_for
from flask_babel import get_timezone
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response

from app.audiences.snapshots import freeze
from app.campaigns.models import STATE_LABELS, STATE_TONES, Campaign, State
from app.campaigns.queries import campaign_by_code
from app.clients.exporting.service import ROWS_WITHOUT_APPROVAL
from app.clients.masking import mask_email
from app.clients.queries import sees_whole_book
from app.core.permissions import Permission, requires, signed_in
from app.core.spreadsheet_files import MIME, Line, csv_bytes, watermark, workbook
from app.core.unit_of_work import unit_of_work
from app.core.web import can
from app.reports import charts, exports
from app.reports.forms import ExportForm
from app.reports.queries import (
    campaigns_in,
    client_chunks,
    client_lines,
    first_steps,
    ids_after,
    ids_before,
    progress_of,
    recent_response,
    report_page,
    timeline,
    waiting_for,
)
from app.reports.response import (
    COLUMNS,
    DENOMINATORS,
    FURTHER,
    Outcome,
    campaign_response,
    outcome_clients,
    segment_name,
)
from app.reports.service import note_list_export, note_report_export
from app.reports.words import OUTCOME_LABELS, definition, denominator, reason_label

bp = Blueprint("reports", __name__)
MOVING = (State.RUNNING, State.PAUSED, State.SCHEDULED)


@bp.context_processor
def words() -> dict[str, Any]:
    """What every template of the reports uses."""
    return {
        "Outcome": Outcome,
        "State": State,
        "labels": OUTCOME_LABELS,
        "state_labels": STATE_LABELS,
        "tones": STATE_TONES,
        "denominators": DENOMINATORS,
        "denominator": denominator,
        "definition": definition,
        "reason_label": reason_label,
        "mask_email": mask_email,
    }


@bp.get("/")
@signed_in
def home() -> str:
    """Where the day begins: what runs, what waits for this person, what came back."""
    moving = campaigns_in(MOVING, viewer=current_user) if can(Permission.VIEW_CAMPAIGNS) else []
    lines = report_page(viewer=current_user, size=5).lines if can(Permission.VIEW_REPORTS) else []
    return render_template(
        "reports/home.html",
        steps=first_steps(),
        waiting=waiting_for(current_user),
        moving=moving,
        progress=progress_of(moving),
        lines=lines,
    )


@bp.get("/overview/recent")
@requires(Permission.VIEW_REPORTS)
def recent() -> str:
    """A fragment of the overview: the last 30 days. It looks at every recent message, so it comes afterwards."""
    found = recent_response(current_user)
    return render_template("reports/_recent.html", recent=found, option=charts.recent_days(found))


@bp.get("/reports")
@requires(Permission.VIEW_REPORTS)
def index() -> str:
    search = request.args.get("q", "").strip()
    page = report_page(
        viewer=current_user,
        search=search,
        newer_than=request.args.get("newer", type=int),
        older_than=request.args.get("older", type=int),
    )
    return render_template("reports/index.html", page=page, search=search)


@bp.get("/reports/<code>")
@requires(Permission.VIEW_REPORTS)
def campaign(code: str) -> str:
    found = campaign_by_code(code, viewer=current_user)
    response = campaign_response(found, current_user)
    return render_template(
        "reports/campaign.html",
        campaign=found,
        response=response,
        columns=COLUMNS,
        further=FURTHER,
        funnel=charts.funnel(response.total),
        partial=not sees_whole_book(current_user),
    )


@bp.get("/reports/<code>/over-time.json")
@requires(Permission.VIEW_REPORTS)
def over_time(code: str) -> dict[str, Any]:
    found = timeline(campaign_by_code(code, viewer=current_user), current_user)
    if found is None:
        abort(404)
    return charts.response_over_time(found)


@bp.get("/reports/<code>/clients")
@requires(Permission.VIEW_REPORTS)
def clients(code: str) -> str:
    """The clients that a figure counts."""
    found, outcome, segment_id, name = _figure(code)
    ids = outcome_clients(found, outcome, segment_id=segment_id, viewer=current_user)
    before = request.args.get("before", type=int)
    page = ids_before(ids, before) if before else ids_after(ids, request.args.get("after", 0, type=int))
    place: dict[str, Any] = {"code": found.code, "outcome": outcome.value, "segment": segment_id}
    return render_template(
        "reports/clients.html",
        campaign=found,
        outcome=outcome,
        segment_name=name,
        total=len(ids),
        lines=client_lines(found, page, viewer=current_user),
        previous_url=page and page[0] > ids.min() and url_for("reports.clients", **place, before=page[0]),
        next_url=page and page[-1] < ids.max() and url_for("reports.clients", **place, after=page[-1]),
        place=place,
        form=ExportForm(),
    )


@bp.get("/reports/<code>/export.<any(csv, xlsx):format>")
@requires(Permission.EXPORT)
def export(code: str, format: str) -> Response:
    """The table of the report as a file."""
    found = campaign_by_code(code, viewer=current_user)
    with unit_of_work():
        note_report_export(campaign=found, format=format, actor=current_user)
    response = campaign_response(found, current_user)
    notes = exports.definitions(response, found)
    return _file(found, "report", format, exports.table_head(), exports.table_lines(response), notes=notes)


@bp.post("/reports/<code>/clients/export")
@requires(Permission.EXPORT)
def export_clients(code: str) -> Any:
    """The clients behind a figure as a file; a long list goes the way of exports that are allowed."""
    found, outcome, segment_id, segment = _figure(code)
    form = ExportForm()
    if not form.validate_on_submit():
        abort(400)
    ids = outcome_clients(found, outcome, segment_id=segment_id, viewer=current_user)
    if len(ids) > ROWS_WITHOUT_APPROVAL:
        # Kept as they are counted now, so that whoever allows the export and the file speak of the same clients.
        parts = [found.code, str(OUTCOME_LABELS[outcome]), *([segment] if segment else [])]
        with unit_of_work():
            snapshot_id = freeze(name=": ".join(parts), ids=ids, actor=current_user).id
        flash(_("A list this long leaves the house only once a second person has allowed it."), "info")
        return redirect(url_for("exports.create", source="snapshot", id=snapshot_id, purpose=form.purpose.data))
    with unit_of_work():
        note_list_export(
            campaign=found,
            outcome=outcome,
            segment_id=segment_id,
            rows=len(ids),
            format=form.format.data,
            purpose=form.purpose.data,
            actor=current_user,
        )
    chunks = client_chunks(found, ids, viewer=current_user)
    zone = get_timezone()
    lines = (exports.client_cells(line, zone) for chunk in chunks for line in chunk)
    return _file(found, outcome.value, form.format.data, exports.client_head(), lines)


def _figure(code: str) -> tuple[Campaign, Outcome, int | None, str | None]:
    """The figure an address names: campaign, outcome, segment and its name; 404 where there is none."""
    found = campaign_by_code(code, viewer=current_user)
    named, segment_id = request.args.get("outcome", ""), request.args.get("segment", type=int)
    if named not in set(Outcome):
        abort(404)
    name = None if segment_id is None else segment_name(found, segment_id)
    if segment_id is not None and name is None:
        abort(404)
    return found, Outcome(named), segment_id, name


def _file(
    campaign: Campaign,
    kind: str,
    format: str,
    head: list[str],
    lines: Iterable[Line],
    *,
    notes: Iterable[Line] = (),
) -> Response:
    name = f"{campaign.code}-{kind}.{format}"
    mark = watermark(current_user.name)
    if format == "xlsx":
        file = workbook(f"{campaign.code} {campaign.name}", head, lines, mark, notes=notes)
        return send_file(file, mimetype=MIME[format], as_attachment=True, download_name=name)
    body: Iterator[bytes] = stream_with_context(csv_bytes(head, lines, mark))
    response = Response(body, mimetype=MIME[format])
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response
