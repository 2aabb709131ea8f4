"""The firm's own fields of a client, and who may change which fact."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from app.clients import field_service, queries, service
from app.clients.editing.fields import CHANGED_BY_LABELS, DERIVED, DYNAMIC, FACTS, ChangedBy
from app.clients.forms import EDITOR_LABELS, TYPE_LABELS, EditFieldForm, FieldForm
from app.clients.models import CustomField
from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

fields = Blueprint("fields", __name__, url_prefix="/client-fields")
WITH_CHOICES = ("choice", "multichoice")


@fields.route("/", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def index() -> Any:
    form = FieldForm()
    if form.validate_on_submit():
        kind = form.type.data
        try:
            with unit_of_work():
                field = service.define_field(
                    key=form.key.data,
                    label=form.label.data,
                    type=kind,
                    description=form.description.data,
                    edited_by=form.edited_by.data,
                    actor=signed_in_user(),
                )
                if kind in WITH_CHOICES and form.listed_choices:
                    field.choices = field_service.checked_choices(field, form.listed_choices)
            flash(_("The field was added."), "success")
            return redirect(url_for(".index"))
        except AppError as error:
            form.key.errors = [str(error)]
    facts = [
        (label, [fact.label for fact in FACTS if fact.changed_by == who])
        for who, label in CHANGED_BY_LABELS.items()
        if who not in (ChangedBy.FEEDS, ChangedBy.NOBODY)
    ]
    facts += [(CHANGED_BY_LABELS[ChangedBy.FEEDS], list(DYNAMIC)), (CHANGED_BY_LABELS[ChangedBy.NOBODY], list(DERIVED))]
    return render_template(
        "clients/fields/index.html",
        fields=queries.custom_fields(),
        archived=queries.archived_fields(),
        free=queries.free_slots(),
        form=form,
        types=TYPE_LABELS,
        editors=EDITOR_LABELS,
        facts=facts,
    ), 422 if form.errors else 200


@fields.route("/<int:field_id>", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def edit(field_id: int) -> Any:
    found = queries.find_field(field_id)
    form = EditFieldForm(obj=found)
    if request.method == "GET":
        form.choices.data = "\n".join(found.choices or ())
    if form.validate_on_submit():
        try:
            with unit_of_work():
                field_service.edit_field(
                    field=found,
                    label=form.label.data,
                    description=form.description.data or "",
                    edited_by=form.edited_by.data,
                    choices=form.listed_choices if found.type in WITH_CHOICES else None,
                    actor=signed_in_user(),
                )
            flash(_("The field was changed."), "success")
            return redirect(url_for(".index"))
        except AppError as error:
            form.choices.errors = [str(error)]
    return render_template(
        "clients/fields/edit.html", found=found, form=form, types=TYPE_LABELS, with_choices=WITH_CHOICES
    ), 422 if form.errors else 200


def _act(field_id: int, verb: Callable[[CustomField], None], done: str | None) -> Any:
    found = queries.find_field(field_id)
    try:
        with unit_of_work():
            verb(found)
        if done:
            flash(done, "success")
    except AppError as error:
        flash(str(error), "danger")
    return redirect(url_for(".index"))


@fields.post("/<int:field_id>/move")
@requires(Permission.ADMINISTER)
def move(field_id: int) -> Any:
    up = request.form.get("to") == "up"
    return _act(field_id, lambda found: field_service.move_field(field=found, up=up, actor=signed_in_user()), None)


@fields.post("/<int:field_id>/archive")
@requires(Permission.ADMINISTER)
def archive(field_id: int) -> Any:
    done = _("The field was archived. Its values are kept.")
    return _act(field_id, lambda found: field_service.archive_field(field=found, actor=signed_in_user()), done)


@fields.post("/<int:field_id>/restore")
@requires(Permission.ADMINISTER)
def restore(field_id: int) -> Any:
    done = _("The field is in use again.")
    return _act(field_id, lambda found: field_service.restore_field(field=found, actor=signed_in_user()), done)


@fields.post("/<int:field_id>/free")
@requires(Permission.ADMINISTER)
def free(field_id: int) -> Any:
    done = _("The values are being deleted. The field can be defined anew once that is done.")
    return _act(field_id, lambda found: field_service.order_freeing(field=found, actor=signed_in_user()), done)
