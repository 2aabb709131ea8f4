"""Tags, put on one client or on many of the list at once."""

from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, flash, redirect, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext

from app.clients.tagging import service
from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

tagging = Blueprint("tagging", __name__)


@tagging.post("/client-tags")
@requires(Permission.EDIT_CLIENTS)
def change() -> Any:
    """Put a tag on the chosen clients (`client`, one or many numbers), or take it off (`do` is "remove")."""
    numbers = [number.replace("\x00", "") for number in request.form.getlist("client")]
    verb = service.remove_tag if request.form.get("do") == "remove" else service.add_tag
    if not numbers:
        flash(_("Choose at least one client first."), "danger")
        return redirect(_back())
    try:
        with unit_of_work():
            changed = verb(
                numbers=numbers,
                tag=request.form.get("tag", ""),
                actor=signed_in_user(),
            )
        flash(
            ngettext("%(num)s client was changed.", "%(num)s clients were changed.", changed)
            if changed
            else _("Nothing was different."),
            "success" if changed else "info",
        )
    except AppError as error:
        flash(str(error), "danger")
    return redirect(_back())


def _back() -> str:
    """The page of ours that the form stood on, else the list."""
    parts = urlsplit(request.referrer or "")
    if parts.netloc != request.host:
        return url_for("clients.index")
    return parts.path + (f"?{parts.query}" if parts.query else "")
