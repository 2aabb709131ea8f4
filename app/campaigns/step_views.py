"""The steps of a campaign: added, removed and put in order. Each kind's own page edits what a step says."""

from flask import flash, redirect, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from app.campaigns import service
from app.campaigns.queries import campaign_by_code
from app.campaigns.step_kinds import step_kind, step_of
from app.campaigns.views import bp
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user


@bp.post("/<code>/steps")
@requires(Permission.EDIT_CAMPAIGNS)
def add_step(code: str) -> Response:
    campaign = campaign_by_code(code, viewer=signed_in_user())
    with unit_of_work():
        step = service.add_step(campaign=campaign, channel=request.form.get("channel", ""), actor=signed_in_user())
    return redirect(url_for(step_kind(step.channel).endpoint, code=campaign.code, step_id=step.id))


@bp.post("/<code>/steps/<int:step_id>/remove")
@requires(Permission.EDIT_CAMPAIGNS)
def remove_step(code: str, step_id: int) -> Response:
    campaign = campaign_by_code(code, viewer=signed_in_user())
    with unit_of_work():
        service.remove_step(campaign=campaign, step=step_of(campaign, step_id), actor=signed_in_user())
    flash(_("The step is removed."), "success")
    return redirect(url_for("campaigns.message", code=campaign.code))


@bp.post("/<code>/steps/<int:step_id>/move")
@requires(Permission.EDIT_CAMPAIGNS)
def move_step(code: str, step_id: int) -> Response:
    """To the position in the form, 0 being the first."""
    campaign = campaign_by_code(code, viewer=signed_in_user())
    step = step_of(campaign, step_id)
    position = request.form.get("position", step.position, type=int)
    with unit_of_work():
        service.move_step(campaign=campaign, step=step, position=position, actor=signed_in_user())
    return redirect(url_for(step_kind(step.channel).endpoint, code=campaign.code, step_id=step_id))
