"""Verbs on segments."""

from collections.abc import Sequence
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from pyroaring import BitMap64
from sqlalchemy import Text, cast, func, select
from sqlalchemy.exc import IntegrityError

from app.audiences.fields import load_catalogue
from app.audiences.lists.queries import hold_lists
from app.audiences.models import Segment, Snapshot
from app.audiences.overlap import combine, combined_sentence
from app.audiences.queries import count_whole_book, segments_around, segments_with, time_limit
from app.audiences.rules import RuleJson, dump_rule, lists_in, parse_rule
from app.audiences.sentence import sentence
from app.audiences.snapshots import exclusions_of, found_with_exclusions, freeze
from app.audit.service import record
from app.clients.models import CustomField
from app.clients.queries import visible_clients
from app.core import guards
from app.core.clock import now
from app.core.errors import AppError, Conflict
from app.core.extensions import db
from app.core.permissions import Actor
from app.users.models import User

MAX_NAME = 100
FREEZE_LIMIT_MS = 20_000
ARCHIVE = "archive segment"  # what `core.guards` is asked; campaigns answer
EDIT = "edit segment"


class NameMissing(AppError):
    message = _l("Give the segment a name.")


class NameTooLong(AppError):
    message = _l("A name may have %(count)s characters at most.", count=MAX_NAME)


class NameTaken(Conflict):
    message = _l("Another segment has this name. Choose a different one.")


class ChangedMeanwhile(Conflict):
    message = _l("Somebody else has changed this segment. Reload the page and make your change again.")


class NothingChosen(AppError):
    message = _l("Choose at least one segment or frozen audience.")
    status = 422


class TakenIn(Conflict):
    def __init__(self, name: str) -> None:
        super().__init__(_l("The segment “%(name)s” takes this one in. Change that one first.", name=name))


class Archived(Conflict):
    message = _l("This segment is archived. Restore it first.")


def create_segment(*, name: str, rule: RuleJson, description: str | None = None, actor: Actor | None = None) -> Segment:
    """A new segment. Raises RuleError, NameMissing, NameTooLong or NameTaken."""
    segment = Segment(
        name=_checked_name(name),
        description=_checked_description(description),
        rule=_checked_rule(rule),
        version=1,
        owner_id=actor.id if actor else None,
    )
    db.session.add(segment)
    _flush()
    record(actor=actor, action="segment.created", subject="segment", subject_id=segment.id, changes=_facts(segment))
    return segment


def edit_segment(
    *,
    segment: Segment,
    name: str,
    rule: RuleJson,
    description: str | None = None,
    version: int | None = None,
    actor: Actor | None = None,
) -> None:
    """Change a segment; a frozen audience stays as it was. `version` is the one the person started from.

    Raises what `create_segment` does, ChangedMeanwhile, Archived, or a registered refusal of "edit segment"
    where the rule changes.
    """
    _lock(segment)
    if segment.archived_at is not None:
        raise Archived
    if version is not None and version != segment.version:
        raise ChangedMeanwhile
    before, new_rule = _facts(segment), _checked_rule(rule, within=segment)
    if new_rule != segment.rule:
        for changed_id in (segment.id, *segments_around(segment.id)):
            guards.check(EDIT, changed_id)
        segment.last_count = segment.last_counted_at = None
    segment.name, segment.description, segment.rule = _checked_name(name), _checked_description(description), new_rule
    changes = {key: [before[key][1], after[1]] for key, after in _facts(segment).items() if before[key] != after}
    if not changes:
        return
    segment.version += 1
    segment.updated_at = now()
    _flush()
    record(actor=actor, action="segment.edited", subject="segment", subject_id=segment.id, changes=changes)


def duplicate_segment(*, segment: Segment, actor: Actor | None) -> Segment:
    """A copy under the next free name: "Savers (copy)", "Savers (copy 2)"."""
    copy = create_segment(
        name=_free_name(segment.name), rule=segment.rule, description=segment.description, actor=actor
    )
    copy.last_count, copy.last_counted_at = segment.last_count, segment.last_counted_at
    return copy


def archive_segment(*, segment: Segment, actor: Actor | None) -> None:
    """Take a segment out of use. Raises TakenIn, or Conflict with the sentence of whoever still needs it."""
    _lock(segment)
    if segment.archived_at is not None:
        return
    guards.check(ARCHIVE, segment.id)
    around = segments_with(segments_around(segment.id))
    if around:
        raise TakenIn(around[0].name)
    segment.archived_at = segment.updated_at = now()
    record(actor=actor, action="segment.archived", subject="segment", subject_id=segment.id)


