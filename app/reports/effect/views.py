"""The parts of the campaign report that tell what it caused: they join the pages of the reports."""

from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response

from app.audiences.queries import all_segments, find_segment
from app.campaigns.queries import campaign_by_code
from app.campaigns.step_kinds import step_name
from app.clients.queries import sees_whole_book
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.reports.effect.breakdown import breakdown
from app.reports.effect.drafting import draft_suggested
from app.reports.effect.groups import DIMENSIONS
from app.reports.effect.later import later_row
from app.reports.effect.report import campaign_effect
from app.reports.response import campaign_response, columns_of
from app.reports.targets.models import MEASURE_LABELS, Measure
from app.reports.targets.queries import target_lines
from app.reports.views import bp

TABS = (*DIMENSIONS, "channel")


@bp.get("/reports/<code>/by/<any(branch, adviser, tier, variant, channel):dimension>")
@requires(Permission.VIEW_REPORTS)
def by_dimension(code: str, dimension: str) -> str:
    """A fragment: the report broken down, as at sending or (`today=1`) by what the clients are now."""
    found = campaign_by_code(code, viewer=current_user)
    today = request.args.get("today") == "1" and dimension in ("branch", "adviser", "tier")
    if dimension == "channel":
        rows = campaign_response(found, current_user).channels
        return render_template("reports/_channels.html", campaign=found, rows=rows, dimension=dimension)
    return render_template(
        "reports/_breakdown.html",
        campaign=found,
        dimension=dimension,
        today=today,
        step_name=step_name,
        **breakdown(found, dimension, today=today, viewer=current_user)._asdict(),
    )


@bp.get("/reports/<code>/against-target")
@requires(Permission.VIEW_REPORTS)
def against_target(code: str) -> str:
    """A fragment: what was reached of the targets for the whole period, of the whole or of the reader's own branch."""
    found = campaign_by_code(code, viewer=current_user)
    whole = sees_whole_book(current_user)
    mine = (None, None, None) if whole else (current_user.branch_id, None, None)
    lines = [
        line
        for line in target_lines(found, viewer=current_user)
        if (line.target.branch_id, line.target.adviser_id, line.target.tier) == mine
        and line.target.week is None
        and line.target.measure != Measure.PARTNER
    ]
    return render_template(
        "reports/_against_target.html", campaign=found, lines=lines, whole=whole, measure_labels=MEASURE_LABELS
    )


@bp.get("/reports/<code>/segment")
@requires(Permission.VIEW_REPORTS)
def later_segment(code: str) -> str:
    """A segment put on the report afterwards: its clients of now, described and not compared."""
    found = campaign_by_code(code, viewer=current_user)
    segment_id = request.args.get("segment", type=int)
    segment = find_segment(segment_id) if segment_id and segment_id < 1 << 62 else None
    response = campaign_response(found, current_user) if segment else None
    return render_template(
        "reports/later_segment.html",
        campaign=found,
        segments=all_segments(),
        segment=segment,
        row=later_row(found, segment, current_user) if segment else None,
        whole=response.total if response else None,
        response=response,
        columns=columns_of(found),
    )


@bp.post("/reports/<code>/draft")
@requires(Permission.EDIT_CAMPAIGNS)
def draft_from_report(code: str) -> Response:
    """Draft the campaign that the verdict suggests."""
    found = campaign_by_code(code, viewer=current_user)
    effect = campaign_effect(found, current_user)
    if effect is None:
        abort(404)
    with unit_of_work():
        draft = draft_suggested(campaign=found, effect=effect, actor=current_user)
        address = url_for("campaigns.show", code=draft.code)
    flash(_("Drafted. Look it over, then submit it for approval."), "success")
    return redirect(address)
