"""Verbs on duplicates: search, dismiss, merge."""

from collections.abc import Mapping
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, func, literal, or_, select, text, update

from app.audit.service import record
from app.clients.duplicates.models import ClientMerge, DuplicatePair
from app.clients.duplicates.queries import FIND
from app.clients.duplicates.tables import merged_facts, move_rows
from app.clients.editing.fields import Fact
from app.clients.editing.service import note_changes, version_of
from app.clients.models import Client
from app.clients.ownership.recording import record_ownership_changes
from app.clients.relations.models import HouseholdMember
from app.clients.relations.service import settle_household
from app.clients.service import CONSENT_COLUMNS, ReasonMissing
from app.core import guards
from app.core.clock import now
from app.core.errors import AppError, Conflict
from app.core.extensions import db
from app.core.jobs import Job, enqueue
from app.core.permissions import Permission, require
from app.core.queues import AUDIENCE
from app.users.models import User

_OWNERS = ("adviser_id", "second_adviser_id")
MERGE = "merge clients"  # what `core.guards` is asked, for both records


class SameClient(AppError):
    message = _l("A client cannot be merged with themselves.")


class MergedAlready(Conflict):
    message = _l("One of the two records has been merged already.")


class ChangedMeanwhile(Conflict):
    message = _l("One of the two records has been changed in the meantime. Compare them again.")


def order_search(*, actor: User) -> Job:
    """Have a worker look through the whole book; one search at a time."""
    require(actor, Permission.MERGE_CLIENTS)
    waiting = db.session.scalar(
        select(Job).where(Job.name == FIND, Job.state.in_(("due", "running"))).order_by(Job.id.desc()).limit(1)
    )
    return waiting or enqueue(FIND, queue=AUDIENCE)


def dismiss(*, one: Client, other: Client, reason: str, actor: User) -> None:
    """These are not the same person: remembered, whatever later searches find. Raises ReasonMissing."""
    require(actor, Permission.MERGE_CLIENTS)
    if not reason.strip():
        raise ReasonMissing
    ids = (min(one.id, other.id), max(one.id, other.id))
    pair = db.session.get(DuplicatePair, ids, with_for_update=True)
    if pair is None:
        pair = DuplicatePair(first_id=ids[0], second_id=ids[1], signs=[], strength=0)
        db.session.add(pair)
    pair.state, pair.reason, pair.decided_by_id, pair.decided_at = "dismissed", reason.strip(), actor.id, now()
    record(
        actor=actor,
        action="client.dismiss_duplicate",
        subject="client",
        subject_id=one.id,
        changes={"duplicate_of": [other.number, None]},
        reason=reason.strip(),
    )


def merge_clients(
    *, survivor: Client, loser: Client, take: Mapping[str, str], seen: tuple[str, str], actor: User
) -> ClientMerge:
    """Make two records of one person one, in the current transaction.

    `take` names for a field whose value stays: "survivor" or "loser"; without it the survivor's, and where that is
    empty the loser's. `seen` are `version_of` survivor and loser as the person compared them. Consents combine and an
    opt-out wins; flags and tags add up, total assets too; accounts with all that lies on them go over. The loser's row
    keeps its facts and points to the survivor: its number still leads there.

    Raises SameClient, MergedAlready, ChangedMeanwhile, or Conflict where a feature refuses (guard "merge clients").
    """
    require(actor, Permission.MERGE_CLIENTS)
    if survivor.id == loser.id:
        raise SameClient
    _lock(survivor, loser)
    if survivor.merged_into_id or loser.merged_into_id:
        raise MergedAlready
    if (version_of(survivor), version_of(loser)) != seen:
        raise ChangedMeanwhile
    guards.check(MERGE, survivor.id)
    guards.check(MERGE, loser.id)
    before = _take_facts(survivor, loser, take)
    owners: dict[str, int | None] = {key: before.pop(key) for key in _OWNERS if key in before}
    _combine(survivor, loser)
    facts = {fact.key: fact for fact in merged_facts()}
    household_id = db.session.scalar(select(HouseholdMember.household_id).where(HouseholdMember.client_id == loser.id))
    db.session.flush()
    moved = move_rows(loser.id, survivor.id)
    if household_id is not None:
        settle_household(household_id)
    _keep_owner_history(survivor, owners, actor)
    _follow(survivor, loser, actor)
    loser.merged_into_id = survivor.id
    loser.updated_at = now()
    note_changes(client=survivor, before=before, facts=facts, actor_id=actor.id, source="merge")
    merge = ClientMerge(loser_id=loser.id, survivor_id=survivor.id, actor_id=actor.id, moved=moved)
    db.session.add(merge)
    record(
        actor=actor,
        action="client.merge",
        subject="client",
        subject_id=survivor.id,
        changes={"merged": [loser.number, survivor.number], **moved, **dict.fromkeys(before, "changed")},
    )
    db.session.flush()
    db.session.expire_all()
    return merge


def _lock(survivor: Client, loser: Client) -> None:
    """Both rows, always in the same order: two people merging the same two cannot wait for each other."""
    for client in sorted((survivor, loser), key=lambda one: one.id):
        db.session.refresh(client, with_for_update={"of": Client})


