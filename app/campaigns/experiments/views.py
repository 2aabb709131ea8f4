"""Pages about what is tried out (they join the pages of a campaign), and the firm's control group."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from app.campaigns.experiments import service
from app.campaigns.experiments.control import expected_split, firm_share
from app.campaigns.experiments.forms import (
    METRIC_LABELS,
    GlobalControlForm,
    comparison_form,
    control_form,
    shares_of_variants,
)
from app.campaigns.experiments.sizing import BASE_PERCENT, USUAL_RISE, comparison_size, control_size, is_too_small
from app.campaigns.models import Campaign, GlobalControl, Step, Variant
from app.campaigns.queries import audience_preview, campaign_by_code
from app.campaigns.step_kinds import step_kind, step_of, words_of
from app.campaigns.views import Page, bp, page_of
from app.core.errors import AppError, NotFound
from app.core.extensions import db
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

global_control = Blueprint("global_control", __name__, url_prefix="/settings/control-group")
MOST_CLIENTS = 10**9


@bp.app_context_processor
def words() -> dict[str, Any]:
    """What several templates of campaigns need."""
    return {
        "metric_labels": METRIC_LABELS,
        "shares_of_variants": shares_of_variants,
        "expected_split": expected_split,
        "control_too_small": is_too_small,
    }


def _campaign(code: str) -> Campaign:
    return campaign_by_code(code, viewer=signed_in_user())


# ---- The control group of a campaign --------------------------------------------------------------------------------


@bp.route("/<code>/control", methods=["GET", "POST"])
@requires(Permission.VIEW_CAMPAIGNS)
def control(code: str) -> Page:
    """How many are not contacted, of the campaign and of each segment."""
    campaign = _campaign(code)
    if request.method == "POST":
        return _save_control(campaign)
    return _control_page(campaign, control_form(campaign))


def _control_page(campaign: Campaign, form: Any) -> str:
    return page_of("control", campaign, form=form, firm=firm_share(), base=BASE_PERCENT["accounts"])


@requires(Permission.EDIT_CAMPAIGNS)
def _save_control(campaign: Campaign) -> Page:
    form, code = control_form(campaign), campaign.code
    if not form.validate_on_submit():
        return _control_page(campaign, form), 422
    shares = form.shares()
    try:
        with unit_of_work():
            service.set_control(
                campaign=campaign, percent=shares.percent, segments=shares.segments, actor=signed_in_user()
            )
    except AppError as error:
        flash(str(error), "error")
        return _control_page(_campaign(code), form), error.status
    flash(_("The control group is saved."), "success")
    return redirect(url_for("campaigns.control", code=code))


@bp.get("/<code>/control/size")
@requires(Permission.VIEW_CAMPAIGNS)
def size_control(code: str) -> str:
    """A fragment: the numbers of the shares in the form, and what such a control group can show."""
    campaign = _campaign(code)
    form = control_form(campaign, request.args if "percent" in request.args else None)
    valid = "percent" not in request.args or form.percent.validate(form)
    eligible = _eligible(campaign)
    shares = (
        form.shares() if valid and all(_within(field.data) for field in form if field.type == "DecimalField") else None
    )
    split = expected_split(campaign, eligible, shares)
    base = _rate("base", BASE_PERCENT["accounts"])
    rise = _rate("rise", BASE_PERCENT["accounts"] * USUAL_RISE)
    try:
        size = control_size(
            split,
            base=base,
            rise=rise,
            window_days=campaign.window_days,
            per_day=_positive(request.args.get("per_day")),
        )
    except (ValueError, OverflowError):
        size = None
    return render_template(
        "campaigns/_control_size.html",
        campaign=campaign,
        split=split,
        size=size,
        base=base,
        rise=rise,
        firm=firm_share(),
    )


def _within(percent: Any) -> bool:
    return percent is None or 0 <= percent <= 90


def _eligible(campaign: Campaign) -> int:
    """As counted for this page before; it is for estimates only, so the page may tell."""
    told = request.args.get("eligible", type=int)
    if told is not None and 0 <= told <= MOST_CLIENTS:
        return told
    return audience_preview(campaign, viewer=signed_in_user()).eligible


def _positive(typed: str | None) -> float | None:
    try:
        number = float(typed or "")
    except ValueError:
        return None
    return number if 0 < number < MOST_CLIENTS else None


def _rate(name: str, usual: float) -> float:
    """A percentage in the address, from 0 to 1."""
    return (_positive(request.args.get(name)) or usual) / 100


# ---- Variants of a step ---------------------------------------------------------------------------------------------


def _variant(step: Step, letter: str) -> Variant:
    found = words_of(step, letter)
    if not isinstance(found, Variant):
        raise NotFound
    return found


def _editor(campaign: Campaign, step: Step, letter: str | None = None) -> Response:
    endpoint = step_kind(step.channel).endpoint
    return redirect(url_for(endpoint, code=campaign.code, step_id=step.id, variant=letter))


@bp.post("/<code>/steps/<int:step_id>/variants")
@requires(Permission.EDIT_CAMPAIGNS)
def add_variant(code: str, step_id: int) -> Response:
    campaign = _campaign(code)
    step = step_of(campaign, step_id)
    try:
        with unit_of_work():
            letter = service.add_variant(campaign=campaign, step=step, actor=signed_in_user()).letter
    except AppError as error:
        flash(str(error), "error")
        return _editor(campaign, step)
    return _editor(campaign, step, letter)


@bp.post("/<code>/steps/<int:step_id>/variants/<letter>/remove")
@requires(Permission.EDIT_CAMPAIGNS)
def remove_variant(code: str, step_id: int, letter: str) -> Response:
    campaign = _campaign(code)
    step = step_of(campaign, step_id)
    with unit_of_work():
        service.remove_variant(campaign=campaign, step=step, variant=_variant(step, letter), actor=signed_in_user())
    flash(_("The variant is removed."), "success")
    return _editor(campaign, step)


@bp.route("/<code>/steps/<int:step_id>/comparison", methods=["GET", "POST"])
@requires(Permission.VIEW_CAMPAIGNS)
def comparison(code: str, step_id: int) -> Page:
    """How the variants of a step are compared."""
    campaign = _campaign(code)
    step = _with_variants(campaign, step_id)
    if request.method == "POST":
        return _save_comparison(campaign, step)
    return _comparison_page(campaign, step, comparison_form(step))


def _with_variants(campaign: Campaign, step_id: int) -> Step:
    step = step_of(campaign, step_id)
    if not step.variants:
        raise NotFound
    return step


def _comparison_page(campaign: Campaign, step: Step, form: Any) -> str:
    return page_of("comparison", campaign, current_step=step, form=form, base_percent=BASE_PERCENT)


@requires(Permission.EDIT_CAMPAIGNS)
def _save_comparison(campaign: Campaign, step: Step) -> Page:
    form, step_id = comparison_form(step), step.id
    if not form.validate_on_submit():
        return _comparison_page(campaign, step, form), 422
    try:
        with unit_of_work():
            service.set_test(campaign=campaign, step=step, **form.facts(), actor=signed_in_user())
    except AppError as error:
        flash(str(error), "error")
        campaign = _campaign(campaign.code)
        return _comparison_page(campaign, _with_variants(campaign, step_id), form), error.status
    flash(_("How the variants are compared is saved."), "success")
    return redirect(url_for("campaigns.comparison", code=campaign.code, step_id=step_id))


@bp.get("/<code>/steps/<int:step_id>/comparison/size")
@requires(Permission.VIEW_CAMPAIGNS)
def size_comparison(code: str, step_id: int) -> str:
    """A fragment: how many clients each variant gets, and what such a comparison can show."""
    campaign = _campaign(code)
    step = _with_variants(campaign, step_id)
    form = comparison_form(step, request.args if "metric" in request.args else None)
    metric = form.metric.data if form.metric.data in BASE_PERCENT else step.test_metric
    base = _rate("base", BASE_PERCENT[metric])
    rise = _rate("rise", base * 100 * USUAL_RISE)
    split = expected_split(campaign, _eligible(campaign))
    size = None
    if all(field.data is None or 0 < field.data < 100 for field in form if field.type == "DecimalField"):
        try:
            facts = form.facts()
            per_day = _positive(request.args.get("per_day"))
            size = comparison_size(
                split.treated,
                shares=facts["shares"],
                test_percent=facts["test_percent"],
                hours=facts["hours"],
                base=base,
                rise=rise,
                per_day=per_day * split.treated / split.eligible if per_day and split.eligible else None,
            )
        except (ValueError, TypeError, OverflowError, KeyError):
            size = None
    return render_template(
        "campaigns/_comparison_size.html",
        campaign=campaign,
        split=split,
        size=size,
        metric=metric,
        base=base,
        rise=rise,
    )


# ---- The firm's control group ---------------------------------------------------------------------------------------


@global_control.route("", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def index() -> Page:
    """Whom no marketing campaign contacts."""
    form, status = GlobalControlForm(), 200
    row = db.session.get(GlobalControl, 1)
    if request.method == "GET":
        form.percent.data = row.percent if row else 0
    elif form.validate_on_submit():
        with unit_of_work():
            service.set_global_control(
                percent=float(form.percent.data), anew=bool(form.anew.data), actor=signed_in_user()
            )
        flash(_("The firm's control group is saved. It holds from the next launch on."), "success")
        return redirect(url_for("global_control.index"))
    else:
        status = 422
    return render_template("campaigns/global_control.html", form=form, group=row), status
