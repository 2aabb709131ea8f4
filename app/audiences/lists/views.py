"""Pages of the lists of client numbers."""

from typing import Any, BinaryIO, cast

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import format_decimal
from flask_babel import gettext as _

from app.audiences.lists import queries, service
from app.audiences.lists.forms import NumberListForm
from app.clients.queries import sees_whole_book
from app.core.errors import AppError, Conflict
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

number_lists = Blueprint("number_lists", __name__, url_prefix="/segments/lists")


@number_lists.get("")
@requires(Permission.VIEW_SEGMENTS)
def index() -> Any:
    search, me = request.args.get("search", "").strip().replace("\x00", ""), signed_in_user()
    page = queries.lists_page(
        search=search, newer_than=request.args.get("newer", type=int), older_than=request.args.get("older", type=int)
    )
    whole = sees_whole_book(me)
    return render_template(
        "audiences/lists/index.html",
        page=page,
        search=search,
        uses=queries.segments_using([row.id for row in page.rows]),
        # As in the builder: how many clients others chose is for those who see the whole book.
        sizes={row.id: row.size for row in page.rows if whole or row.owner_id == me.id},
        deletable={row.id for row in page.rows if service.may_delete(row.owner_id, me)},
    )


@number_lists.route("/new", methods=["GET", "POST"])
@requires(Permission.EDIT_SEGMENTS)
def create() -> Any:
    form = NumberListForm()
    if form.validate_on_submit():
        try:
            with unit_of_work():
                kept = _keep(form)
                name, size, notes = kept.numbers.name, kept.numbers.size, kept.notes
        except AppError as refusal:
            field = form.file if form.file.data else form.numbers
            field.errors = [*field.errors, str(refusal)]
        else:
            flash(
                _("The list “%(name)s” is kept, with %(size)s numbers.", name=name, size=format_decimal(size)),
                "success",
            )
            for note in notes:
                flash(note, "info")
            return redirect(url_for("number_lists.index"))
    return render_template("audiences/lists/create.html", form=form), 422 if form.errors else 200


def _keep(form: NumberListForm) -> service.Kept:
    name, actor = form.name.data or "", signed_in_user()
    if form.file.data:
        return service.keep_uploaded_list(name=name, stream=cast(BinaryIO, form.file.data.stream), actor=actor)
    return service.keep_pasted_list(name=name, text=form.numbers.data or "", actor=actor)


@number_lists.post("/<int:list_id>/delete")
@requires(Permission.EDIT_SEGMENTS)
def remove(list_id: int) -> Any:
    try:
        with unit_of_work():
            service.delete_list(numbers=queries.find_list(list_id), actor=signed_in_user())
        flash(_("The list is deleted."), "success")
    except Conflict as refusal:
        flash(str(refusal), "error")
    return redirect(url_for("number_lists.index"))
