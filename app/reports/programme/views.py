"""The programme over a period, and a few campaigns side by side."""

from typing import Any

from flask import Blueprint, Response, render_template, request

from app.campaigns.models import STATE_LABELS, STATE_TONES
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.reports.downloads import table_file
from app.reports.effect.words import headline, split_warning
from app.reports.programme import charts, exporting
from app.reports.programme.addresses import address_of, grouping_of, period_of
from app.reports.programme.queries import (
    COUNTED,
    FEWEST_COMPARED,
    MOST_CAMPAIGNS,
    MOST_COMPARED,
    comparable,
    compared,
    programme,
)
from app.reports.programme.service import note_export
from app.reports.programme.words import GROUPING_LABELS, part_name
from app.reports.response import DENOMINATORS, Outcome
from app.reports.words import OUTCOME_LABELS, definition, denominator
from app.users.sessions import signed_in_user

bp = Blueprint("programme", __name__)
SHOWN = tuple(outcome for outcome in exporting.COMPARED if outcome is not Outcome.DELIVERED)


@bp.context_processor
def words() -> dict[str, Any]:
    return {
        "Outcome": Outcome,
        "labels": OUTCOME_LABELS,
        "denominators": DENOMINATORS,
        "denominator": denominator,
        "definition": definition,
        "split_warning": split_warning,
        "state_labels": STATE_LABELS,
        "tones": STATE_TONES,
    }


@bp.get("/programme")
@requires(Permission.VIEW_REPORTS)
def index() -> str:
    period, grouping = period_of(request.args), grouping_of(request.args)
    found = programme(period, grouping, viewer=signed_in_user())
    return render_template(
        "reports/programme/index.html",
        period=period,
        grouping=grouping,
        groupings=GROUPING_LABELS,
        found=found,
        most=MOST_CAMPAIGNS,
        columns=COUNTED,
        option=charts.parts(found, grouping),
        part_name=part_name,
        place=address_of(period, grouping),
    )


@bp.get("/programme/export.<any(csv, xlsx):format>")
@requires(Permission.EXPORT)
def export(format: str) -> Response:
    period, grouping = period_of(request.args), grouping_of(request.args)
    found = programme(period, grouping, viewer=signed_in_user())
    with unit_of_work():
        note_export(what="programme", format=format, campaigns=len(found.lines), actor=signed_in_user())
    title = f"{period.first} – {period.last}"
    head, lines = exporting.programme_head(grouping), exporting.programme_lines(found, grouping)
    notes = exporting.programme_notes()
    return table_file("programme", format, title=title, head=head, lines=lines, notes=notes)


@bp.get("/programme/compare")
@requires(Permission.VIEW_REPORTS)
def compare() -> str:
    """Choose campaigns, and see them side by side once there are two."""
    search = request.args.get("q", "").strip()
    found = compared(_codes(), viewer=signed_in_user())
    chosen = [one.campaign for one in found]
    return render_template(
        "reports/programme/compare.html",
        search=search,
        found=found,
        enough=len(found) >= FEWEST_COMPARED,
        choices=[*chosen, *(one for one in comparable(search, viewer=signed_in_user()) if one not in chosen)],
        chosen={campaign.code for campaign in chosen},
        too_many=len(set(_codes())) > MOST_COMPARED,
        most=MOST_COMPARED,
        columns=SHOWN,
        option=charts.lifts(found),
        headline=headline,
    )


@bp.get("/programme/compare/export.<any(csv, xlsx):format>")
@requires(Permission.EXPORT)
def export_comparison(format: str) -> Response:
    found = compared(_codes(), viewer=signed_in_user())
    with unit_of_work():
        note_export(what="comparison", format=format, campaigns=len(found), actor=signed_in_user())
    title = ", ".join(one.campaign.code for one in found)
    lines = exporting.comparison_lines(found)
    head, notes = exporting.comparison_head(), exporting.comparison_notes()
    return table_file("comparison", format, title=title, head=head, lines=lines, notes=notes)


def _codes() -> list[str]:
    return [code for code in request.args.getlist("code") if code and "\0" not in code]
