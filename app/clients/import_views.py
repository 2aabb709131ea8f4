"""The pages of an import: upload, map the columns, preview, progress and result."""

from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, stream_with_context, url_for
from flask_babel import gettext as _

from app.clients import queries
from app.clients.forms import TYPE_LABELS, UploadForm
from app.clients.importing import service
from app.clients.importing.mapping import CUSTOM, TARGETS, Mapping, read_mapping
from app.clients.importing.mapping_form import FIXED, NEW, column_lines, fixed_values, mapping_of_form
from app.clients.importing.refusals import refusal_lines, shown_refusals
from app.clients.importing.row_masks import mask_of_import
from app.clients.models import ClientImport
from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

imports = Blueprint("imports", __name__, url_prefix="/client-imports")


def _import(import_id: int) -> ClientImport:
    return queries.import_in_scope(import_id, user=signed_in_user())


@imports.get("/")
@requires(Permission.IMPORT_CLIENTS)
def index() -> Any:
    page = queries.imports_page(user=signed_in_user(), before=request.args.get("before", type=int))
    return render_template("clients/imports/index.html", page=page)


@imports.route("/new", methods=["GET", "POST"])
@requires(Permission.IMPORT_CLIENTS)
def create() -> Any:
    form = UploadForm()
    status = 200
    if form.validate_on_submit():
        try:
            with unit_of_work():
                client_import = service.receive_file(
                    stream=form.file.data.stream, name=form.file.data.filename or "", actor=signed_in_user()
                )
            return redirect(url_for(".map_columns", import_id=client_import.id))
        except AppError as error:
            form.file.errors = [str(error)]
    if request.method == "POST":
        status = 422
    return render_template("clients/imports/create.html", form=form), status


@imports.route("/<int:import_id>/columns", methods=["GET", "POST"])
@requires(Permission.IMPORT_CLIENTS)
def map_columns(import_id: int) -> Any:
    client_import = _import(import_id)
    if client_import.state != "uploaded":
        return redirect(url_for(".show", import_id=import_id))
    problem = None
    if request.method == "POST":
        try:
            mapping = mapping_of_form(request.form, client_import.columns)
            with unit_of_work():
                service.save_mapping(client_import=client_import, mapping=mapping, actor=signed_in_user())
            return redirect(url_for(".preview", import_id=import_id))
        except AppError as error:
            problem = str(error)
    return _mapping_page(client_import, problem), 422 if problem else 200


def _mapping_page(client_import: ClientImport, problem: str | None) -> str:
    samples = service.samples_of(client_import)
    mapping = service.suggested_mapping(client_import, samples)
    may_define = service.may_define_fields(signed_in_user())
    if not may_define:
        mapping = replace(mapping, new_fields={})
    fields = queries.custom_fields()
    return render_template(
        "clients/imports/map.html",
        client_import=client_import,
        lines=column_lines(mapping, client_import.columns, samples, {field.key for field in fields}),
        fixed=fixed_values(mapping),
        fixed_targets=FIXED,
        mapping=mapping,
        targets={target: label for target, (label, _aliases) in TARGETS.items()},
        fields={f"{CUSTOM}{field.key}": field.label for field in fields},
        types=TYPE_LABELS,
        NEW=NEW,
        may_define=may_define,
        problem=problem,
        submitted=request.form,
    )


@imports.get("/<int:import_id>/preview")
@requires(Permission.IMPORT_CLIENTS)
def preview(import_id: int) -> Any:
    client_import = _import(import_id)
    if client_import.state != "uploaded" or client_import.mapping is None:
        return redirect(url_for(".show", import_id=import_id))
    try:
        shown = service.preview(
            client_import=client_import, mapping=_stored_mapping(client_import), actor=signed_in_user()
        )
    except AppError as error:
        flash(str(error), "error")
        return redirect(url_for(".map_columns", import_id=import_id))
    return render_template(
        "clients/imports/preview.html", client_import=client_import, preview=shown, limit=service.PREVIEW_ROWS
    )


def _stored_mapping(client_import: ClientImport) -> Mapping:
    return read_mapping(client_import.mapping)


@imports.post("/<int:import_id>/start")
@requires(Permission.IMPORT_CLIENTS)
def start(import_id: int) -> Any:
    client_import = _import(import_id)
    if client_import.mapping is None:
        return redirect(url_for(".map_columns", import_id=import_id))
    try:
        with unit_of_work():
            service.start_import(
                client_import=client_import, mapping=_stored_mapping(client_import), actor=signed_in_user()
            )
    except AppError as error:
        flash(str(error), "error")
        return redirect(url_for(".map_columns", import_id=import_id))
    return redirect(url_for(".show", import_id=import_id))


@imports.post("/<int:import_id>/resume")
@requires(Permission.IMPORT_CLIENTS)
def resume(import_id: int) -> Any:
    with unit_of_work():
        service.resume_import(client_import=_import(import_id), actor=signed_in_user())
    flash(_("The import goes on where it stopped."), "success")
    return redirect(url_for(".show", import_id=import_id))


@imports.get("/<int:import_id>")
@requires(Permission.IMPORT_CLIENTS)
def show(import_id: int) -> Any:
    client_import = _import(import_id)
    if client_import.state == "uploaded":
        return redirect(url_for(".map_columns", import_id=import_id))
    return render_template(
        "clients/imports/show.html",
        client_import=client_import,
        state=queries.import_state(client_import),
        refusals=list(shown_refusals(queries.first_refusals(import_id), mask_of_import(client_import))),
        owner=queries.staff_name(client_import.created_by_id),
    )


@imports.get("/<int:import_id>/progress")
@requires(Permission.IMPORT_CLIENTS)
def progress(import_id: int) -> Any:
    """The fragment that replaces itself every second; the page is loaded anew once there is a result."""
    client_import = _import(import_id)
    state = queries.import_state(client_import)
    response = Response(render_template("clients/imports/_progress.html", client_import=client_import, state=state))
    if state != "running":
        response.headers["HX-Refresh"] = "true"
    return response


@imports.get("/<int:import_id>/refused.csv")
@requires(Permission.IMPORT_CLIENTS)
def refused_file(import_id: int) -> Any:
    client_import = _import(import_id)
    # Bound here: the generator runs after the view has returned. The mark tells spreadsheets that this is UTF-8.
    lines = stream_with_context(_with_mark(client_import))
    name = f"refused-{import_id}.csv"
    return Response(
        lines,
        mimetype="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Accel-Buffering": "no"},
    )


def _with_mark(client_import: ClientImport) -> Any:
    yield "\ufeff"
    yield from refusal_lines(client_import)
