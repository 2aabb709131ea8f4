"""Pages of value models: what is in force, drafts with their preview, history, classes and their clients."""

import json
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, ParamSpec

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from app.clients.classes import queries, service
from app.clients.classes.differences import differences
from app.clients.classes.forms import (
    ActivateForm,
    ScheduleForm,
    change_rows,
    filled,
    groups_of,
    model_form,
    read_parameters,
)
from app.clients.classes.labels import MATRICES, MODEL_LABELS, MODEL_PURPOSES, STATE_LABELS, STATE_TONES
from app.clients.classes.models import MODELS, ModelVersion
from app.clients.classes.parameters import SHAPES
from app.clients.classes.parsing import BadParameters, parse_parameters
from app.clients.classes.presets import preset, preset_names
from app.clients.classes.versions import active_parameters, active_version
from app.core import clock
from app.core.errors import AppError
from app.core.jobs import enqueue
from app.core.permissions import Permission, requires
from app.core.queues import AUDIENCE
from app.core.time_limit import TooSlow, time_limit
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

value_models = Blueprint("classes", __name__)
P = ParamSpec("P")
MODEL = f"<any({', '.join(MODELS)}):model>"
ANSWER = 422  # a form that comes back with what is wrong in it
TIME_LIMIT_MS = 20_000  # for figures that a page loads after it is shown; the browser gives up after thirty seconds


