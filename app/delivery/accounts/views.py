"""The pages of accounts, for administrators."""

import os
from collections.abc import Callable
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from app.channels.base import Vendor
from app.channels.models import ChannelAccount
from app.channels.registry import vendors
from app.core.errors import AppError, NotFound
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.delivery.accounts import queries, service, words
from app.delivery.accounts.forms import ThrottleForm, account_form
from app.users.sessions import signed_in_user

accounts = Blueprint("accounts", __name__, url_prefix="/channel-accounts")


@accounts.app_context_processor
def account_words() -> dict[str, Any]:
    return {"account_states": words.STATES, "channel_words": words.CHANNEL_LABELS}


@accounts.get("")
@requires(Permission.ADMINISTER)
def index() -> Any:
    return _list(ThrottleForm(formdata=None))


def _list(form: ThrottleForm, status: int = 200) -> Any:
    return (
        render_template(
            "delivery/accounts/index.html",
            lines=queries.account_lines(),
            throttles=queries.throttles(),
            form=form,
            vendors=vendors().values(),
        ),
        status,
    )


@accounts.route("/new/<vendor>", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def create(vendor: str) -> Any:
    known = vendors().get(vendor)
    if known is None:
        raise NotFound
    form = account_form(known)
    if form.validate_on_submit():
        try:
            with unit_of_work():
                account = service.add_account(vendor=vendor, facts=form.facts(), actor=signed_in_user())
            flash(_("The account is added."), "success")
            return redirect(url_for(".show", account_id=account.id))
        except service.BadAccount as error:
            form.refuse(error.field, str(error))
    return _form_page(form, known, None)


@accounts.route("/<int:account_id>/edit", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def edit(account_id: int) -> Any:
    account = queries.find_account(account_id)
    vendor = vendors().get(account.vendor)
    if vendor is None:
        raise NotFound
    form = account_form(vendor, account)
    if form.validate_on_submit():
        try:
            with unit_of_work():
                service.edit_account(account=account, facts=form.facts(), actor=signed_in_user())
            flash(_("The changes are saved."), "success")
            return redirect(url_for(".show", account_id=account.id))
        except service.BadAccount as error:
            form.refuse(error.field, str(error))
    return _form_page(form, vendor, queries.find_account(account_id))


def _form_page(form: Any, vendor: Vendor, account: ChannelAccount | None) -> Any:
    page = render_template("delivery/accounts/edit.html", form=form, vendor=vendor, account=account)
    return page, 422 if form.errors else 200


@accounts.get("/<int:account_id>")
@requires(Permission.ADMINISTER)
def show(account_id: int) -> Any:
    account = queries.find_account(account_id)
    vendor = vendors().get(account.vendor)
    return render_template(
        "delivery/accounts/show.html",
        account=account,
        line=queries.line_of(account),
        vendor=vendor,
        history=queries.history(account_id),
        actions=words.ACTIONS,
        locations=words.LOCATION_LABELS,
        secret_is_set=bool(account.secret_name and os.environ.get(account.secret_name)),
        legal_basis_by=queries.name_of(account.legal_basis_by_id),
    )


def _act(account_id: int, verb: Callable[..., None], done: str, **values: Any) -> Any:
    try:
        with unit_of_work():
            verb(account=queries.find_account(account_id), actor=signed_in_user(), **values)
        flash(done, "success")
    except AppError as error:
        if error.status == 404:
            raise
        flash(str(error), "error")
    return redirect(url_for(".show", account_id=account_id))


@accounts.post("/<int:account_id>/pause")
@requires(Permission.ADMINISTER)
def pause(account_id: int) -> Any:
    return _act(account_id, service.pause_account, _("Paused."), reason=request.form.get("reason", ""))


@accounts.post("/<int:account_id>/resume")
@requires(Permission.ADMINISTER)
def resume(account_id: int) -> Any:
    return _act(account_id, service.resume_account, _("It takes messages again."))


@accounts.post("/<int:account_id>/resume-marketing")
@requires(Permission.ADMINISTER)
def resume_marketing(account_id: int) -> Any:
    reason = request.form.get("reason", "")
    return _act(account_id, service.resume_marketing, _("It takes marketing again."), reason=reason)


@accounts.post("/<int:account_id>/archive")
@requires(Permission.ADMINISTER)
def archive(account_id: int) -> Any:
    return _act(account_id, service.archive_account, _("It is in the archive."))


@accounts.post("/<int:account_id>/restore")
@requires(Permission.ADMINISTER)
def restore(account_id: int) -> Any:
    return _act(account_id, service.restore_account, _("It is out of the archive, and paused."))


@accounts.post("/<int:account_id>/legal-basis")
@requires(Permission.ADMINISTER)
def legal_basis(account_id: int) -> Any:
    return _act(
        account_id, service.record_legal_basis, _("The legal basis is recorded."), text=request.form.get("text", "")
    )


@accounts.post("/<int:account_id>/test")
@requires(Permission.ADMINISTER)
def test(account_id: int) -> Any:
    return _act(
        account_id, service.order_test, _("The test is on its way to your own address; its result stands below.")
    )


@accounts.post("/throttles")
@requires(Permission.ADMINISTER)
def throttle() -> Any:
    form = ThrottleForm()
    if not form.validate_on_submit():
        return _list(form, 422)
    try:
        with unit_of_work():
            service.set_throttle(
                domain=form.domain.data, rate_per_second=form.rate_per_second.data, actor=signed_in_user()
            )
    except service.BadAccount as error:
        form[error.field].errors = [str(error)]
        return _list(form, 422)
    flash(_("The rate is saved."), "success")
    return redirect(url_for(".index"))


@accounts.post("/throttles/<int:limit_id>/remove")
@requires(Permission.ADMINISTER)
def unthrottle(limit_id: int) -> Any:
    with unit_of_work():
        service.remove_throttle(limit=queries.find_throttle(limit_id), actor=signed_in_user())
    flash(_("The rate is taken away."), "success")
    return redirect(url_for(".index"))
