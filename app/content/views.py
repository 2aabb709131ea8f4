"""The library of e-mail templates."""

from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from app.clients.queries import find_client
from app.content import starters
from app.content.forms import MessageForm, TemplateForm, field_menu, start_from
from app.content.models import EmailContent
from app.content.previews import preview_page, refusal_page
from app.content.queries import template_by_id, template_library
from app.content.service import (
    archive_template,
    create_template,
    duplicate_template,
    new_content,
    update_template,
)
from app.core.errors import AppError, NotFound
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.core.web import sandboxed
from app.users.sessions import signed_in_user

bp = Blueprint("content", __name__, url_prefix="/templates")
Page = str | AnyResponse | tuple[str, int]


@bp.get("")
@requires(Permission.EDIT_TEMPLATES)
def index() -> str:
    search = request.args.get("search", "").strip()
    archived = request.args.get("archived") == "1"
    return render_template(
        "content/index.html",
        templates=template_library(text=search, archived=archived),
        starters=starters.STARTERS,
        search=search,
        archived=archived,
    )


@bp.route("/new", methods=["GET", "POST"])
@requires(Permission.EDIT_TEMPLATES)
def create() -> Page:
    form = TemplateForm()
    start = start_from(request.args.get("start"))
    if request.method == "GET" and start is not None:
        form.fill(start)
        form.name.data = "" if isinstance(start, EmailContent) else str(start.name)
    if form.validate_on_submit():
        try:
            with unit_of_work():
                template = create_template(name=form.name.data, **form.words(), actor=signed_in_user())
        except AppError as error:
            return _editor(form, error=error)
        flash(_("The template is saved."), "success")
        return redirect(url_for("content.edit", template_id=template.id))
    return _editor(form)


@bp.route("/<int:template_id>", methods=["GET", "POST"])
@requires(Permission.EDIT_TEMPLATES)
def edit(template_id: int) -> Page:
    template = template_by_id(template_id)
    form = TemplateForm()
    if request.method == "GET":
        form.fill(template.content)
        form.name.data, form.seen.data = template.name, str(template.content_id)
    if form.validate_on_submit():
        seen = int(form.seen.data) if form.seen.data.isdecimal() else 0
        try:
            with unit_of_work():
                update_template(
                    template=template, name=form.name.data, **form.words(), actor=signed_in_user(), seen_content_id=seen
                )
        except AppError as error:
            return _editor(form, template=template_by_id(template_id), error=error)
        flash(_("The template is saved."), "success")
        return redirect(url_for("content.edit", template_id=template_id))
    return _editor(form, template=template)


def _editor(form: TemplateForm, *, template: Any = None, error: AppError | None = None) -> Page:
    """The editor; with what was refused and why, as 422, so that nothing written is lost."""
    if error is not None:
        flash(str(error), "error")
    page = render_template("content/edit.html", form=form, template=template, fields=field_menu())
    return (page, 422) if error or form.errors else page


@bp.post("/preview")
@requires(Permission.EDIT_TEMPLATES)
def preview() -> Response:
    """The words of the form as a client would see them, without saving anything."""
    form = MessageForm()
    number = request.form.get("client_number", "").strip()
    try:
        content = new_content(**form.words(), actor=None)
        client = find_client(number, user=signed_in_user()) if number else None
        return sandboxed(preview_page(content, client=client, mode=request.form.get("mode", "")))
    except AppError as error:
        return sandboxed(refusal_page(error))


@bp.get("/<int:template_id>/preview")
@requires(Permission.EDIT_TEMPLATES)
def show(template_id: int) -> Response:
    """A stored template with example values."""
    return sandboxed(preview_page(template_by_id(template_id).content, client=None, mode="desktop"))


@bp.get("/stock/<key>/preview")
@requires(Permission.EDIT_TEMPLATES)
def show_stock(key: str) -> Response:
    """A stock e-mail with example values."""
    starter = starters.starter(key)
    if starter is None:
        return sandboxed(refusal_page(NotFound(_("There is no such template."))))
    content = new_content(
        format="mjml", subject=starter.subject, preheader=starter.preheader, source=starter.source, actor=None
    )
    return sandboxed(preview_page(content, client=None, mode="desktop"))


@bp.post("/<int:template_id>/duplicate")
@requires(Permission.EDIT_TEMPLATES)
def duplicate(template_id: int) -> AnyResponse:
    with unit_of_work():
        copy = duplicate_template(template=template_by_id(template_id), actor=signed_in_user())
    flash(_("This is the copy. Give it a name of its own."), "success")
    return redirect(url_for("content.edit", template_id=copy.id))


@bp.post("/<int:template_id>/archive")
@requires(Permission.EDIT_TEMPLATES)
def archive(template_id: int) -> AnyResponse:
    with unit_of_work():
        archive_template(template=template_by_id(template_id), actor=signed_in_user())
    flash(_("The template is archived. Campaigns that started from it keep their message."), "success")
    return redirect(url_for("content.index"))
