"""Adding and editing clients, flags, and the corrections that wait."""

from itertools import groupby
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from app.clients import queries
from app.clients.duplicates.finding import look_alikes
from app.clients.editing import service
from app.clients.editing.fields import FACTS, GROUP_LABELS, Fact, masked_value
from app.clients.editing.forms import FlagForm, RefusalForm, client_form, field_name, read_values
from app.clients.editing.queries import correction_line, corrections_page, find_correction
from app.clients.labels import FLAG_LABELS
from app.core.errors import AppError, Conflict, Forbidden
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

editing = Blueprint("editing", __name__)
_BY_KEY = {fact.key: fact for fact in FACTS}
STATES = ("open", "confirmed", "refused")


def _groups(facts: list[Fact], form: Any) -> list[tuple[object, list[str]]]:
    """The names of the form's fields under the heading of each group."""
    shown = [fact for fact in facts if field_name(fact) in form]
    return [(GROUP_LABELS[key], [field_name(fact) for fact in some]) for key, some in groupby(shown, lambda f: f.group)]


@editing.route("/clients/new", methods=["GET", "POST"])
@requires(Permission.EDIT_CLIENTS)
def create() -> Any:
    facts = list(service.facts_now().values())
    form = client_form(facts, client=None, actor=signed_in_user())
    alike = []
    if request.method == "POST" and (values := read_values(form, facts, client=None)) is not None:
        alike = [] if form.anyway.data else look_alikes(values, user=signed_in_user())
        if not alike:
            try:
                with unit_of_work():
                    client = service.create_client(
                        number=form.number.data or None, values=values, actor=signed_in_user()
                    )
                flash(_("%(name)s was added.", name=client.name or client.number), "success")
                return redirect(url_for("clients.show", number=client.number))
            except AppError as error:
                form.number.errors = [str(error)]
    return render_template(
        "clients/editing/create.html", form=form, groups=_groups(facts, form), alike=alike
    ), 422 if form.errors or alike else 200


@editing.route("/clients/<number>/edit", methods=["GET", "POST"])
@requires(Permission.EDIT_CLIENTS)
def edit(number: str) -> Any:
    client = queries.find_client(number, user=signed_in_user())
    facts = list(service.facts_now().values())
    form = client_form(facts, client=client, actor=signed_in_user())
    if request.method == "POST":
        values = read_values(form, facts, client=client)
        if values is not None:
            with unit_of_work():
                edited = service.edit_client(
                    client=client, values=values, seen=form.seen.data or "", actor=signed_in_user()
                )
            _tell(edited)
            return redirect(url_for("clients.show", number=client.number))
    else:
        form.seen.data = service.version_of(client)
    return render_template(
        "clients/editing/edit.html", client=client, form=form, groups=_groups(facts, form)
    ), 422 if form.errors else 200


def _tell(edited: service.Edited) -> None:
    if edited.waiting:
        flash(_("Your correction was handed to a manager or officer. It holds once they confirm it."), "info")
    if edited.changed:
        flash(_("The client was changed."), "success")
    elif not edited.waiting:
        flash(_("Nothing was different."), "info")


@editing.post("/clients/<number>/flags/set")
@requires(Permission.EDIT_CLIENTS)
def set_flag(number: str) -> Any:
    return _flag(number, on=True)


@editing.post("/clients/<number>/flags/clear")
@requires(Permission.CONFIRM_CLIENT_DATA)
def clear_flag(number: str) -> Any:
    return _flag(number, on=False)


def _flag(number: str, *, on: bool) -> Any:
    client = queries.find_client(number, user=signed_in_user())
    form = FlagForm()
    if not form.validate():
        flash(_("Please give a reason; it is kept in the audit trail."), "danger")
        return redirect(url_for("clients.show", number=number))
    flag = str(FLAG_LABELS[form.flag.data])
    with unit_of_work():
        service.set_flag(client=client, flag=form.flag.data, on=on, reason=form.reason.data, actor=signed_in_user())
    flash(
        _("Flagged as “%(flag)s”: no marketing from now on.", flag=flag)
        if on
        else _("The flag “%(flag)s” was taken off.", flag=flag),
        "success",
    )
    return redirect(url_for("clients.show", number=number))


# ---- Corrections ----------------------------------------------------------------------------------------------------


@editing.get("/client-corrections/")
@requires(Permission.CONFIRM_CLIENT_DATA)
def corrections() -> Any:
    state = request.args.get("state", "open")
    return _corrections(state if state in STATES else "open")


def _corrections(state: str, **row: Any) -> str:
    """The list; `row` says which correction is shown in full (`seen`), or why not (`refused`, `refusal`)."""
    page = corrections_page(
        user=signed_in_user(),
        state=state,
        newer_than=request.args.get("newer_than", type=int),
        older_than=request.args.get("older_than", type=int),
    )
    return render_template("clients/editing/corrections.html", page=page, state=state, **_row_words(), **row)


def _row_words() -> dict[str, Any]:
    return {"facts": _BY_KEY, "masked_value": masked_value, "me": signed_in_user()}


@editing.post("/client-corrections/<int:correction_id>/reveal")
@requires(Permission.REVEAL_CONTACT)
def reveal_correction(correction_id: int) -> Any:
    """Show the old and the new value once, for a reason; the answer is never stored in the browser."""
    correction = find_correction(correction_id, user=signed_in_user())
    try:
        with unit_of_work():
            service.reveal_correction(
                correction=correction, reason=request.form.get("reason", "")[:500], actor=signed_in_user()
            )
        row: dict[str, Any] = {"seen": correction_id}
    except AppError as error:
        if isinstance(error, Forbidden):
            raise
        row = {"refused": correction_id, "refusal": str(error)}
    status = 200 if "seen" in row else 422
    if request.headers.get("HX-Request") and (line := correction_line(correction_id, user=signed_in_user())):
        return render_template("clients/editing/_correction.html", row=line, **_row_words(), **row), status
    return _corrections("open", **row), status


@editing.post("/client-corrections/<int:correction_id>/confirm")
@requires(Permission.CONFIRM_CLIENT_DATA)
def confirm(correction_id: int) -> Any:
    correction = find_correction(correction_id, user=signed_in_user())
    try:
        with unit_of_work():
            service.confirm_correction(correction=correction, actor=signed_in_user())
        flash(_("The correction holds from now on."), "success")
    except Conflict as error:
        flash(str(error), "danger")
    return redirect(url_for(".corrections"))


@editing.post("/client-corrections/<int:correction_id>/refuse")
@requires(Permission.CONFIRM_CLIENT_DATA)
def refuse(correction_id: int) -> Any:
    correction = find_correction(correction_id, user=signed_in_user())
    form = RefusalForm()
    if not form.validate():
        flash(_("Please give a reason; it is kept in the audit trail."), "danger")
        return redirect(url_for(".corrections"))
    try:
        with unit_of_work():
            service.refuse_correction(correction=correction, reason=form.reason.data, actor=signed_in_user())
        flash(_("The correction was refused."), "success")
    except Conflict as error:
        flash(str(error), "danger")
    return redirect(url_for(".corrections"))
