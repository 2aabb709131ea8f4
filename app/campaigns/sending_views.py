"""Pages about when and how messages leave: of one campaign (they join its pages), and the firm's rules."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from app.campaigns import service
from app.campaigns.forms import ScheduleForm
from app.campaigns.queries import campaign_by_code
from app.campaigns.second_checks import confirm_clients, unchecked_clients
from app.campaigns.sending_forms import RulesForm, SecondCheckForm, SendingForm, cap_field
from app.campaigns.sending_plan import set_sending_plan
from app.campaigns.sending_rules import CHANNEL_LABELS, PERIOD_LABELS, change_rules, rules_in_force
from app.campaigns.views import Page, act, bp, page_of, send_page
from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

rules = Blueprint("sending_rules", __name__, url_prefix="/settings/sending")


@bp.post("/<code>/when-and-how")
@requires(Permission.EDIT_CAMPAIGNS)
def when_and_how(code: str) -> Page:
    campaign = campaign_by_code(code, viewer=signed_in_user())
    form = SendingForm()
    if not form.validate_on_submit():
        return send_page(campaign, ScheduleForm(formdata=None), sending_form=form), 422
    try:
        with unit_of_work():
            set_sending_plan(campaign=campaign, plan=form.plan(), actor=signed_in_user())
    except AppError as error:
        flash(str(error), "error")
        campaign = campaign_by_code(code, viewer=signed_in_user())
        return send_page(campaign, ScheduleForm(formdata=None), sending_form=form), error.status
    flash(_("When and how it leaves is saved."), "success")
    return redirect(url_for("campaigns.send", code=campaign.code))


@bp.post("/<code>/revise")
@requires(Permission.EDIT_CAMPAIGNS)
def revise(code: str) -> Response:
    done = _("It can be changed now. What is unsent waits until the change is approved and sending is resumed.")
    return act(code, service.revise, done, "campaigns.message")


@bp.post("/<code>/accept-audience")
@requires(Permission.APPROVE_CAMPAIGNS)
def accept_audience(code: str) -> Response:
    """A checker approves the audience that the launch found."""
    campaign = campaign_by_code(code, viewer=signed_in_user())
    with unit_of_work():
        service.accept_audience(
            campaign=campaign, seen=request.form.get("seen", default=-1, type=int), actor=signed_in_user()
        )
    flash(_("The new audience is approved. Sending begins."), "success")
    return redirect(url_for("campaigns.send", code=campaign.code))


@bp.route("/<code>/second-checks", methods=["GET", "POST"])
@requires(Permission.APPROVE_CAMPAIGNS)
def second_checks(code: str) -> Page:
    """Clients of a higher age for whom a second person has to find the product right."""
    campaign = campaign_by_code(code, viewer=signed_in_user())
    form, status = SecondCheckForm(), 200
    chosen = request.form.getlist("client", type=int)
    if form.validate_on_submit():
        try:
            with unit_of_work():
                count = confirm_clients(
                    campaign=campaign, client_ids=chosen, reason=form.reason.data, actor=signed_in_user()
                )
        except AppError as error:
            flash(str(error), "error")
            campaign, status = campaign_by_code(code, viewer=signed_in_user()), error.status
        else:
            flash(ngettext("%(num)s client is confirmed.", "%(num)s clients are confirmed.", count), "success")
            return redirect(url_for("campaigns.second_checks", code=campaign.code))
    elif form.is_submitted():
        status = 422
    clients, total = unchecked_clients(campaign, viewer=signed_in_user())
    return page_of("second_checks", campaign, form=form, clients=clients, total=total, chosen=chosen), status


@rules.route("", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def index() -> Page:
    """Frequency caps, quiet hours and the tolerance at a launch."""
    form, status = RulesForm(), 200
    if request.method == "GET":
        form.fill(rules_in_force())
    elif form.validate_on_submit():
        try:
            with unit_of_work():
                change_rules(**form.facts(), actor=signed_in_user())
        except AppError as error:
            flash(str(error), "error")
            status = error.status
        else:
            flash(_("The rules are saved. They hold from the next messages on."), "success")
            return redirect(url_for("sending_rules.index"))
    else:
        status = 422
    page = render_template(
        "campaigns/sending_rules.html",
        form=form,
        channels=CHANNEL_LABELS,
        periods=PERIOD_LABELS,
        cap_field=cap_field,
    )
    return page, status
