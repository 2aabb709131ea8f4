"""How a campaign's results are counted: a page of its set-up."""

from flask import flash, redirect, request, url_for
from flask_babel import gettext as _

from app.campaigns.counting import MODEL_LABELS, counting_sentences, set_counting
from app.campaigns.counting_forms import CountingForm
from app.campaigns.models import Campaign
from app.campaigns.queries import campaign_by_code
from app.campaigns.views import SETTLED_BY_LAUNCH, Page, bp, page_of
from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

SETTLED_BY_LAUNCH.add("counting")


@bp.app_context_processor
def words() -> dict[str, object]:
    return {"model_labels": MODEL_LABELS, "counting_sentences": counting_sentences}


@bp.route("/<code>/counting", methods=["GET", "POST"])
@requires(Permission.VIEW_CAMPAIGNS)
def counting(code: str) -> Page:
    campaign = campaign_by_code(code, viewer=signed_in_user())
    if request.method == "POST":
        return _save(campaign)
    return page_of("counting", campaign, form=CountingForm(formdata=None).prepare(campaign).fill(campaign))


@requires(Permission.EDIT_CAMPAIGNS)
def _save(campaign: Campaign) -> Page:
    form = CountingForm().prepare(campaign)
    if not form.validate_on_submit():
        return page_of("counting", campaign, form=form), 422
    try:
        with unit_of_work():
            set_counting(campaign=campaign, counting=form.counting(campaign), actor=signed_in_user())
    except AppError as error:
        flash(str(error), "error")
        campaign = campaign_by_code(campaign.code, viewer=signed_in_user())
        return page_of("counting", campaign, form=form), error.status
    flash(_("How results are counted is saved."), "success")
    return redirect(url_for("campaigns.counting", code=campaign.code))