def restore_segment(*, segment: Segment, actor: Actor | None) -> None:
    """Put an archived segment back into use. Raises NameTaken where its name has a new owner."""
    _lock(segment)
    if segment.archived_at is None:
        return
    segment.archived_at, segment.updated_at = None, now()
    _flush()
    record(actor=actor, action="segment.restored", subject="segment", subject_id=segment.id)


def recount(*, segment: Segment) -> int:
    """Count the segment in the whole book and keep the number. Raises RuleError or TooSlow."""
    count = count_whole_book(parse_rule(segment.rule, load_catalogue()))
    segment.last_count, segment.last_counted_at = count, now()
    return count


def freeze_segment(*, segment: Segment, actor: User | None) -> Snapshot:
    """Keep who is in a segment now, among the clients the person may see, and why marketing could not reach some.

    Raises RuleError or TooSlow.
    """
    catalogue = load_catalogue()
    rule = parse_rule(segment.rule, catalogue)
    with time_limit(FREEZE_LIMIT_MS):
        ids, exclusions = found_with_exclusions(rule, visible=visible_clients(actor))
    snapshot = freeze(
        name=segment.name,
        ids=ids,
        segment=segment,
        rule=segment.rule,
        sentence=sentence(rule, catalogue),
        exclusions=exclusions,
        actor=actor,
    )
    _record_freeze(snapshot, actor)
    return snapshot


def freeze_combination(
    *, sets: Sequence[BitMap64], names: Sequence[str], way: str, name: str, actor: User | None
) -> Snapshot:
    """Keep what several sets give together (see `overlap.WAYS`), and why marketing could not reach some of them.

    Raises NameMissing, NameTooLong, NothingChosen or TooSlow.
    """
    if not sets:
        raise NothingChosen
    checked, ids = _checked_name(name), combine(sets, way)
    with time_limit(FREEZE_LIMIT_MS):
        exclusions = exclusions_of(ids)
    words = combined_sentence(names, way)
    snapshot = freeze(name=checked, ids=ids, sentence=words, exclusions=exclusions, actor=actor)
    _record_freeze(snapshot, actor)
    return snapshot


def _record_freeze(snapshot: Snapshot, actor: Actor | None) -> None:
    record(
        actor=actor,
        action="snapshot.freeze",
        subject="snapshot",
        subject_id=snapshot.id,
        changes={"clients": [None, snapshot.size]},
    )


def refuse_field_change(field_id: int) -> str | None:
    """Against archiving one of the firm's fields, or taking away its choices: a segment asks about it."""
    key = db.session.scalar(select(CustomField.key).where(CustomField.id == field_id))
    asks = func.strpos(cast(Segment.rule, Text), f'"custom.{key}"') > 0
    name = db.session.scalar(select(Segment.name).where(Segment.archived_at.is_(None), asks).limit(1))
    if name is None:
        return None
    return str(_("The segment “%(name)s” asks about this field. Change or archive the segment first.", name=name))


def _lock(segment: Segment) -> None:
    db.session.refresh(segment, with_for_update={"of": Segment})


def _facts(segment: Segment) -> dict[str, list[Any]]:
    """For the audit trail of a new segment: each field from nothing to what it is."""
    return {"name": [None, segment.name], "description": [None, segment.description], "rule": [None, segment.rule]}


def _checked_name(name: str) -> str:
    cleaned = " ".join(name.split())
    if not cleaned:
        raise NameMissing
    if len(cleaned) > MAX_NAME:
        raise NameTooLong
    return cleaned


def _checked_description(description: str | None) -> str | None:
    return (description or "").strip() or None


def _checked_rule(rule: RuleJson, *, within: Segment | None = None) -> dict[str, Any]:
    checked = dump_rule(parse_rule(rule, load_catalogue(), within=within))
    hold_lists(lists_in(checked))
    return checked


def _free_name(name: str) -> str:
    stem = name[: MAX_NAME - 12].rstrip()
    taken = set(
        db.session.scalars(
            select(func.lower(Segment.name)).where(
                Segment.archived_at.is_(None), Segment.name.istartswith(stem, autoescape=True)
            )
        )
    )
    number = 1
    while True:
        wanted = _("%(name)s (copy)", name=stem) if number == 1 else _("%(name)s (copy %(n)s)", name=stem, n=number)
        if wanted.lower() not in taken:
            return str(wanted)
        number += 1


def _flush() -> None:
    try:
        db.session.flush()
    except IntegrityError as error:
        if "uq_segment_name" not in str(error.orig):
            raise
        raise NameTaken from None
