"""Pages of exports: ask, decide, fetch."""

from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, stream_with_context, url_for
from flask_babel import gettext as _

from app.clients.exporting import queries, service
from app.clients.exporting.columns import columns
from app.clients.exporting.forms import ExportForm
from app.clients.exporting.sources import CLIENT_LIST, source_name
from app.clients.listing import Filters
from app.clients.queries import custom_fields
from app.core.errors import AppError, NotFound
from app.core.files import file_chunks
from app.core.permissions import Permission, requires, signed_in
from app.core.spreadsheet_files import MIME
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

exports = Blueprint("exports", __name__, url_prefix="/exports")


@exports.get("/")
@signed_in
def index() -> Any:
    page = queries.own_exports(
        signed_in_user(), newer=request.args.get("newer", type=int), older=request.args.get("older", type=int)
    )
    return render_template(
        "clients/exports/index.html",
        page=page,
        exports=[row.ClientExport for row in page.rows],
        waiting=queries.waiting_exports(signed_in_user()),
        states=queries.STATE_LABELS,
        columns=columns(custom_fields()),
    )


@exports.route("/new", methods=["GET", "POST"])
@requires(Permission.EXPORT)
def create() -> Any:
    """Ask for the client list as it is filtered (of the address), or for a set such as a segment."""
    source, source_id = request.args.get("source", CLIENT_LIST), request.args.get("id", type=int)
    filters = {name: request.args.get(name, "") for name in Filters.__slots__ if request.args.get(name)}
    title = source_name(source, source_id)
    form = ExportForm().offer(columns(custom_fields()))
    if not form.is_submitted():
        form.purpose.data = request.args.get("purpose")
    if form.validate_on_submit():
        try:
            with unit_of_work():
                export = service.ask_for_export(
                    source=source,
                    source_id=source_id,
                    filters=filters,
                    chosen=form.columns.data or (),
                    format=form.format.data,
                    unmasked=form.unmasked.data,
                    purpose=form.purpose.data or "",
                    actor=signed_in_user(),
                )
                waits = export.state == "asked"
        except NotFound:
            raise
        except AppError as refusal:
            form.purpose.errors = [*form.purpose.errors, str(refusal)]
        else:
            flash(
                _("A second person has to allow this export.") if waits else _("The file is being written."), "success"
            )
            return redirect(url_for("exports.index"))
    page = render_template(
        "clients/exports/create.html",
        form=form,
        title_of_set=title,
        narrowed=bool(filters),
        alone=service.ROWS_WITHOUT_APPROVAL,
    )
    return page, 422 if form.errors else 200


@exports.get("/<int:export_id>/file")
@requires(Permission.EXPORT)
def fetch(export_id: int) -> Any:
    with unit_of_work():
        export = queries.own_export(export_id, user=signed_in_user())
        file_id = service.fetch_export(export=export, actor=signed_in_user())
        name, format = service.file_name(export), export.format
    response = Response(stream_with_context(file_chunks(file_id)), mimetype=MIME[format])
    response.headers.set("Content-Disposition", "attachment", filename=name)
    response.headers["Cache-Control"] = "no-store"
    return response


@exports.post("/<int:export_id>/allow")
@requires(Permission.ALLOW_EXPORTS)
def allow(export_id: int) -> Any:
    with unit_of_work():
        service.allow_export(export=queries.waiting_export(export_id, user=signed_in_user()), actor=signed_in_user())
    flash(_("Allowed. The file is being written for the person who asked."), "success")
    return redirect(url_for("exports.index"))


@exports.post("/<int:export_id>/refuse")
@requires(Permission.ALLOW_EXPORTS)
def refuse(export_id: int) -> Any:
    with unit_of_work():
        service.refuse_export(
            export=queries.waiting_export(export_id, user=signed_in_user()),
            reason=request.form.get("reason", ""),
            actor=signed_in_user(),
        )
    flash(_("Refused. The person who asked reads your reason."), "success")
    return redirect(url_for("exports.index"))
