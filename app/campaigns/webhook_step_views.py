"""The page on which the data of a webhook step is written."""

from flask import flash, redirect, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.campaigns.models import Campaign, Step
from app.campaigns.queries import campaign_by_code
from app.campaigns.step_kinds import step_of
from app.campaigns.views import Page, bp, page_of
from app.campaigns.webhook_step import WEBHOOK, set_webhook
from app.content.personalisation import example_values, merge_fields
from app.content.webhooks.filling import CompiledData
from app.content.webhooks.models import WebhookContent
from app.content.webhooks.service import written
from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

CONTACT_LABELS = {"email": _l("E-mail"), "sms": _l("SMS"), "call": _l("Call")}
FIRST_DATA = '{\n  "client": "{{ client.number }}"\n}'


@bp.route("/<code>/webhook", methods=["GET", "POST"])
@requires(Permission.VIEW_CAMPAIGNS)
def webhook(code: str) -> Page:
    """The webhook of the step in the address (`step_id`)."""
    campaign = campaign_by_code(code, viewer=signed_in_user())
    step = step_of(campaign, request.values.get("step_id", 0, type=int), WEBHOOK)
    if request.method == "POST":
        return _save(campaign, step)
    stored = step.webhook_content
    contact, text = (stored.contact, written(stored.data)) if stored else ("", FIRST_DATA)
    return _webhook_page(campaign, step, contact=contact, text=text, seen=stored.id if stored else 0)


@requires(Permission.EDIT_CAMPAIGNS)
def _save(campaign: Campaign, step: Step) -> Page:
    step_id = step.id
    contact, text = request.form.get("contact", ""), request.form.get("data", "")
    seen = request.form.get("seen", 0, type=int)
    try:
        with unit_of_work():
            set_webhook(
                campaign=campaign,
                step=step,
                contact=contact,
                text=text,
                actor=signed_in_user(),
                seen_content_id=seen,
            )
    except AppError as error:
        flash(str(error), "error")
        campaign = campaign_by_code(campaign.code, viewer=signed_in_user())
        step = step_of(campaign, step_id, WEBHOOK)
        return _webhook_page(campaign, step, contact=contact, text=text, seen=seen), error.status
    flash(_("The webhook is saved."), "success")
    return redirect(url_for("campaigns.webhook", code=campaign.code, step_id=step_id))


@bp.app_template_global()
def webhook_example(content: WebhookContent) -> str:
    """What is posted about an example client."""
    return written(CompiledData(content.data).fill(example_values()))


@bp.app_template_global()
def webhook_contact(content: WebhookContent) -> object:
    """Whose consent counts, as people say it."""
    return CONTACT_LABELS[content.contact]


def _webhook_page(campaign: Campaign, step: Step, *, contact: str, text: str, seen: int) -> str:
    return page_of(
        "webhook",
        campaign,
        current_step=step,
        step=step,
        contact=contact,
        text=text,
        seen=seen,
        contacts=CONTACT_LABELS,
        fields=merge_fields(),
    )