def counted(view: Callable[P, Any]) -> Callable[P, Any]:
    """A part of a page that counts the book: where that takes too long, the part says so."""

    @wraps(view)
    def limited(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            with time_limit(TIME_LIMIT_MS):
                return view(*args, **kwargs)
        except TooSlow as error:
            return render_template("clients/classes/_too_slow.html", error=error), error.status

    return limited


@value_models.app_template_global()
def model_label(model: str) -> object:
    return MODEL_LABELS.get(model, model)


@value_models.get("/value-models")
@requires(Permission.VIEW_SEGMENTS)
def index() -> Any:
    return render_template(
        "clients/classes/index.html",
        models=MODELS,
        purposes=MODEL_PURPOSES,
        lines={model: queries.versions_of(model, limit=20) for model in MODELS},
        classes={model: queries.value_classes(model) for model in MODELS},
        run=queries.last_run(),
        states=STATE_LABELS,
        tones=STATE_TONES,
    )


@value_models.get("/value-models/sizes")
@requires(Permission.VIEW_SEGMENTS)
@counted
def all_sizes() -> Any:
    """The sizes of all classes, filled into the list after it is shown."""
    return render_template(
        "clients/classes/_all_sizes.html",
        sizes=queries.class_sizes(user=signed_in_user()),
        classes={model: queries.value_classes(model) for model in MODELS},
    )


@value_models.post("/value-models/compute")
@requires(Permission.MANAGE_MODELS)
def compute() -> Any:
    with unit_of_work():
        enqueue(service.COMPUTE, queue=AUDIENCE)
    flash(
        _("The classes of all clients are being computed. This takes about a minute for a million clients."), "success"
    )
    return redirect(url_for(".index"))


@value_models.get(f"/value-models/{MODEL}")
@requires(Permission.VIEW_SEGMENTS)
def show(model: str) -> Any:
    return render_template(
        "clients/classes/show.html",
        model=model,
        purpose=MODEL_PURPOSES[model],
        classes=queries.value_classes(model),
        lines=queries.versions_of(model),
        version=active_version(model),
        states=STATE_LABELS,
        tones=STATE_TONES,
    )


@value_models.get(f"/value-models/{MODEL}/sizes")
@requires(Permission.VIEW_SEGMENTS)
@counted
def sizes(model: str) -> Any:
    """The classes with their sizes, as a picture where the model is a matrix."""
    found = queries.class_sizes(user=signed_in_user(), models=[model])[model]
    classes = queries.value_classes(model)
    matrix = MATRICES.get(model)
    return render_template(
        "clients/classes/_sizes.html",
        model=model,
        classes=classes,
        by_code={one.code: one for one in classes},
        sizes=found,
        nothing=queries.Size(),
        total=sum(size.clients for code, size in found.items() if code is not None),
        assets=sum((size.assets for code, size in found.items() if code is not None), start=queries.Size().assets),
        matrix=matrix,
    )


@value_models.get(f"/value-models/{MODEL}/coverage")
@requires(Permission.VIEW_SEGMENTS)
@counted
def coverage(model: str) -> Any:
    lines = queries.coverage(model, user=signed_in_user())
    branches = list(dict.fromkeys(line.branch for line in lines))
    return render_template(
        "clients/classes/_coverage.html",
        classes=[one for one in queries.value_classes(model) if one.cadence_days],
        branches=branches,
        cells={(line.branch, line.code): line for line in lines},
    )


@value_models.get(f"/value-models/{MODEL}/classes/<code>")
@requires(Permission.VIEW_SEGMENTS)
def clients(model: str, code: str) -> Any:
    value_class = next((one for one in queries.value_classes(model) if one.code == code), None)
    if value_class is None:
        abort(404)
    rule = {"all": [{"field": model, "op": "is", "value": int(code) if model == "suitability" else code}]}
    return render_template(
        "clients/classes/clients.html",
        model=model,
        value_class=value_class,
        page=queries.clients_of_class(
            model,
            code,
            user=signed_in_user(),
            newer_than=request.args.get("newer", type=int),
            older_than=request.args.get("older", type=int),
        ),
        rule=json.dumps(rule),
    )


# ---- Drafts ----


@value_models.route(f"/value-models/{MODEL}/edit", methods=["GET", "POST"])
@requires(Permission.MANAGE_MODELS)
def edit(model: str) -> Any:
    """A new draft, beginning with what is in force or with a preset."""
    wanted = request.args.get("preset", "")
    known = preset_names(model)
    begin = preset(model, wanted) if wanted in dict(known) else active_parameters(model)
    return _editor(model, None, filled(model, begin))


@value_models.route(f"/value-models/{MODEL}/versions/<int:number>/edit", methods=["GET", "POST"])
@requires(Permission.MANAGE_MODELS)
def edit_draft(model: str, number: int) -> Any:
    draft = queries.find_version(model, number)
    if draft.state != "draft":
        raise service.NotADraft
    form = model_form(model, draft.parameters | {"note": draft.note, "revision": str(draft.revision)})
    return _editor(model, draft, form)


def _editor(model: str, draft: ModelVersion | None, form: Any) -> Any:
    status = 200
    if request.method == "POST" and not change_rows(model, form, request.form.get("action", "")):
        saved = _save(model, draft, form)
        if saved is not None:
            flash(_("The draft is saved. Look at what it would change before you put it in force."), "success")
            return redirect(url_for(".version", model=model, number=saved.number))
        status = ANSWER
    page = render_template(
        "clients/classes/edit.html",
        model=model,
        draft=draft,
        form=form,
        groups=groups_of(model, form),
        fixed=SHAPES[model].codes is not None,
        presets=preset_names(model),
    )
    return page, status


def _save(model: str, draft: ModelVersion | None, form: Any) -> ModelVersion | None:
    if not form.validate():
        return None
    revision = form.revision.data or ""
    try:
        with unit_of_work():
            return service.save_draft(
                model=model,
                parameters=read_parameters(model, form),
                note=form.note.data,
                draft=draft,
                revision=int(revision) if revision.isdecimal() and len(revision) < 10 else None,
                actor=signed_in_user(),
            )
    except BadParameters:
        return None


@value_models.post(f"/value-models/{MODEL}/preview")
@requires(Permission.MANAGE_MODELS)
@counted
def preview(model: str) -> Any:
    """What the parameters in the form would change, before they are saved."""
    try:
        parameters = read_parameters(model, model_form(model))
    except BadParameters as refusal:
        return render_template("clients/classes/_problems.html", problems=refusal.problems), ANSWER
    return _preview(model, parameters)


@value_models.get(f"/value-models/{MODEL}/versions/<int:number>/preview")
@requires(Permission.VIEW_SEGMENTS)
@counted
def version_preview(model: str, number: int) -> Any:
    found = queries.find_version(model, number)
    return _preview(model, parse_parameters(model, found.parameters))


def _preview(model: str, parameters: Any) -> str:
    labels = {one: dict(queries.class_choices(one)) for one in queries.AFFECTS.get(model, (model,))}
    labels[model] = labels[model] | {one.code: one.label for one in parameters.classes}
    one_in = queries.preview_share(signed_in_user())
    return render_template(
        "clients/classes/_preview.html",
        found=queries.preview_moves(model, parameters, user=signed_in_user(), one_in=one_in),
        one_in=one_in,
        labels=labels,
        orders={one: list(known) for one, known in labels.items()},
    )


# ---- One version ----


@value_models.get(f"/value-models/{MODEL}/versions/<int:number>")
@requires(Permission.VIEW_SEGMENTS)
def version(model: str, number: int) -> Any:
    return _version_page(queries.find_version(model, number))


def _version_page(found: ModelVersion, schedule_form: ScheduleForm | None = None) -> str:
    model = found.model
    before = queries.version_before(found)
    parameters = parse_parameters(model, found.parameters)
    line = next(one for one in queries.versions_of(model, limit=10_000) if one.version.id == found.id)
    in_force = active_version(model)
    return render_template(
        "clients/classes/version.html",
        model=model,
        version=found,
        line=line,
        before=before,
        changes=differences(parse_parameters(model, before.parameters), parameters) if before else [],
        in_force=in_force,
        activate_form=ActivateForm(seen=str(in_force.id) if in_force else ""),
        schedule_form=schedule_form or ScheduleForm(on=clock.today() + timedelta(days=1)),
        states=STATE_LABELS,
        tones=STATE_TONES,
    )


@value_models.post(f"/value-models/{MODEL}/versions/<int:number>/activate")
@requires(Permission.MANAGE_MODELS)
def activate(model: str, number: int) -> Any:
    seen = request.form.get("seen", "")
    with unit_of_work():
        service.activate_version(
            version=queries.find_version(model, number),
            seen=int(seen) if seen.isdecimal() and len(seen) < 18 else None,
            actor=signed_in_user(),
        )
    flash(_("The version is in force; the classes are being computed."), "success")
    return redirect(url_for(".show", model=model))


@value_models.post(f"/value-models/{MODEL}/versions/<int:number>/schedule")
@requires(Permission.MANAGE_MODELS)
def schedule(model: str, number: int) -> Any:
    found, form = queries.find_version(model, number), ScheduleForm()
    if not form.validate():
        return _version_page(found, form), ANSWER
    try:
        with unit_of_work():
            service.schedule_version(version=found, on=form.on.data, actor=signed_in_user())
    except service.BadDate as refusal:
        form.on.errors = [str(refusal)]
        return _version_page(found, form), ANSWER
    flash(_("The version comes in force by itself on that day."), "success")
    return redirect(url_for(".version", model=model, number=number))


@value_models.post(f"/value-models/{MODEL}/versions/<int:number>/unschedule")
@requires(Permission.MANAGE_MODELS)
def unschedule(model: str, number: int) -> Any:
    with unit_of_work():
        service.unschedule_version(version=queries.find_version(model, number), actor=signed_in_user())
    return redirect(url_for(".version", model=model, number=number))


@value_models.post(f"/value-models/{MODEL}/versions/<int:number>/discard")
@requires(Permission.MANAGE_MODELS)
def discard(model: str, number: int) -> Any:
    with unit_of_work():
        service.discard_draft(version=queries.find_version(model, number), actor=signed_in_user())
    flash(_("The draft is discarded; it stays in the history."), "success")
    return redirect(url_for(".show", model=model))


@value_models.post(f"/value-models/{MODEL}/versions/<int:number>/return")
@requires(Permission.MANAGE_MODELS)
def return_to(model: str, number: int) -> Any:
    try:
        with unit_of_work():
            draft = service.return_to(version=queries.find_version(model, number), actor=signed_in_user())
    except AppError as refusal:
        flash(str(refusal), "error")
        return redirect(url_for(".version", model=model, number=number))
    flash(_("This draft is as version %(number)s was. Put it in force to go back.", number=number), "success")
    return redirect(url_for(".version", model=model, number=draft.number))
