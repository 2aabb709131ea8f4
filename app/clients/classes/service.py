"""Verbs on value models: drafts, putting a version in force, going back, and overriding one client's class."""

from datetime import date, timedelta
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.audit.service import record
from app.clients.classes.computing import classify, ensure_versions
from app.clients.classes.models import ClassOverride, ModelVersion
from app.clients.classes.parameters import Parameters
from app.clients.classes.parsing import dump_parameters, parse_parameters
from app.clients.classes.queries import class_choices
from app.clients.models import Client
from app.core import clock
from app.core.errors import AppError, Conflict
from app.core.extensions import db
from app.core.jobs import enqueue
from app.core.permissions import Actor
from app.core.queues import AUDIENCE

COMPUTE = "clients.compute_classes"
LONGEST_OVERRIDE = 366  # days
NEXT = {
    "draft": {"scheduled", "active", "retired"},
    "scheduled": {"draft", "active", "retired"},
    "active": {"retired"},
    "retired": set[str](),
}


class NotADraft(Conflict):
    message = _l("This version is no longer a draft. Reload the page.")


class ActivatedMeanwhile(Conflict):
    message = _l("Somebody else has put another version in force meanwhile. Look at it before you go on.")


class BadDate(AppError):
    message = _l("Choose a day after today.")


class NoSuchClass(AppError):
    message = _l("Choose one of the classes of this model.")


class SuitabilityStands(AppError):
    message = _l("Suitability cannot be overridden.")
    status = 403


class ReasonMissing(AppError):
    message = _l("Please give a reason; it is kept in the audit trail.")


class BadExpiry(AppError):
    message = _l("An override ends on a day after today, within a year.")


# ---- Versions ----


def save_draft(
    *,
    model: str,
    parameters: Parameters,
    note: str | None = None,
    draft: ModelVersion | None = None,
    revision: int | None = None,
    actor: Actor | None,
) -> ModelVersion:
    """A new draft, or a change of `draft`, of which the person saw `revision`. Raises NotADraft, Conflict."""
    note = (note or "").replace("\x00", "").strip()[:500] or None
    values = dump_parameters(parameters)
    if draft is not None:
        return _change_draft(draft, values, note, revision, actor)
    ensure_versions()
    db.session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"model {model}"})
    number = db.session.scalar(select(func.max(ModelVersion.number)).where(ModelVersion.model == model)) or 0
    version = ModelVersion(
        model=model,
        number=number + 1,
        state="draft",
        parameters=values,
        note=note,
        created_by_id=actor.id if actor else None,
    )
    db.session.add(version)
    db.session.flush()
    _note("create", version, actor)
    return version


def _change_draft(
    draft: ModelVersion, values: dict[str, Any], note: str | None, revision: int | None, actor: Actor | None
) -> ModelVersion:
    db.session.refresh(draft, with_for_update=True)
    if draft.state != "draft":
        raise NotADraft
    if revision is not None and revision != draft.revision:
        raise Conflict
    if (draft.parameters, draft.note) != (values, note):
        draft.parameters, draft.note, draft.revision = values, note, draft.revision + 1
        _note("edit", draft, actor)
    return draft


def activate_version(*, version: ModelVersion, seen: int | None, actor: Actor | None) -> None:
    """Put a version in force and have the classes computed. `seen` is the id of the one the person saw in force.

    Raises ActivatedMeanwhile where that is no longer so, NotADraft where the version is spent.
    """
    _lift(version, {"draft", "scheduled"}, seen=seen, actor=actor)
    enqueue(COMPUTE, queue=AUDIENCE)


def activate_due() -> int:
    """Put the versions in force whose day has come, the earliest first. Returns how many."""
    due = db.session.scalars(
        select(ModelVersion)
        .where(ModelVersion.state == "scheduled", ModelVersion.effective_on <= clock.today())
        .order_by(ModelVersion.effective_on, ModelVersion.id)
    ).all()
    for version in due:
        seen = db.session.scalar(
            select(ModelVersion.id).where(ModelVersion.model == version.model, ModelVersion.state == "active")
        )
        _lift(version, {"scheduled"}, seen=seen, actor=None)
    if due:
        enqueue(COMPUTE, queue=AUDIENCE)
    return len(due)


