"""Why did, or didn't, this client get it? Reached from the client, the lists behind figures, and the campaign."""

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from app.advising.models import OUTCOMES, STATE_LABELS
from app.campaigns.queries import campaign_by_code
from app.campaigns.sending_rules import PERIOD_LABELS
from app.campaigns.views import ACTION_LABELS
from app.clients.forms import STATEMENT_LABELS, STATEMENT_SOURCES
from app.clients.masking import mask_account, mask_address
from app.clients.queries import consent_matter, find_client, record_ids
from app.content.previews import refusal_page
from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.web import sandboxed
from app.reports.why import queries, words
from app.reports.why.seen import message_page
from app.reports.words import reason_label
from app.users.sessions import signed_in_user

why = Blueprint("why", __name__)


@why.get("/reports/<code>/why")
@requires(Permission.VIEW_REPORTS)
def search(code: str) -> str | Response:
    """Find the client that is asked about, by number or name."""
    campaign = campaign_by_code(code, viewer=signed_in_user())
    typed = request.args.get("q", "").strip()
    found = queries.clients_matching(typed, viewer=signed_in_user())
    if len(found) == 1 and found[0].number == typed:
        return redirect(url_for("why.show", code=campaign.code, number=typed))
    return render_template("reports/why/search.html", campaign=campaign, typed=typed, found=found)


@why.get("/reports/<code>/why/<number>")
@requires(Permission.VIEW_REPORTS)
def show(code: str, number: str) -> str:
    campaign = campaign_by_code(code, viewer=signed_in_user())
    client = find_client(number, user=signed_in_user())
    found = queries.why(campaign, client)
    return render_template(
        "reports/why/show.html",
        campaign=campaign,
        client=client,
        why=found,
        sentence=words.sentence(found),
        note=words.note(found, campaign),
        tone=words.tone(found),
        **_labels(),
    )


@why.get("/reports/<code>/why/<number>/messages/<int:message_id>")
@requires(Permission.VIEW_REPORTS)
def message(code: str, number: str, message_id: int) -> Response:
    """The message as the client saw it, for the sandboxed frame."""
    campaign = campaign_by_code(code, viewer=signed_in_user())
    client = find_client(number, user=signed_in_user())
    try:
        return sandboxed(message_page(campaign, record_ids(client.id), message_id))
    except AppError as error:
        refused = sandboxed(refusal_page(error))
        refused.status_code = error.status
        return refused


@why.get("/clients/<number>/campaigns")
@requires(Permission.VIEW_REPORTS)
def of_client(number: str) -> str:
    """A fragment of the client's page: the campaigns that had a message for them, and a way to ask about others."""
    client = find_client(number, user=signed_in_user())
    return render_template(
        "reports/why/_of_client.html",
        client=client,
        lines=queries.campaigns_of(client, viewer=signed_in_user()),
        others=queries.recent_campaigns(viewer=signed_in_user()),
        states=words.STATES,
        state_tones=words.STATE_TONES,
        reason_label=reason_label,
    )


@why.get("/clients/<number>/why")
@requires(Permission.VIEW_REPORTS)
def ask(number: str) -> Response:
    """From the client's page to the page about them and the campaign that was chosen."""
    return redirect(url_for("why.show", code=request.args.get("campaign", "") or "-", number=number))


def _labels() -> dict[str, Any]:
    return {
        "channels": words.CHANNELS,
        "states": words.STATES,
        "state_tones": words.STATE_TONES,
        "roles": words.ROLES,
        "events": words.EVENTS,
        "machine_reasons": words.MACHINE_REASONS,
        "reply_kinds": words.REPLIES,
        "reason_label": reason_label,
        "period_labels": PERIOD_LABELS,
        "action_labels": ACTION_LABELS,
        "matters": STATEMENT_LABELS,
        "matter": consent_matter,
        "sources": STATEMENT_SOURCES,
        "task_states": STATE_LABELS,
        "contact_outcomes": OUTCOMES,
        "mask_address": mask_address,
        "mask_account": mask_account,
    }
