"""Progress and test sends, embedded in the campaign pages."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import ngettext
from flask_login import current_user
from werkzeug.wrappers import Response

from app.campaigns.models import State
from app.campaigns.queries import campaign_by_code
from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.delivery.progress import accounts_at_work, by_step, pace, waits
from app.delivery.queries import campaign_progress
from app.delivery.service import request_test

bp = Blueprint("delivery", __name__)
MOVING = (State.RUNNING, State.PAUSED)


@bp.get("/campaigns/<code>/progress")
@requires(Permission.VIEW_CAMPAIGNS)
def progress(code: str) -> str | Response:
    """A fragment that asks for itself again while the campaign is on its way.

    It names the state it has `seen`; once the campaign is in another one, the whole page is loaded anew.
    """
    campaign = campaign_by_code(code, viewer=current_user)
    if request.args.get("seen", campaign.state) != campaign.state:
        return Response(headers={"HX-Refresh": "true"})
    found = campaign_progress(campaign.id)
    return render_template(
        "delivery/_progress.html",
        campaign=campaign,
        progress=found,
        moving=campaign.state in MOVING,
        pace=pace(found, request.args.get("samples", "")) if found else None,
        steps=by_step(found.run.id) if found else [],
        accounts=accounts_at_work(found.run.id) if found else [],
        waits=waits(campaign, found.run.id) if found and campaign.state in MOVING else [],
    )


@bp.post("/campaigns/<code>/test-send")
@requires(Permission.EDIT_CAMPAIGNS)
def test_send(code: str) -> Response:
    """Send the message to members of staff, filled with a client's values where a number is given."""
    campaign = campaign_by_code(code, viewer=current_user)
    try:
        with unit_of_work():
            count = request_test(
                campaign=campaign,
                addresses=request.form.get("addresses", "").split(","),
                client_number=request.form.get("client_number", "").strip(),
                actor=current_user,
            )
    except AppError as error:
        flash(str(error), "error")
    else:
        flash(
            ngettext(
                "The test is on its way to %(num)s address.", "The test is on its way to %(num)s addresses.", count
            ),
            "success",
        )
    return redirect(url_for("campaigns.message", code=campaign.code))
