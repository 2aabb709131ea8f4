"""Households and referrals on the page of a client."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, flash, redirect, request, url_for
from flask_babel import gettext as _

from app.clients import queries
from app.clients.models import Client
from app.clients.relations import service
from app.core.errors import AppError, NotFound
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

relations = Blueprint("relations", __name__)


def _other() -> Client:
    """The client whose number was typed in."""
    number = request.form.get("other", "").replace("\x00", "").strip()
    try:
        return queries.find_client(number, user=signed_in_user())
    except NotFound:
        raise AppError(_("There is no client with this number in the part of the firm you work for.")) from None


def _change(number: str, act: Callable[[Client], None], done: str) -> Any:
    client = queries.find_client(number, user=signed_in_user())
    try:
        with unit_of_work():
            act(client)
        flash(done, "success")
    except AppError as error:
        flash(str(error), "danger")
    return redirect(url_for("clients.show", number=client.number) + "#relations")


@relations.post("/clients/<number>/household")
@requires(Permission.EDIT_CLIENTS)
def join(number: str) -> Any:
    return _change(
        number,
        lambda client: service.join_household(client=client, other=_other(), actor=signed_in_user()),
        _("They belong to one household now."),
    )


@relations.post("/clients/<number>/household/leave")
@requires(Permission.EDIT_CLIENTS)
def leave(number: str) -> Any:
    return _change(
        number,
        lambda client: service.leave_household(client=client, actor=signed_in_user()),
        _("The client was taken out of the household."),
    )


@relations.post("/clients/<number>/household/head")
@requires(Permission.EDIT_CLIENTS)
def head(number: str) -> Any:
    return _change(
        number,
        lambda client: service.name_head(client=client, actor=signed_in_user()),
        _("This client is the head of the household now."),
    )


@relations.post("/clients/<number>/referrer")
@requires(Permission.EDIT_CLIENTS)
def refer(number: str) -> Any:
    known = request.form.get("other", "").strip()
    return _change(
        number,
        lambda client: service.set_referrer(
            client=client, referrer=_other() if known else None, actor=signed_in_user()
        ),
        _("Who referred the client is kept.") if known else _("Nobody is noted as the referrer any more."),
    )
