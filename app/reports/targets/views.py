"""Targets against results, entering targets, and targets as a file."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from werkzeug.wrappers import Response

from app.campaigns.models import Campaign
from app.campaigns.queries import campaign_by_code
from app.clients.queries import sees_whole_book
from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.core.web import can
from app.reports.downloads import table_file
from app.reports.service import note_report_export
from app.reports.targets import service
from app.reports.targets.files import FURTHER, HEAD, SHOWN, FileRefused, file_notes, read_targets, target_rows
from app.reports.targets.forecasting import FEWEST_DAYS, PACE_DAYS
from app.reports.targets.forms import FileForm, PeriodForm, TargetForm
from app.reports.targets.models import MEASURE_LABELS, Measure
from app.reports.targets.queries import BEHIND, KINDS, Standing, choices, period_of, target_lines
from app.users.sessions import signed_in_user

targets = Blueprint("targets", __name__, url_prefix="/reports/<code>/targets")

KIND_LABELS = {
    "whole": _l("Whole campaign"),
    "branch": _l("By branch"),
    "adviser": _l("By adviser"),
    "tier": _l("By tier"),
}
STANDING_LABELS = {
    Standing.ATTAINED: _l("Target reached"),
    Standing.MISSED: _l("Missed"),
    Standing.ON_COURSE: _l("On course"),
    Standing.BEHIND: _l("Behind"),
    Standing.OPEN: _l("Undecided"),
    Standing.EARLY: _l("Too early to say"),
}
STANDING_TONES = {
    Standing.ATTAINED: "success",
    Standing.MISSED: "danger",
    Standing.ON_COURSE: "success",
    Standing.BEHIND: "danger",
    Standing.OPEN: "warning",
}


@targets.get("/")
@requires(Permission.VIEW_REPORTS)
def index(code: str) -> str:
    return _page(_campaign(code), TargetForm(formdata=None))


@targets.post("/")
@requires(Permission.SET_TARGETS)
def enter(code: str) -> Any:
    """Set one target."""
    campaign, form = _campaign(code), TargetForm()
    form.offer(choices(signed_in_user()))
    if not form.validate_on_submit():
        return _page(campaign, form), 422
    try:
        with unit_of_work():
            service.set_targets(campaign=campaign, wanted=[form.wanted()], actor=signed_in_user())
    except AppError as refusal:
        flash(str(refusal), "error")
        return _page(_campaign(code), form), refusal.status
    flash(_("The target is set."), "success")
    return _back(code)


@targets.post("/period")
@requires(Permission.SET_TARGETS)
def period(code: str) -> Any:
    """From when to when the targets are to be reached."""
    campaign, form = _campaign(code), PeriodForm()
    if not form.validate_on_submit():
        flash(_("Enter a first and a last day."), "error")
        return _back(code)
    try:
        with unit_of_work():
            service.set_period(campaign=campaign, first=form.first.data, last=form.last.data, actor=signed_in_user())
    except AppError as refusal:
        flash(str(refusal), "error")
    else:
        flash(_("The period is set."), "success")
    return _back(code)


@targets.post("/<int:target_id>/remove")
@requires(Permission.SET_TARGETS)
def remove(code: str, target_id: int) -> Response:
    with unit_of_work():
        service.remove_target(campaign=_campaign(code), target_id=target_id, actor=signed_in_user())
    flash(_("The target is taken away."), "success")
    return _back(code)


@targets.post("/file")
@requires(Permission.SET_TARGETS)
def upload(code: str) -> Any:
    """All targets of a file, or none of them with the reasons."""
    campaign, form = _campaign(code), FileForm()
    if not form.validate_on_submit():
        flash(_("Choose a file."), "error")
        return _back(code)
    try:
        wanted = read_targets(form.file.data.stream, actor=signed_in_user())
        with unit_of_work():
            count = service.set_targets(campaign=_campaign(code), wanted=wanted, actor=signed_in_user())
    except FileRefused as refusal:
        return _page(campaign, TargetForm(formdata=None), problems=refusal.problems), refusal.status
    except AppError as refusal:
        flash(str(refusal), "error")
        return _page(_campaign(code), TargetForm(formdata=None)), refusal.status
    flash(ngettext("%(num)s target is set.", "%(num)s targets are set.", count), "success")
    return _back(code)


@targets.get("/targets.<any(csv, xlsx):format>")
@requires(Permission.EXPORT)
def export(code: str, format: str) -> Response:
    """Targets and results as a file; changed there, it may be read again."""
    campaign = _campaign(code)
    with unit_of_work():
        note_report_export(campaign=campaign, format=format, actor=signed_in_user())
    lines = target_lines(campaign, viewer=signed_in_user())
    return table_file(
        f"{campaign.code}-targets",
        format,
        title=f"{campaign.code} {campaign.name}",
        head=[*HEAD, *FURTHER],
        lines=target_rows(lines),
        notes=file_notes(),
    )


def _campaign(code: str) -> Campaign:
    return campaign_by_code(code, viewer=signed_in_user())


def _back(code: str) -> Response:
    return redirect(url_for("targets.index", code=code), 303)


def _page(campaign: Campaign, form: TargetForm, problems: list[tuple[int, str]] | None = None) -> str:
    me = signed_in_user()
    lines = target_lines(campaign, viewer=me)
    found = period_of(campaign)
    if can(Permission.SET_TARGETS):
        form.offer(choices(me))
    behind = [line for line in lines if line.standing in BEHIND]
    shown = behind if request.args.get("show") == "behind" else lines
    return render_template(
        "reports/targets/index.html",
        campaign=campaign,
        lines=lines,
        behind=behind,
        only_behind=shown is behind and bool(lines),
        groups=[(kind, [line for line in shown if line.kind == kind]) for kind in KINDS],
        period=found,
        form=form,
        period_form=PeriodForm(formdata=None, first=found and found.first, last=found and found.last),
        file_form=FileForm(formdata=None),
        problems=(problems or [])[:SHOWN],
        more_problems=max(0, len(problems or []) - SHOWN),
        kind_labels=KIND_LABELS,
        measure_labels={measure.value: label for measure, label in MEASURE_LABELS.items()},
        standing_labels=STANDING_LABELS,
        standing_tones=STANDING_TONES,
        whole=sees_whole_book(me),
        pace_days=PACE_DAYS,
        fewest_days=FEWEST_DAYS,
        assets=Measure.ASSETS.value,
    )
