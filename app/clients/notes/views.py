"""Writing and changing notes on the page of a client."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from app.clients import queries
from app.clients.models import Client
from app.clients.notes import service
from app.clients.notes.queries import find_note
from app.core.errors import AppError
from app.core.extensions import db
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

notes = Blueprint("notes", __name__)


@notes.post("/clients/<number>/notes")
@requires(Permission.VIEW_CLIENTS)
def add(number: str) -> Any:
    client = queries.find_client(number, user=signed_in_user())
    try:
        with unit_of_work():
            service.add_note(client=client, text=request.form.get("text", ""), actor=signed_in_user())
        flash(_("The note was kept."), "success")
    except AppError as error:
        flash(str(error), "danger")
    return redirect(url_for("clients.show", number=client.number) + "#notes")


@notes.route("/client-notes/<int:note_id>", methods=["GET", "POST"])
@requires(Permission.VIEW_CLIENTS)
def edit(note_id: int) -> Any:
    note = find_note(note_id, user=signed_in_user())
    client = db.session.get_one(Client, note.client_id)
    error = None
    if request.method == "POST":
        try:
            with unit_of_work():
                service.edit_note(note=note, text=request.form.get("text", ""), actor=signed_in_user())
            return redirect(url_for("clients.show", number=client.number) + "#notes")
        except (service.NoteEmpty, service.NoteTooLong) as problem:
            error = str(problem)
    elif not service.may_edit(note, signed_in_user()):
        raise service.NoteStands
    return render_template(
        "clients/notes/edit.html", note=note, client=client, error=error, text=request.form.get("text", note.text)
    ), 422 if error else 200
