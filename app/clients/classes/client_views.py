"""The classes of one client, as a part of the client's page, and overriding them."""

from datetime import timedelta
from typing import Any

from flask import Blueprint, render_template, request

from app.clients.classes import queries, service
from app.clients.classes.forms import OverrideForm
from app.clients.classes.labels import MODEL_LABELS
from app.clients.classes.models import MODELS
from app.clients.models import Client
from app.clients.queries import find_client
from app.core import clock
from app.core.errors import AppError
from app.core.form_fields import options
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

client_classes = Blueprint("client_classes", __name__)
OVERRIDABLE = tuple(model for model in MODELS if model != "suitability")


@client_classes.get("/clients/<number>/classes")
@requires(Permission.VIEW_CLIENTS)
def show(number: str) -> Any:
    """The part of the client's page. `model` in the address opens the form for that model."""
    model = request.args.get("model", "")
    return _part(find_client(number, user=signed_in_user()), model if model in OVERRIDABLE else None)


@client_classes.post("/clients/<number>/classes/override")
@requires(Permission.OVERRIDE_CLASSES)
def override(number: str) -> Any:
    client, form = find_client(number, user=signed_in_user()), OverrideForm()
    model = form.model.data if form.model.data in OVERRIDABLE else OVERRIDABLE[0]
    if not form.validate():
        return _part(client, model, form), 422
    try:
        with unit_of_work():
            service.override_class(
                client=client,
                model=model,
                class_code=form.class_code.data or "",
                reason=form.reason.data,
                expires_on=form.expires_on.data,
                actor=signed_in_user(),
            )
    except service.BadExpiry as refusal:
        form.expires_on.errors = [str(refusal)]
    except AppError as refusal:
        form.reason.errors = [str(refusal)]
    else:
        return _part(client, None)
    return _part(client, model, form), 422


@client_classes.post("/clients/<number>/classes/end-override")
@requires(Permission.OVERRIDE_CLASSES)
def end_override(number: str) -> Any:
    client, model = find_client(number, user=signed_in_user()), request.form.get("model", "")
    if model in OVERRIDABLE:
        with unit_of_work():
            service.end_override(client=client, model=model, actor=signed_in_user())
    return _part(client, None)


def _part(client: Client, model: str | None, form: OverrideForm | None = None) -> str:
    if model is not None:
        form = form or OverrideForm(model=model, expires_on=clock.today() + timedelta(days=90))
        form.model.choices = options((one, MODEL_LABELS[one]) for one in OVERRIDABLE)
        form.class_code.choices = options(queries.class_choices(model))
    return render_template(
        "clients/classes/_client.html",
        client=client,
        lines=queries.classes_of(client.id),
        second_check=queries.second_check_from(client.id),
        model=model,
        form=form,
        overridable=OVERRIDABLE,
    )
