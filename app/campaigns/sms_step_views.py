"""The page on which the SMS of a campaign is written, and its live measure."""

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from liquid.exceptions import LiquidError

from app.campaigns.models import Campaign, Step
from app.campaigns.queries import campaign_by_code
from app.campaigns.sms_step import set_sms
from app.campaigns.step_kinds import step_of
from app.campaigns.views import Page, asked_variant, bp, page_of
from app.clients.queries import find_client
from app.content.forms import field_menu
from app.content.sms.forms import SmsForm
from app.content.sms.measuring import measure
from app.content.sms.models import SmsContent
from app.content.sms.service import new_sms
from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user


def _step(code: str) -> tuple[Campaign, Step]:
    campaign = campaign_by_code(code, viewer=signed_in_user())
    return campaign, step_of(campaign, request.values.get("step_id", 0, type=int), "sms")


@bp.route("/<code>/sms", methods=["GET", "POST"])
@requires(Permission.VIEW_CAMPAIGNS)
def sms(code: str) -> Page:
    """The SMS of the step in the address (`step_id`)."""
    campaign, step = _step(code)
    form = SmsForm()
    content = (asked_variant(step) or step).sms_content
    form.offer(content or step.sms_content)
    if request.method == "POST":
        return _save_sms(campaign, step, form)
    form.fill(content or step.sms_content)
    form.seen.data = str(content.id if content else 0)
    return _sms_page(campaign, step, form)


@requires(Permission.EDIT_CAMPAIGNS)
def _save_sms(campaign: Campaign, step: Step, form: SmsForm) -> Page:
    step_id = step.id
    if not form.validate_on_submit():
        return _sms_page(campaign, step, form), 422
    try:
        with unit_of_work():
            set_sms(
                campaign=campaign,
                step=step,
                variant=asked_variant(step),
                **form.words(),
                actor=signed_in_user(),
                seen_content_id=int(form.seen.data) if form.seen.data.isdecimal() else None,
            )
    except AppError as error:
        flash(str(error), "error")
        campaign = campaign_by_code(campaign.code, viewer=signed_in_user())
        return _sms_page(campaign, step_of(campaign, step_id, "sms"), form), error.status
    flash(_("The SMS is saved."), "success")
    letter = request.values.get("variant")
    return redirect(url_for("campaigns.sms", code=campaign.code, step_id=step_id, variant=letter))


def _sms_page(campaign: Campaign, step: Step, form: SmsForm) -> str:
    content = (asked_variant(step) or step).sms_content
    return page_of("sms", campaign, current_step=step, content=content, form=form, fields=field_menu())


@bp.route("/<code>/sms/measure", methods=["GET", "POST"])
@requires(Permission.VIEW_CAMPAIGNS)
def measure_sms(code: str) -> str:
    """A fragment: the SMS on a phone, its parts and cost; what is stored (GET) or in the editor (POST)."""
    _campaign, step = _step(code)
    number = request.values.get("client_number", "").strip()
    try:
        content: SmsContent | None = (asked_variant(step) or step).sms_content
        if request.method == "POST":
            form = SmsForm()
            form.offer(content or step.sms_content)
            content = new_sms(**form.words(), actor=None)
        client = find_client(number, user=signed_in_user()) if number else None
        measured = measure(content, client=client) if content else None
        return render_template("campaigns/_sms_measure.html", measured=measured)
    except AppError as error:
        return render_template("campaigns/_sms_measure.html", refusal=str(error))
    except LiquidError:
        return render_template("campaigns/_sms_measure.html", refusal=_("The merge fields cannot be filled in."))
