"""Where in the message, and when in the week, clients responded."""

from flask import Blueprint, render_template, request
from flask_babel import get_locale
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from app.campaigns.queries import campaign_by_code
from app.content.previews import refusal_page
from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.web import sandboxed
from app.reports.maps import charts
from app.reports.maps.drawing import draw
from app.reports.maps.queries import link_map, message_of, messages_of, week_hours
from app.users.sessions import signed_in_user

maps = Blueprint("maps", __name__, url_prefix="/reports/<code>/map")


@maps.get("/")
@requires(Permission.VIEW_REPORTS)
def show(code: str) -> str:
    me = signed_in_user()
    campaign = campaign_by_code(code, viewer=me)
    messages = messages_of(campaign)
    step_id, letter = request.args.get("step", type=int), request.args.get("variant") or None
    chosen = message_of(campaign, step_id, letter) if messages else None
    hours = week_hours(campaign, viewer=me)
    return render_template(
        "reports/maps/show.html",
        campaign=campaign,
        messages=messages,
        chosen=chosen,
        links=link_map(campaign, chosen, viewer=me) if chosen else None,
        any_opened=any(map(any, hours.opened)),
        opened=charts.heat_map(hours.opened, _("Opened")),
        clicked=charts.heat_map(hours.clicked, _("Clicked")),
        hours=hours,
        days=get_locale().days["stand-alone"]["abbreviated"],
    )


@maps.get("/message")
@requires(Permission.VIEW_REPORTS)
def message(code: str) -> Response:
    """The message with its numbers, for the sandboxed frame."""
    me = signed_in_user()
    campaign = campaign_by_code(code, viewer=me)
    try:
        worded = message_of(campaign, request.args.get("step", type=int), request.args.get("variant") or None)
        return sandboxed(draw(worded, link_map(campaign, worded, viewer=me)))
    except AppError as error:
        refused = sandboxed(refusal_page(error))
        refused.status_code = error.status
        return refused
