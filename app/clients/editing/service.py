"""Verbs on the facts of a client: create, edit, correct, flag. Every change is kept field by field."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError

from app.audit.service import record
from app.clients.editing.fields import FACTS, Fact, may_change, own_fact, stored_words, waits
from app.clients.editing.models import ClientChange, ClientCorrection
from app.clients.models import EXCLUDING_FLAGS, Client
from app.clients.ownership.models import Ownership
from app.clients.queries import custom_fields
from app.clients.service import ReasonMissing
from app.core.clock import now
from app.core.errors import AppError, Conflict, Forbidden
from app.core.extensions import db
from app.core.permissions import Permission, Role, allows, require
from app.users.models import Branch, User
from app.users.queries import contains

OPEN_TO_ADVISERS = ("lead", "prospect")


class NumberTaken(Conflict):
    message = _l("Another client has this number.")


class ChangedMeanwhile(Conflict):
    message = _l("Somebody else has changed this client. Reload the page and make your change again.")


class DecidedAlready(Conflict):
    message = _l("This correction has been decided already.")


class OutOfDate(Conflict):
    message = _l("The client has other contact data by now, so this correction is out of date. Refuse it.")


class OwnCorrection(Forbidden):
    message = _l("A correction is confirmed by somebody else than who proposed it.")


class NothingKnown(AppError):
    message = _l("Enter a name, an e-mail address or a mobile number at least.")


class LeadsOnly(Forbidden):
    message = _l("Advisers add leads and prospects; a client comes from the account system.")


@dataclass(frozen=True, slots=True)
class Edited:
    """What an edit did: fields changed at once, and fields whose correction waits for confirmation."""

    changed: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


def facts_now() -> dict[str, Fact]:
    """Every fact that may be typed in, the firm's own fields among them, by key."""
    return {fact.key: fact for fact in (*FACTS, *map(own_fact, custom_fields()))}


def create_client(*, number: str | None, values: Mapping[str, Any], actor: User) -> Client:
    """Add a client or lead by hand. `values` maps keys of `facts_now` to parsed values; unknown ones are left out.

    Without a number a lead gets one of its own ("L00001234"). An adviser owns what they add, in their own branch.
    Raises NothingKnown, LeadsOnly, NumberTaken, Forbidden.
    """
    require(actor, Permission.EDIT_CLIENTS)
    facts = facts_now()
    given = {key: value for key, value in values.items() if value not in (None, "", [])}
    if not {"name", "first_name", "last_name", "email", "mobile"} & set(given):
        raise NothingKnown
    advises_only = not allows(actor, Permission.CONFIRM_CLIENT_DATA)
    if advises_only and given.get("status", "lead") not in OPEN_TO_ADVISERS:
        raise LeadsOnly
    client = Client(number=number or _lead_number(), status="lead", branch_id=actor.branch_id, flags=[], tags=[])
    for key, value in given.items():
        # A first entry waits for nobody: there is nothing yet that it could spoil.
        if not may_change(facts[key], actor):
            raise Forbidden
        setattr(client, facts[key].column, value)
    _check_branch(client.branch_id, actor)
    _fill_name(client)
    if Role.ADVISER in actor.roles:
        client.adviser_id = actor.id
    db.session.add(client)
    _flush()
    if client.adviser_id is not None:
        db.session.add(Ownership(client_id=client.id, adviser_id=client.adviser_id, role="owner", by_id=actor.id))
    record(actor=actor, action="client.create", subject="client", subject_id=client.id, changes=_audited(facts, given))
    return client


def create_lead(
    *, name: str | None, email: str | None, mobile: str | None, source: str, branch_id: int, adviser_id: int | None
) -> Client:
    """Add somebody who said themselves how to reach them, in a form; nobody of the staff acts. `source` says which."""
    client = Client(
        number=_lead_number(),
        status="lead",
        branch_id=branch_id,
        adviser_id=adviser_id,
        name=name,
        email=email,
        mobile=mobile,
        source=source,
        flags=[],
        tags=[],
    )
    db.session.add(client)
    _flush()
    if adviser_id is not None:
        db.session.add(Ownership(client_id=client.id, adviser_id=adviser_id, role="owner", by_id=None))
    changes = {"source": [None, source]}
    record(actor=None, action="client.create", subject="client", subject_id=client.id, changes=changes)
    return client


