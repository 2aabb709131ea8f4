"""The page of unreachable clients and the acts on it."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from app.clients.queries import find_client
from app.clients.reachability import queries
from app.clients.reachability.models import CHANNELS
from app.clients.reachability.service import dismiss_task, report_wrong_address
from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

unreachable = Blueprint("unreachable", __name__, url_prefix="/unreachable")
STATES = {"open", "done", "dismissed"}


@unreachable.get("/")
@requires(Permission.VIEW_CLIENTS)
def index() -> Any:
    channel = request.args.get("channel", "")
    state = request.args.get("state", "open")
    filters = queries.TaskFilters(
        channel=channel if channel in CHANNELS else "",
        state=state if state in STATES else "open",
        mine="mine" in request.args,
    )
    lines, page = queries.task_page(
        user=signed_in_user(),
        filters=filters,
        newer=request.args.get("newer", type=int),
        older=request.args.get("older", type=int),
    )
    return render_template(
        "clients/unreachable.html",
        lines=lines,
        page=page,
        filters=filters,
        channels=queries.CHANNEL_LABELS,
        reasons=queries.REASON_LABELS,
    )


@unreachable.get("/figures")
@requires(Permission.VIEW_CLIENTS)
def figures() -> Any:
    """How many each channel can reach, filled in after the page is shown: it is a pass over the book."""
    return render_template(
        "clients/_reach.html",
        states=queries.channel_states(signed_in_user()),
        channels=queries.CHANNEL_LABELS,
        reasons=queries.REASON_LABELS,
    )


@unreachable.post("/<int:task_id>/dismiss")
@requires(Permission.VIEW_CLIENTS)
def dismiss(task_id: int) -> Any:
    task = queries.task_in_scope(task_id, user=signed_in_user())
    try:
        with unit_of_work():
            dismiss_task(task=task, reason=request.form.get("reason", ""), actor=signed_in_user())
        flash(_("Closed. Nobody is asked again for this reason."), "success")
    except AppError as refusal:
        flash(str(refusal), "error")
    return redirect(url_for("unreachable.index"))


@unreachable.post("/clients/<number>/<any(email, phone):channel>/wrong")
@requires(Permission.VIEW_CLIENTS)
def report_wrong(number: str, channel: str) -> Any:
    client = find_client(number, user=signed_in_user())
    try:
        with unit_of_work():
            report_wrong_address(client=client, channel=channel, actor=signed_in_user())
        flash(_("Nothing is sent to this address any more, and a task asks for the right one."), "success")
    except AppError as refusal:
        flash(str(refusal), "error")
    return redirect(url_for("clients.show", number=number))
