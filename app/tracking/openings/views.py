"""Account openings: the list with what each is credited to, and the upload of files."""

from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.tracking.openings import queries
from app.tracking.openings.files import refused_csv
from app.tracking.openings.forms import OpeningsFileForm
from app.tracking.openings.service import import_openings
from app.users.sessions import signed_in_user

bp = Blueprint("openings", __name__, url_prefix="/account-openings")

STATES = {
    "credited": _l("Credited to a campaign"),
    "unprompted": _l("Unprompted"),
    "unmatched": _l("Client unknown"),
    "waiting": _l("Being matched"),
}


@bp.get("")
@requires(Permission.VIEW_REPORTS)
def index() -> Any:
    state = request.args.get("state", "")
    page = queries.openings_page(
        user=signed_in_user(),
        state=state if state in STATES else "",
        newer_than=request.args.get("newer", type=int),
        older_than=request.args.get("older", type=int),
    )
    return render_template("openings/index.html", page=page, state=state, states=STATES)


@bp.route("/import", methods=["GET", "POST"])
@requires(Permission.IMPORT_OPENINGS)
def upload() -> Any:
    form = OpeningsFileForm()
    status = 200
    if form.validate_on_submit():
        try:
            with unit_of_work():
                done = import_openings(
                    stream=form.file.data.stream, name=form.file.data.filename or "", actor=signed_in_user()
                )
        except AppError as refusal:
            form.file.errors = [str(refusal)]
        else:
            flash(_("The file has been read."), "success")
            return redirect(url_for("openings.result", import_id=done.id))
    if form.errors or form.file.errors:
        status = 422
    return render_template("openings/upload.html", form=form, imports=queries.newest_imports()), status


@bp.get("/import/<int:import_id>")
@requires(Permission.IMPORT_OPENINGS)
def result(import_id: int) -> Any:
    return render_template("openings/result.html", done=queries.find_import(import_id), shown=50)


@bp.get("/import/<int:import_id>/refused.csv")
@requires(Permission.IMPORT_OPENINGS)
def refused(import_id: int) -> Response:
    done = queries.find_import(import_id)
    response = Response(refused_csv(done.refused), mimetype="text/csv")
    response.headers["Content-Disposition"] = f"attachment; filename=refused-{done.id}.csv"
    return response
