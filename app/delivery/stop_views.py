"""The page of the stop of all marketing, and the banner that every page shows while it is in force."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response

from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.delivery.stop_forms import StopForm
from app.delivery.stopping import past_stops, restart_marketing, stop_in_force, stop_marketing

marketing = Blueprint("marketing", __name__, url_prefix="/marketing")


@marketing.app_context_processor
def banner() -> dict[str, Any]:
    """For base.html: the stop in force, asked only by pages that show it."""
    return {"marketing_stop": stop_in_force}


@marketing.route("/stop", methods=["GET", "POST"])
@requires(Permission.STOP_MARKETING)
def stop() -> str | Response | tuple[str, int]:
    """Whether it is stopped, why and by whom; the button that stops it, and the past."""
    form, status = StopForm(), 200
    if form.validate_on_submit():
        try:
            with unit_of_work():
                stop_marketing(reason=form.reason.data, actor=current_user)
        except AppError as error:
            flash(str(error), "error")
            status = error.status
        else:
            flash(_("All marketing is stopped."), "success")
            return redirect(url_for("marketing.stop"))
    elif form.is_submitted():
        status = 422
    page = render_template("delivery/marketing_stop.html", form=form, stop=stop_in_force(), past=past_stops())
    return page, status


@marketing.post("/restart")
@requires(Permission.STOP_MARKETING)
def restart() -> Response:
    with unit_of_work():
        restart_marketing(actor=current_user)
    flash(_("Marketing goes on where it was stopped."), "success")
    return redirect(url_for("marketing.stop"))
