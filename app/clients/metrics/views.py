"""The page of the metrics job: when it last ran, what waits, and the button that runs it now."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, url_for
from flask_babel import gettext as _

from app.clients.metrics.queries import last_job, recent_runs, stale_clients
from app.clients.metrics.service import COMPUTE, start_computing
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

metrics = Blueprint("metrics", __name__, url_prefix="/clients/metrics")


@metrics.get("")
@requires(Permission.ADMINISTER)
def index() -> Any:
    return render_template(
        "clients/metrics/index.html", runs=recent_runs(), stale=stale_clients(), job=last_job(COMPUTE)
    )


@metrics.post("/compute")
@requires(Permission.ADMINISTER)
def compute() -> Any:
    with unit_of_work():
        start_computing(actor=signed_in_user())
    flash(_("The metrics are being computed. Pages show the old ones until then."), "success")
    return redirect(url_for("metrics.index"))