def edit_client(*, client: Client, values: Mapping[str, Any], seen: str, actor: User) -> Edited:
    """Change facts of a client. `values` maps keys of `facts_now` to parsed values (None empties a field).

    `seen` is `version_of` the client as the person saw it. Contact data changed by who may not confirm it becomes a
    correction that waits. Raises ChangedMeanwhile, Forbidden, NumberTaken.
    """
    require(actor, Permission.EDIT_CLIENTS)
    db.session.refresh(client, with_for_update={"of": Client})
    if version_of(client) != seen:
        raise ChangedMeanwhile
    facts, edited = facts_now(), Edited()
    before: dict[str, Any] = {}
    for key, value in values.items():
        fact = facts[key]
        was = getattr(client, fact.column)
        if value == was or (value in (None, "", []) and was in (None, "", [])):
            continue
        if not may_change(fact, actor):
            raise Forbidden
        if waits(fact, actor):
            _propose(client=client, fact=fact, value=value, actor=actor)
            edited.waiting.append(key)
            continue
        if key == "branch_id":
            _check_branch(value, actor)
        before[key] = was
        _set(client, fact, value)
        edited.changed.append(key)
    if "status" in before and client.status not in OPEN_TO_ADVISERS:
        _only_managers_promote(actor, before["status"])
    if before:
        note_changes(client=client, before=before, facts=facts, actor_id=actor.id)
        record(
            actor=actor,
            action="client.edit",
            subject="client",
            subject_id=client.id,
            changes={key: _pair(facts[key], was, getattr(client, facts[key].column)) for key, was in before.items()},
        )
    return edited


def version_of(client: Client) -> str:
    """What tells whether somebody changed the client since a page was made."""
    return client.updated_at.isoformat()


def note_changes(
    *,
    client: Client,
    before: Mapping[str, Any],
    facts: Mapping[str, Fact],
    actor_id: int | None,
    source: str = "page",
    reason: str | None = None,
) -> None:
    """Keep what the fields were and what they are now, and mark the client as changed."""
    client.updated_at = now()
    db.session.flush()
    changes = {
        key: [stored_words(facts[key], was), stored_words(facts[key], getattr(client, facts[key].column))]
        for key, was in before.items()
    }
    if changes:
        change = ClientChange(client_id=client.id, actor_id=actor_id, changes=changes, source=source, reason=reason)
        db.session.add(change)


# ---- Corrections ----------------------------------------------------------------------------------------------------


def _propose(*, client: Client, fact: Fact, value: str | None, actor: User) -> None:
    _close_open(client.id, fact.key)
    db.session.add(
        ClientCorrection(
            client_id=client.id,
            field=fact.key,
            before=getattr(client, fact.column),
            after=value,
            proposed_by_id=actor.id,
        )
    )
    record(
        actor=actor,
        action="client.propose_correction",
        subject="client",
        subject_id=client.id,
        changes={fact.key: "changed"},
    )


def _close_open(client_id: int, key: str) -> None:
    db.session.execute(
        update(ClientCorrection)
        .where(ClientCorrection.client_id == client_id, ClientCorrection.field == key, ClientCorrection.state == "open")
        .values(state="superseded", decided_at=now())
        .execution_options(synchronize_session=False)
    )


def reveal_correction(*, correction: ClientCorrection, reason: str, actor: User) -> None:
    """Note that who decides a correction looks at both values in full. Raises ReasonMissing, DecidedAlready."""
    require(actor, Permission.CONFIRM_CLIENT_DATA)
    require(actor, Permission.REVEAL_CONTACT)
    reason = reason.replace("\x00", "").strip()
    if not reason:
        raise ReasonMissing
    if correction.state != "open":
        raise DecidedAlready
    record(
        actor=actor,
        action="client.reveal_contact",
        subject="client",
        subject_id=correction.client_id,
        changes={"correction": correction.field},
        reason=reason,
    )


def confirm_correction(*, correction: ClientCorrection, actor: User) -> None:
    """Take the proposed value over. Raises DecidedAlready, OutOfDate, OwnCorrection."""
    require(actor, Permission.CONFIRM_CLIENT_DATA)
    if correction.proposed_by_id == actor.id:
        raise OwnCorrection
    client = db.session.get_one(Client, correction.client_id, with_for_update=True, populate_existing=True)
    _decide(correction, "confirmed", None, actor)
    fact = facts_now()[correction.field]
    if getattr(client, fact.column) != correction.before:
        raise OutOfDate
    _set(client, fact, correction.after)
    note_changes(
        client=client,
        before={fact.key: correction.before},
        facts={fact.key: fact},
        actor_id=correction.proposed_by_id,
        source="correction",
    )
    record(
        actor=actor,
        action="client.confirm_correction",
        subject="client",
        subject_id=client.id,
        changes={fact.key: "changed"},
    )