def _lift(version: ModelVersion, states: set[str], *, seen: int | None, actor: Actor | None) -> None:
    """Compare-and-set: the one seen in force steps down, this one steps up; neither without the other."""
    now = clock.now()
    if seen is not None:
        stepped_down = db.session.execute(
            update(ModelVersion)
            .where(ModelVersion.id == seen, ModelVersion.model == version.model, ModelVersion.state == "active")
            .values(state="retired", retired_at=now)
            .execution_options(synchronize_session=False)
        )
        if stepped_down.rowcount != 1:  # type: ignore[attr-defined]
            raise ActivatedMeanwhile
    elif db.session.scalar(
        select(ModelVersion.id).where(ModelVersion.model == version.model, ModelVersion.state == "active")
    ):
        raise ActivatedMeanwhile
    stepped_up = db.session.execute(
        update(ModelVersion)
        .where(ModelVersion.id == version.id, ModelVersion.state.in_(states))
        .values(state="active", activated_at=now, activated_by_id=actor.id if actor else None)
        .execution_options(synchronize_session=False)
    )
    if stepped_up.rowcount != 1:  # type: ignore[attr-defined]
        raise NotADraft
    db.session.expire_all()
    _note("activate", version, actor)


def schedule_version(*, version: ModelVersion, on: date, actor: Actor | None) -> None:
    """A draft (or scheduled version) goes in force on a day after today. Raises BadDate, NotADraft."""
    if not clock.today() < on <= clock.today() + timedelta(days=3 * 366):
        raise BadDate
    _step(version, {"draft", "scheduled"}, "scheduled", on)
    _note("schedule", version, actor, effective_on=[None, on.isoformat()])


def unschedule_version(*, version: ModelVersion, actor: Actor | None) -> None:
    """A scheduled version is a draft again."""
    _step(version, {"scheduled"}, "draft", None)
    _note("unschedule", version, actor)


def discard_draft(*, version: ModelVersion, actor: Actor | None) -> None:
    """A draft that is not to come in force; it stays in the history."""
    _step(version, {"draft", "scheduled"}, "retired", None)
    _note("discard", version, actor)


def _step(version: ModelVersion, states: set[str], state: str, effective_on: date | None) -> None:
    db.session.refresh(version, with_for_update=True)
    if version.state not in states or (version.state != state and state not in NEXT[version.state]):
        raise NotADraft
    version.state, version.effective_on = state, effective_on
    db.session.flush()


def return_to(*, version: ModelVersion, actor: Actor | None) -> ModelVersion:
    """A new draft with the parameters of an earlier version: the history goes forward only."""
    return save_draft(
        model=version.model,
        parameters=parse_parameters(version.model, version.parameters),
        note=_("As version %(number)s", number=version.number),
        actor=actor,
    )


def _note(verb: str, version: ModelVersion, actor: Actor | None, **changes: Any) -> None:
    record(
        actor=actor,
        action=f"value_model.{verb}",
        subject="value_model",
        subject_id=version.id,
        changes={"model": [None, version.model], "version": [None, version.number]} | changes,
    )


# ---- Overrides ----


def override_class(*, client: Client, model: str, class_code: str, reason: str, expires_on: date, actor: Actor) -> None:
    """A person's decision stands above the model until the day it expires, and counts at once.

    Raises SuitabilityStands, NoSuchClass, ReasonMissing or BadExpiry.
    """
    if model == "suitability":
        raise SuitabilityStands
    if class_code not in dict(class_choices(model)):
        raise NoSuchClass
    reason = reason.replace("\x00", "").strip()[:500]
    if not reason:
        raise ReasonMissing
    if not clock.today() < expires_on <= clock.today() + timedelta(days=LONGEST_OVERRIDE):
        raise BadExpiry
    values = {"class_code": class_code, "reason": reason, "expires_on": expires_on, "set_by_id": actor.id}
    db.session.execute(
        upsert(ClassOverride)
        .values(client_id=client.id, model=model, set_at=clock.now(), **values)
        .on_conflict_do_update(index_elements=["client_id", "model"], set_=values | {"set_at": clock.now()})
    )
    record(
        actor=actor,
        action="client.override_class",
        subject="client",
        subject_id=client.id,
        changes={"model": [None, model], "class": [None, class_code], "expires_on": [None, expires_on.isoformat()]},
        reason=reason,
    )
    classify(client_ids=[client.id])


def end_override(*, client: Client, model: str, actor: Actor) -> None:
    """The model counts again, at once."""
    found = db.session.get(ClassOverride, (client.id, model))
    if found is None:
        return
    db.session.delete(found)
    db.session.flush()
    record(
        actor=actor,
        action="client.end_override",
        subject="client",
        subject_id=client.id,
        changes={"model": [None, model], "class": [found.class_code, None]},
    )
    classify(client_ids=[client.id])
