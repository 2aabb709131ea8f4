"""The overview, the reports, the clients behind each figure, and their export."""

from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import get_timezone
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response

from app.audiences.snapshots import freeze
from app.campaigns.models import STATE_LABELS, STATE_TONES, State
from app.campaigns.queries import campaign_by_code
from app.clients.exporting.service import ROWS_WITHOUT_APPROVAL
from app.clients.masking import mask_email
from app.clients.queries import sees_whole_book
from app.core.permissions import Permission, requires, signed_in
from app.core.unit_of_work import unit_of_work
from app.core.web import can
from app.delivery.accounts.words import channel_label
from app.reports import charts, exports
from app.reports.behind.campaigns import left_out
from app.reports.downloads import table_file
from app.reports.effect.drafting import suggested_segments
from app.reports.effect.figures import Figure, figure_named
from app.reports.effect.report import campaign_effect
from app.reports.effect.words import (
    DEFINITIONS,
    JUDGEMENT_TONES,
    JUDGEMENTS,
    TONES,
    headline,
    means,
    split_warning,
)
from app.reports.forms import ExportForm
from app.reports.over_time import recent_response, timeline
from app.reports.queries import (
    campaigns_in,
    client_chunks,
    client_lines,
    first_steps,
    ids_after,
    ids_before,
    progress_of,
    report_page,
    waiting_for,
)
from app.reports.response import (
    DENOMINATORS,
    FURTHER,
    Outcome,
    campaign_response,
    columns_of,
)
from app.reports.service import note_list_export, note_report_export
from app.reports.words import OUTCOME_LABELS, definition, denominator, explanation, reason_label

bp = Blueprint("reports", __name__)
MOVING = (State.RUNNING, State.PAUSED, State.SCHEDULED)


@bp.context_processor
def words() -> dict[str, Any]:
    """What every template of the reports uses. Words of figures are looked up once a page, not once a cell."""
    return {
        "Outcome": Outcome,
        "State": State,
        "labels": {outcome: str(label) for outcome, label in OUTCOME_LABELS.items()},
        "state_labels": STATE_LABELS,
        "tones": STATE_TONES,
        "denominators": DENOMINATORS,
        "denominator": {outcome: denominator(outcome) for outcome in Outcome}.get,
        "definition": definition,
        "explanation": explanation,
        "effect_figures": DEFINITIONS,
        "means": means,
        "split_warning": split_warning,
        "reason_label": reason_label,
        "channel_label": channel_label,
        "headline": headline,
        "verdict_tones": TONES,
        "judgements": JUDGEMENTS,
        "judgement_tones": JUDGEMENT_TONES,
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
    effect = campaign_effect(found, current_user, frozen=response.frozen)
    return render_template(
        "reports/campaign.html",
        campaign=found,
        response=response,
        effect=effect,
        forest=charts.forest(effect) if effect and effect.strata.has_control and effect.segments else None,
        suggested=suggested_segments(found, effect) if effect and can(Permission.EDIT_CAMPAIGNS) else [],
        columns=columns_of(found),
        further=FURTHER,
        funnel=charts.funnel(response.total),
        partial=not sees_whole_book(current_user),
        left_out_kept=left_out(found) is not None,
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
    figure = _figure(code)
    found, ids = figure.campaign, figure.clients()
    before, after = _client_id("before"), _client_id("after")
    page = ids_before(ids, before) if before else ids_after(ids, after)
    place: dict[str, Any] = {"code": found.code, **figure.address}
    return render_template(
        "reports/clients.html",
        campaign=found,
        figure=figure,
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
    effect = campaign_effect(found, current_user, frozen=response.frozen)
    head = exports.table_head(effect)
    return table_file(
        f"{found.code}-report",
        format,
        title=f"{found.code} {found.name}",
        head=head,
        lines=exports.table_lines(response, effect),
        notes=exports.definitions(response, found, effect),
        chart_columns=exports.chart_columns(head),
        further=exports.broken_down(found, response, current_user),
        warning=split_warning(effect) if effect else None,
    )


@bp.post("/reports/<code>/clients/export")
@requires(Permission.EXPORT)
def export_clients(code: str) -> Any:
    """The clients behind a figure as a file; a long list goes the way of exports that are allowed."""
    figure = _figure(code)
    found = figure.campaign
    form = ExportForm()
    if not form.validate_on_submit():
        abort(400)
    ids = figure.clients()
    if len(ids) > ROWS_WITHOUT_APPROVAL:
        # Kept as they are counted now, so that whoever allows the export and the file speak of the same clients.
        parts = [found.code, figure.label, *([figure.part] if figure.part else [])]
        with unit_of_work():
            snapshot_id = freeze(name=": ".join(parts), ids=ids, actor=current_user).id
        flash(_("A list this long leaves the house only once a second person has allowed it."), "info")
        return redirect(url_for("exports.create", source="snapshot", id=snapshot_id, purpose=form.purpose.data))
    with unit_of_work():
        note_list_export(
            campaign=found,
            figure=figure.name,
            segment_id=figure.segment_id,
            rows=len(ids),
            format=form.format.data,
            purpose=form.purpose.data,
            actor=current_user,
        )
    chunks = client_chunks(found, ids, viewer=current_user)
    zone = get_timezone()
    lines = (exports.client_cells(line, zone) for chunk in chunks for line in chunk)
    return table_file(
        f"{found.code}-{figure.name}",
        str(form.format.data),
        title=f"{found.code} {found.name}",
        head=exports.client_head(),
        lines=lines,
    )


def _client_id(name: str) -> int:
    """Where a page begins or ends, 0 without; 404 for what can be no client's id."""
    number = request.args.get(name, 0, type=int)
    if not 0 <= number < 1 << 62:
        abort(404)
    return number


def _figure(code: str) -> Figure:
    """The figure an address names; 404 where there is none."""
    found = campaign_by_code(code, viewer=current_user)
    figure = figure_named(
        found,
        request.args.get("outcome", ""),
        segment_id=request.args.get("segment", type=int),
        group=request.args.get("group", ""),
        today=request.args.get("today") == "1",
        viewer=current_user,
    )
    if figure is None:
        abort(404)
    return figure
