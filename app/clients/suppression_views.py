"""The suppression list: addresses that get nothing any more."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext

from app.clients import queries, service
from app.clients.forms import CHANNEL_LABELS, ReasonForm, SuppressForm
from app.clients.masking import mask_address
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

suppression = Blueprint("suppression", __name__, url_prefix="/suppression-list")


@suppression.route("/", methods=["GET", "POST"])
@requires(Permission.IMPORT_CLIENTS)
def index() -> Any:
    form = SuppressForm()
    if form.validate_on_submit():
        with unit_of_work():
            added = service.suppress(
                channel=form.channel.data,
                addresses=form.addresses.data.splitlines(),
                reason=form.reason.data.strip(),
                source="staff",
                actor=signed_in_user(),
            )
        flash(
            ngettext(
                "%(number)s address was added; nothing is sent to it any more.",
                "%(number)s addresses were added; nothing is sent to them any more.",
                added,
                number=added,
            ),
            "success",
        )
        return redirect(url_for(".index"))
    channel = request.args.get("channel", "")
    page = queries.suppressions_page(
        search=request.args.get("search", ""),
        channel=channel if channel in CHANNEL_LABELS else "",
        before=request.args.get("before", type=int),
    )
    return render_template(
        "clients/suppression/index.html", page=page, form=form, channels=CHANNEL_LABELS, mask=mask_address
    ), 422 if form.errors else 200


@suppression.route("/<int:suppression_id>/remove", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def remove(suppression_id: int) -> Any:
    entry = queries.find_suppression(suppression_id)
    form = ReasonForm()
    if form.validate_on_submit():
        with unit_of_work():
            service.unsuppress(suppression=entry, reason=form.reason.data, actor=signed_in_user())
        flash(_("The address was taken off the list."), "success")
        return redirect(url_for(".index"))
    return render_template(
        "clients/suppression/remove.html", entry=entry, form=form, channels=CHANNEL_LABELS, mask=mask_address
    ), 422 if form.errors else 200