def _take_facts(survivor: Client, loser: Client, take: Mapping[str, str]) -> dict[str, Any]:
    """Set the facts that the loser's record has right. Returns what they were before, by key."""
    before: dict[str, Any] = {}
    for fact in merged_facts():
        mine, theirs = getattr(survivor, fact.column), getattr(loser, fact.column)
        chosen = take.get(fact.key) or ("loser" if _empty(mine) else "survivor")
        if chosen != "loser" or mine == theirs or (_empty(theirs) and (_empty(mine) or _is_needed(fact))):
            continue
        before[fact.key] = mine
        setattr(survivor, fact.column, theirs)
        if fact.key in ("email", "mobile"):
            setattr(survivor, f"{fact.key}_problem", getattr(loser, f"{fact.key}_problem"))
    if survivor.second_adviser_id is not None and survivor.second_adviser_id == survivor.adviser_id:
        before.setdefault("second_adviser_id", survivor.second_adviser_id)
        survivor.second_adviser_id = None
    return before


def _empty(value: Any) -> bool:
    return value is None or value in ("", [])


def _is_needed(fact: Fact) -> bool:
    return not Client.__table__.c[fact.column].nullable


def _combine(survivor: Client, loser: Client) -> None:
    """What adds up: an opt-out of either record holds, consent only where neither opted out."""
    for column in CONSENT_COLUMNS.values():
        wills = {getattr(survivor, column.key), getattr(loser, column.key)}
        setattr(survivor, column.key, False if False in wills else True if True in wills else None)
    survivor.personalisation_refused = survivor.personalisation_refused or loser.personalisation_refused
    survivor.flags = list(dict.fromkeys([*survivor.flags, *loser.flags]))
    survivor.tags = list(dict.fromkeys([*survivor.tags, *loser.tags]))
    if survivor.total_assets is not None and loser.total_assets is not None:
        survivor.total_assets += loser.total_assets
    elif survivor.total_assets is None:
        survivor.total_assets = loser.total_assets
    if survivor.referred_by_id is None:
        survivor.referred_by_id = loser.referred_by_id
    if survivor.referred_by_id in (survivor.id, loser.id):
        survivor.referred_by_id = None


def _keep_owner_history(survivor: Client, owners: Mapping[str, int | None], actor: User) -> None:
    """A new owner taken from the merged record begins a stretch of the ownership history."""
    for column, role in zip(_OWNERS, ("owner", "second"), strict=True):
        if column in owners and owners[column] != getattr(survivor, column):
            was, becomes = owners[column], getattr(survivor, column)
            changes = select(Client.id.label("client_id"), _id(was).label("was"), _id(becomes).label("becomes"))
            record_ownership_changes(
                changes=changes.where(Client.id == survivor.id), role=role, actor_id=actor.id, reason=None
            )


def _id(value: int | None) -> Any:
    return literal(value, Client.id.type)


def _follow(survivor: Client, loser: Client, actor: User) -> None:
    """Those who point to the loser point to the survivor: records merged before, the referred, known pairs."""
    for column in (Client.merged_into_id, Client.referred_by_id):
        db.session.execute(
            update(Client)
            .where(column == loser.id, Client.id != survivor.id)
            .values({column: survivor.id})
            .execution_options(synchronize_session=False)
        )
    db.session.execute(
        update(Client)
        .where(Client.id == survivor.id, Client.referred_by_id == loser.id)
        .values(referred_by_id=None)
        .execution_options(synchronize_session=False)
    )
    first, second = sorted((survivor.id, loser.id))
    db.session.execute(
        update(DuplicatePair)
        .where(DuplicatePair.first_id == first, DuplicatePair.second_id == second)
        .values(state="merged", decided_by_id=actor.id, decided_at=func.now())
        .execution_options(synchronize_session=False)
    )
    # "Not the same person as the loser" holds for the survivor too; what was only suspected is searched anew.
    db.session.execute(
        text(
            """
            INSERT INTO duplicate_pair (first_id, second_id, signs, strength, state, decided_by_id, decided_at, reason)
            SELECT least(other.id, :survivor), greatest(other.id, :survivor), signs, strength, state, decided_by_id,
                   decided_at, reason
            FROM duplicate_pair AS pair
            CROSS JOIN LATERAL (SELECT pair.first_id + pair.second_id - :loser AS id) AS other
            WHERE pair.state = 'dismissed' AND :loser IN (pair.first_id, pair.second_id) AND other.id <> :survivor
            ON CONFLICT (first_id, second_id) DO UPDATE SET
                state = 'dismissed', decided_by_id = excluded.decided_by_id, decided_at = excluded.decided_at,
                reason = excluded.reason
            WHERE duplicate_pair.state = 'open'
            """
        ),
        {"loser": loser.id, "survivor": survivor.id},
    )
    db.session.execute(
        delete(DuplicatePair)
        .where(
            or_(DuplicatePair.first_id == loser.id, DuplicatePair.second_id == loser.id),
            DuplicatePair.state == "open",
        )
        .execution_options(synchronize_session=False)
    )
