"""The pages of a switch: upload, preview, confirmation, result."""

from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from app.clients.queries import staff_name
from app.clients.switching import queries, service
from app.clients.switching.forms import SwitchForm
from app.clients.switching.products import PRODUCTS
from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

switching = Blueprint("switching", __name__, url_prefix="/client-switches")


@switching.route("/", methods=["GET", "POST"])
@requires(Permission.IMPORT_CLIENTS)
def index() -> Any:
    form = SwitchForm()
    status = 200
    if form.validate_on_submit():
        try:
            with unit_of_work():
                switch = service.receive_export(
                    stream=form.file.data.stream,
                    name=form.file.data.filename or "",
                    product=form.product.data or None,
                    everyone_out=form.everyone_out.data,
                    wording=form.wording.data or "",
                    legal_basis=form.legal_basis.data or "",
                    actor=signed_in_user(),
                )
            return redirect(url_for(".show", switch_id=switch.id))
        except service.BasisMissing as error:
            form.legal_basis.errors = [str(error)]
        except AppError as error:
            form.file.errors = [str(error)]
    if request.method == "POST":
        status = 422
    switches = queries.latest_switches(user=signed_in_user())
    return render_template("clients/switching/index.html", form=form, switches=switches, products=PRODUCTS), status


@switching.get("/<int:switch_id>")
@requires(Permission.IMPORT_CLIENTS)
def show(switch_id: int) -> Any:
    switch = queries.find_switch(switch_id, user=signed_in_user())
    return render_template(
        "clients/switching/show.html",
        switch=switch,
        state=queries.switch_state(switch),
        product=PRODUCTS[switch.product],
        owner=staff_name(switch.created_by_id),
        kept=service.MAX_REFUSED,
    )


@switching.post("/<int:switch_id>/start")
@requires(Permission.IMPORT_CLIENTS)
def start(switch_id: int) -> Any:
    switch = queries.find_switch(switch_id, user=signed_in_user())
    try:
        with unit_of_work():
            service.start_switch(switch=switch, actor=signed_in_user())
    except AppError as error:
        flash(str(error), "error")
    else:
        flash(_("The opt-outs are being taken over."), "success")
    return redirect(url_for(".show", switch_id=switch_id))


@switching.get("/<int:switch_id>/progress")
@requires(Permission.IMPORT_CLIENTS)
def progress(switch_id: int) -> Any:
    """The fragment that replaces itself every second; the page is loaded anew once there is a result."""
    switch = queries.find_switch(switch_id, user=signed_in_user())
    state = queries.switch_state(switch)
    response = Response(render_template("clients/switching/_progress.html", switch=switch, state=state))
    if state not in ("looking", "running"):
        response.headers["HX-Refresh"] = "true"
    return response
