"""Verbs of the administration of the firm's own fields, beside `define_field` in `service.py`."""

from collections.abc import Sequence
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, Text, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from app.audit.service import record
from app.clients.models import EDITORS, Client, CustomField
from app.core import guards
from app.core.clock import now
from app.core.errors import AppError, Conflict
from app.core.extensions import db
from app.core.jobs import Lease, enqueue
from app.core.permissions import Actor, Permission, require
from app.core.queues import AUDIENCE
from app.core.unit_of_work import unit_of_work

ARCHIVE = "archive client field"  # what `core.guards` is asked; segments answer
NARROW = "take a choice from a client field"
FREE = "clients.free_field"
MAX_CHOICES = 500
MAX_CHOICE = 100
FREED_AT_ONCE = 20_000


class ChoiceInUse(Conflict):
    message = _l("A choice that clients have cannot be taken away.")


class TooManyChoices(AppError):
    message = _l("A field has %(count)s choices at most.", count=MAX_CHOICES)


class ChoiceTooLong(AppError):
    message = _l("A choice has %(count)s characters at most, without “;” and “|”.", count=MAX_CHOICE)


class LabelMissing(AppError):
    message = _l("Please enter a name.")


class NotArchived(Conflict):
    message = _l("Archive the field first.")


class BeingEmptied(Conflict):
    message = _l("The field is being emptied and cannot be brought back.")


def edit_field(
    *,
    field: CustomField,
    label: str,
    description: str,
    edited_by: str,
    choices: Sequence[str] | None,
    actor: Actor,
) -> None:
    """Change what people read of a field, who may fill it, and its choices in their order (None: as they are).

    The key stays: rules and templates use it. Raises ChoiceInUse where a choice that goes is a client's, or a
    registered refusal of "take a choice from a client field".
    """
    db.session.refresh(field, with_for_update=True)
    if not label.strip():
        raise LabelMissing
    if edited_by not in EDITORS:
        raise ValueError(edited_by)
    after: dict[str, Any] = {
        "label": label.strip(),
        "description": description.strip() or None,
        "edited_by": edited_by,
    }
    if choices is not None and field.type in ("choice", "multichoice"):
        after["choices"] = checked_choices(field, choices)
    changes = {name: [getattr(field, name), value] for name, value in after.items() if getattr(field, name) != value}
    for name, value in after.items():
        setattr(field, name, value)
    if changes:
        record(actor=actor, action="field.edit", subject="custom_field", subject_id=field.id, changes=changes)


def checked_choices(field: CustomField, choices: Sequence[str]) -> list[str] | None:
    """The choices as they are kept, each once. Raises TooManyChoices, ChoiceTooLong, ChoiceInUse."""
    clean = list(dict.fromkeys(" ".join(choice.replace("\x00", "").split()) for choice in choices if choice.strip()))
    if len(clean) > MAX_CHOICES:
        raise TooManyChoices
    if any(len(choice) > MAX_CHOICE or set(choice) & set(";|") for choice in clean):
        raise ChoiceTooLong
    gone = [choice for choice in field.choices or () if choice not in clean]
    if gone:
        guards.check(NARROW, field.id)
        for choice, count in uses_of_choices(field, gone).items():
            raise ChoiceInUse(
                _("%(count)s clients have “%(choice)s”: it cannot be taken away.", count=count, choice=choice)
            )
    return clean or None


def uses_of_choices(field: CustomField, choices: Sequence[str]) -> dict[str, int]:
    """How many clients have each of these choices; those nobody has are left out."""
    column = Client.__table__.c[field.slot]
    wanted = literal(list(choices), ARRAY(Text))
    if field.type == "multichoice":
        each = select(func.unnest(column).label("one")).where(column.overlap(wanted)).subquery()
        query = select(each.c.one, func.count()).where(each.c.one == func.any(wanted)).group_by(each.c.one)
    else:
        query = select(column, func.count()).where(column == func.any(wanted)).group_by(column)
    return dict(iter(db.session.execute(query)))


def move_field(*, field: CustomField, up: bool, actor: Actor) -> None:
    """Change places with the field before (or after) it in the firm's order."""
    listed = list(
        db.session.scalars(
            select(CustomField)
            .where(CustomField.archived_at.is_(None))
            .order_by(CustomField.position, CustomField.id)
            .with_for_update()
        )
    )
    place = listed.index(field) if field in listed else -1
    other = place - 1 if up else place + 1
    if place < 0 or not 0 <= other < len(listed):
        return
    listed[place], listed[other] = listed[other], listed[place]
    for position, one in enumerate(listed, start=1):
        one.position = position
    record(actor=actor, action="field.move", subject="custom_field", subject_id=field.id)


def archive_field(*, field: CustomField, actor: Actor) -> None:
    """Take a field out of sight; its values are kept. Raises Conflict where something still uses it."""
    db.session.refresh(field, with_for_update=True)
    if field.archived_at is not None:
        return
    guards.check(ARCHIVE, field.id)
    field.archived_at = now()
    record(actor=actor, action="field.archive", subject="custom_field", subject_id=field.id)


def restore_field(*, field: CustomField, actor: Actor) -> None:
    """Bring an archived field back with its values. Raises BeingEmptied."""
    db.session.refresh(field, with_for_update=True)
    if field.freeing_at is not None:
        raise BeingEmptied
    if field.archived_at is not None:
        field.archived_at = None
        record(actor=actor, action="field.restore", subject="custom_field", subject_id=field.id)


def order_freeing(*, field: CustomField, actor: Actor) -> None:
    """Have a worker empty an archived field and give its column back. Raises NotArchived."""
    require(actor, Permission.ADMINISTER)
    db.session.refresh(field, with_for_update=True)
    if field.archived_at is None:
        raise NotArchived
    guards.check(ARCHIVE, field.id)
    if field.freeing_at is not None:
        return
    field.freeing_at = now()
    record(
        actor=actor,
        action="field.delete",
        subject="custom_field",
        subject_id=field.id,
        changes={"key": [field.key, None]},
    )
    enqueue(FREE, queue=AUDIENCE, field_id=field.id)


def free_field(*, lease: Lease, field_id: int) -> None:
    """The job: empty the column a stretch of clients at a time, then forget the field. May run twice."""
    field = db.session.get(CustomField, field_id)
    if field is None or field.freeing_at is None:
        return
    column, done = Client.__table__.c[field.slot], 0
    after: int | None = 0
    db.session.rollback()
    while after is not None:
        with unit_of_work():
            lease.renew(done=done)
            after, emptied = _empty_some(column, after)
            done += emptied
    with unit_of_work():
        lease.renew(done=done, total=done)
        db.session.execute(delete(CustomField).where(CustomField.id == field_id, CustomField.freeing_at.is_not(None)))


def _empty_some(column: ColumnElement[Any], after: int) -> tuple[int | None, int]:
    """Empty the column of the next clients that have a value. Returns the last of them, None at the end."""
    some = select(Client.id).where(Client.id > after, column.is_not(None)).order_by(Client.id).limit(FREED_AT_ONCE)
    ids = db.session.scalars(
        update(Client)
        .where(Client.id.in_(some))
        .values({column: None})
        .returning(Client.id)
        .execution_options(synchronize_session=False)
    ).all()
    return (max(ids) if ids else None), len(ids)