def refuse_correction(*, correction: ClientCorrection, reason: str, actor: User) -> None:
    """Leave the client as they are. Raises ReasonMissing or DecidedAlready."""
    require(actor, Permission.CONFIRM_CLIENT_DATA)
    if not reason.strip():
        raise ReasonMissing
    _decide(correction, "refused", reason.strip(), actor)
    record(
        actor=actor,
        action="client.refuse_correction",
        subject="client",
        subject_id=correction.client_id,
        reason=reason.strip(),
    )


def _decide(correction: ClientCorrection, state: str, reason: str | None, actor: User) -> None:
    decided = db.session.execute(
        update(ClientCorrection)
        .where(ClientCorrection.id == correction.id, ClientCorrection.state == "open")
        .values(state=state, reason=reason, decided_by_id=actor.id, decided_at=now())
        .execution_options(synchronize_session=False)
    )
    if decided.rowcount != 1:  # type: ignore[attr-defined]
        raise DecidedAlready
    db.session.refresh(correction)


# ---- Flags ----------------------------------------------------------------------------------------------------------


def set_flag(*, client: Client, flag: str, on: bool, reason: str, actor: User) -> None:
    """Set or clear a flag that keeps the client out of marketing; clearing needs who may confirm client data.

    Raises ReasonMissing, Forbidden, ValueError for a flag that does not exist.
    """
    require(actor, Permission.EDIT_CLIENTS if on else Permission.CONFIRM_CLIENT_DATA)
    if flag not in EXCLUDING_FLAGS:
        raise ValueError(flag)
    if not reason.strip():
        raise ReasonMissing
    db.session.refresh(client, with_for_update={"of": Client})
    if (flag in client.flags) == on:
        return
    client.flags = [*client.flags, flag] if on else [one for one in client.flags if one != flag]
    client.updated_at = now()
    db.session.add(
        ClientChange(
            client_id=client.id,
            actor_id=actor.id,
            changes={"flags": [None if on else flag, flag if on else None]},
            reason=reason.strip(),
        )
    )
    record(
        actor=actor,
        action="client.flag" if on else "client.unflag",
        subject="client",
        subject_id=client.id,
        changes={"flags": [None if on else flag, flag if on else None]},
        reason=reason.strip(),
    )


# ---- Parts ----------------------------------------------------------------------------------------------------------


def _set(client: Client, fact: Fact, value: Any) -> None:
    setattr(client, fact.column, value)
    if fact.key in ("email", "mobile"):  # what was wrong was wrong with the former address
        setattr(client, f"{fact.key}_problem", None)
    if fact.key in ("first_name", "last_name"):
        _fill_name(client)


def _fill_name(client: Client) -> None:
    """A client known by parts of a name has a whole one too, as in imports."""
    if not client.name:
        parts = (client.last_name, client.first_name)
        joined = "".join(filter(None, parts))
        client.name = (joined if not joined.isascii() else " ".join(filter(None, reversed(parts)))) or None


def _check_branch(branch_id: int, actor: User) -> None:
    branch = db.session.get(Branch, branch_id)
    if branch is None or not contains(actor.branch, branch):
        raise Forbidden(_l("This branch lies outside the part of the firm you work for."))


def _only_managers_promote(actor: User, was: str) -> None:
    if was in OPEN_TO_ADVISERS and not allows(actor, Permission.CONFIRM_CLIENT_DATA):
        raise LeadsOnly


def _lead_number() -> str:
    """The next free number for somebody the account system does not know."""
    while True:
        position = db.session.scalar(text("SELECT nextval('lead_number')"))
        number = f"L{position:08}"
        if db.session.scalar(select(Client.id).where(Client.number == number)) is None:
            return number


def _flush() -> None:
    try:
        db.session.flush()
    except IntegrityError as error:
        if "uq_client_number" not in str(error.orig):
            raise
        raise NumberTaken from None


def _pair(fact: Fact, was: Any, becomes: Any) -> Any:
    return "changed" if fact.secret else [stored_words(fact, was), stored_words(fact, becomes)]


def _audited(facts: Mapping[str, Fact], given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _pair(facts[key], None, value) for key, value in given.items()}
