"""Signatures and templates of SMS: what the vendor has on record."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from app.content.forms import field_menu
from app.content.sms import queries
from app.content.sms.forms import SignatureForm, SmsTemplateForm
from app.content.sms.models import REGISTRATION_LABELS, REGISTRATION_TONES, SmsSignature, SmsTemplate
from app.content.sms.service import archive, save_signature, save_template
from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

sms = Blueprint("sms", __name__, url_prefix="/sms")
Page = str | Response | tuple[str, int]


@sms.get("")
@requires(Permission.VIEW_CAMPAIGNS)
def index() -> str:
    return render_template(
        "sms/index.html",
        signatures=queries.signatures(),
        templates=queries.templates(),
        labels=REGISTRATION_LABELS,
        tones=REGISTRATION_TONES,
    )


@sms.route("/signatures/new", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def new_signature() -> Page:
    return _signature_page(None)


@sms.route("/signatures/<int:signature_id>", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def signature(signature_id: int) -> Page:
    return _signature_page(queries.find_signature(signature_id))


def _signature_page(item: SmsSignature | None) -> Page:
    form = SignatureForm()
    if request.method == "GET" and item is not None:
        form.fill(item)
    if form.validate_on_submit():
        try:
            with unit_of_work():
                save_signature(signature=item, **form.facts(), actor=signed_in_user())
        except AppError as error:
            flash(str(error), "error")
            return render_template("sms/signature.html", form=form, item=item), error.status
        flash(_("The signature is saved."), "success")
        return redirect(url_for("sms.index"))
    return render_template("sms/signature.html", form=form, item=item), 422 if form.errors else 200


@sms.route("/templates/new", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def new_template() -> Page:
    return _template_page(None)


@sms.route("/templates/<int:template_id>", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def template(template_id: int) -> Page:
    return _template_page(queries.find_template(template_id))


def _template_page(item: SmsTemplate | None) -> Page:
    form = SmsTemplateForm()
    if request.method == "GET" and item is not None:
        form.fill(item)
    if form.validate_on_submit():
        try:
            with unit_of_work():
                save_template(template=item, **form.facts(), actor=signed_in_user())
        except AppError as error:
            flash(str(error), "error")
            return render_template("sms/template.html", form=form, item=item, fields=field_menu()), error.status
        flash(_("The template is saved."), "success")
        return redirect(url_for("sms.index"))
    page = render_template("sms/template.html", form=form, item=item, fields=field_menu())
    return page, 422 if form.errors else 200


@sms.post("/signatures/<int:signature_id>/archive")
@requires(Permission.ADMINISTER)
def archive_signature(signature_id: int) -> Response:
    return _archive(queries.find_signature(signature_id))


@sms.post("/templates/<int:template_id>/archive")
@requires(Permission.ADMINISTER)
def archive_template(template_id: int) -> Response:
    return _archive(queries.find_template(template_id))


def _archive(item: SmsSignature | SmsTemplate) -> Response:
    with unit_of_work():
        archive(item=item, actor=signed_in_user())
    flash(_("Taken out of use. What was sent with it keeps it."), "success")
    return redirect(url_for("sms.index"))
