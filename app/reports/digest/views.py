"""Asking for the figures by e-mail, and how the next one would look."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from app.content.previews import refusal_page
from app.core.clock import today
from app.core.errors import AppError, NotFound
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.core.web import sandboxed
from app.reports.digest.models import PERIODS
from app.reports.digest.queries import choosable, digest_of, figures
from app.reports.digest.service import SENT_FROM, ask_for
from app.reports.digest.writing import write
from app.users.sessions import signed_in_user

digests = Blueprint("digests", __name__, url_prefix="/digest")


@digests.get("/")
@requires(Permission.VIEW_REPORTS)
def show() -> str:
    me = signed_in_user()
    return render_template(
        "reports/digest/show.html", digest=digest_of(me), campaigns=choosable(me), at=SENT_FROM, email=me.email
    )


@digests.post("/")
@requires(Permission.VIEW_REPORTS)
def save() -> Any:
    period = request.form.get("period", "")
    chosen = request.form.getlist("campaign", type=int) if request.form.get("which") == "chosen" else None
    try:
        with unit_of_work():
            ask_for(period=period or None, campaign_ids=chosen, actor=signed_in_user())
    except AppError as refusal:
        flash(str(refusal), "error")
        return show(), refusal.status
    flash(_("You get it by e-mail from now on.") if period else _("You no longer get it."), "success")
    return redirect(url_for("digests.show"), 303)


@digests.get("/preview")
@requires(Permission.VIEW_REPORTS)
def preview() -> Response:
    """How it would look now, for the sandboxed frame."""
    me = signed_in_user()
    wish = digest_of(me)
    period = request.args.get("period", wish.period if wish else "daily")
    found = figures(
        me,
        period=period if period in PERIODS else "daily",
        campaign_ids=wish.campaign_ids if wish else None,
        on_date=today(),
    )
    if not found.lines:
        return sandboxed(refusal_page(NotFound(_("No campaign to tell of: nothing would be sent."))))
    return sandboxed(write(found, me).html)
