"""The firm's own fields of a client."""

from typing import Any, cast

from flask import Blueprint, flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_login import current_user

from app.clients import queries, service
from app.clients.forms import TYPE_LABELS, FieldForm, RenameForm
from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.models import User

fields = Blueprint("fields", __name__, url_prefix="/client-fields")


def _me() -> User:
    return cast(User, current_user._get_current_object())


@fields.route("/", methods=["GET", "POST"])
@requires(Permission.IMPORT_CLIENTS)
def index() -> Any:
    form = FieldForm()
    if form.validate_on_submit():
        try:
            with unit_of_work():
                service.define_field(key=form.key.data, label=form.label.data, type=form.type.data, actor=_me())
            flash(_("The field was added."), "success")
            return redirect(url_for(".index"))
        except AppError as error:
            form.key.errors = [str(error)]
    return render_template(
        "clients/fields/index.html",
        fields=queries.custom_fields(),
        free=queries.free_slots(),
        form=form,
        types=TYPE_LABELS,
    ), 422 if form.errors else 200


@fields.route("/<int:field_id>", methods=["GET", "POST"])
@requires(Permission.IMPORT_CLIENTS)
def edit(field_id: int) -> Any:
    found = queries.find_field(field_id)
    form = RenameForm(obj=found)
    if form.validate_on_submit():
        with unit_of_work():
            service.rename_field(field=found, label=form.label.data, actor=_me())
        flash(_("The field was renamed."), "success")
        return redirect(url_for(".index"))
    return render_template(
        "clients/fields/edit.html", found=found, form=form, types=TYPE_LABELS
    ), 422 if form.errors else 200
