"""Verbs that change what is known of clients: consent, suppression, fields, and looking at contact data."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import BigInteger, Text, func, insert, literal, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import aliased

from app.audit.service import record
from app.clients.holdings.models import Account
from app.clients.models import (
    CHANNELS,
    SLOT_KINDS,
    SLOTS,
    Client,
    Consent,
    CustomField,
    Suppression,
    slot_name,
)
from app.core.clock import now
from app.core.errors import AppError, Conflict
from app.core.extensions import db
from app.core.permissions import Actor, Permission, require

CONSENT_COLUMNS = {"email": Client.email_consent, "sms": Client.sms_consent, "call": Client.call_consent}
KEY_LENGTH = 40


class ReasonMissing(AppError):
    message = _l("Please give a reason; it is kept in the audit trail.")


class NoSlotLeft(AppError):
    message = _l("All fields of this type are in use. Ask an administrator to free one, or leave the column out.")


class FieldExists(Conflict):
    message = _l("There is a field with this key already.")


class BadKey(AppError):
    message = _l("A key starts with a letter and has up to 40 small letters, digits and underscores.")


# ---- Consent --------------------------------------------------------------------------------------------------------


def withdraw_consent(
    *,
    client_ids: Collection[int],
    channel: str,
    source: str,
    wording: str | None = None,
    at: datetime | None = None,
    actor: Actor | None = None,
) -> int:
    """Record that these clients want nothing on the channel any more. Returns how many had not said so before.

    The evidence is kept per client; saying it twice (a redelivered event) leaves one row. A consent that the
    client gave after `at` stays.
    """
    return _state_will(
        client_ids=client_ids, channel=channel, granted=False, source=source, wording=wording, at=at, actor=actor
    )


def grant_consent(
    *,
    client_ids: Collection[int],
    channel: str,
    source: str,
    wording: str | None = None,
    at: datetime | None = None,
    actor: Actor | None = None,
) -> int:
    """Record that these clients agree to marketing on the channel. Returns how many had not before.

    A withdrawal stated after `at` stays.
    """
    return _state_will(
        client_ids=client_ids, channel=channel, granted=True, source=source, wording=wording, at=at, actor=actor
    )


def _state_will(
    *,
    client_ids: Collection[int],
    channel: str,
    granted: bool,
    source: str,
    wording: str | None,
    at: datetime | None,
    actor: Actor | None,
) -> int:
    at = at or now()
    column = CONSENT_COLUMNS[channel]
    named = aliased(Client)  # a record that was merged away speaks for the one that stayed
    survivors = select(func.coalesce(named.merged_into_id, named.id)).where(
        named.id == func.any(literal(sorted(set(client_ids)), ARRAY(BigInteger)))
    )
    chosen = Client.id.in_(survivors)
    said_already = _statement(channel=channel, granted=granted).where(Consent.at == at, Consent.source == source)
    db.session.execute(
        insert(Consent).from_select(
            ["client_id", "channel", "purpose", "granted", "source", "wording", "at", "actor_id"],
            select(
                Client.id,
                literal(channel),
                literal("marketing"),
                literal(granted),
                literal(source),
                literal(wording, Text),
                literal(at),
                literal(actor.id if actor else None, BigInteger),
            ).where(chosen, ~said_already.exists()),
        )
    )
    taken_back_later = _statement(channel=channel, granted=not granted).where(Consent.at > at)
    changed = db.session.execute(
        update(Client)
        .where(chosen, column.is_distinct_from(granted), ~taken_back_later.exists())
        .values({column: granted, Client.updated_at: func.now()})
        .execution_options(synchronize_session=False)
    )
    db.session.expire_all()
    return int(changed.rowcount)  # type: ignore[attr-defined]


def _statement(*, channel: str, granted: bool) -> Any:
    return (
        select(literal(1))
        .where(
            Consent.client_id == Client.id,
            Consent.channel == channel,
            Consent.purpose == "marketing",
            Consent.granted.is_(granted),
        )
        .correlate(Client)
    )


def record_will(
    *, client: Client, matter: str, granted: bool, source: str, wording: str, actor: Actor, at: datetime | None = None
) -> None:
    """A member of staff notes what a client said, with the evidence; audited.

    `matter` is a channel (marketing on it), "personalisation" (marketing chosen for them by what is known of them)
    or "partner" (client-level data passed to a partner that the wording names).
    """
    wording = wording.strip()
    if not wording:
        raise ReasonMissing
    if matter in CONSENT_COLUMNS:
        before = getattr(client, CONSENT_COLUMNS[matter].key)
        verb = grant_consent if granted else withdraw_consent
        verb(client_ids=[client.id], channel=matter, source=source, wording=wording, at=at, actor=actor)
    else:
        before = not client.personalisation_refused if matter == "personalisation" else None
        db.session.add(
            Consent(
                client_id=client.id,
                channel="all",
                purpose=matter,
                granted=granted,
                source=source,
                wording=wording,
                at=at or now(),
                actor_id=actor.id,
            )
        )
        if matter == "personalisation":
            client.personalisation_refused = not granted
    record(
        actor=actor,
        action="client.consent",
        subject="client",
        subject_id=client.id,
        changes={f"{matter}_consent": [before, granted]},
        reason=wording,
    )


# ---- Suppression ----------------------------------------------------------------------------------------------------


def suppress(
    *,
    channel: str,
    addresses: Iterable[str],
    reason: str,
    source: str,
    actor: Actor | None = None,
) -> int:
    """Put addresses on the suppression list of a channel. Returns how many were not on it before."""
    if channel not in CHANNELS:
        raise ValueError(channel)
    clean = sorted({address.strip().lower() for address in addresses if address.strip()})
    if not clean:
        return 0
    listed = func.unnest(literal(clean, ARRAY(Text))).column_valued("address")
    added = db.session.execute(
        upsert(Suppression)
        .from_select(
            ["channel", "address", "reason", "source"],
            select(literal(channel), listed, literal(reason), literal(source)),
        )
        .on_conflict_do_nothing()
        .returning(Suppression.id)
    ).all()
    if actor is not None and added:
        record(
            actor=actor,
            action="suppression.add",
            subject="suppression",
            subject_id=added[0].id if len(added) == 1 else None,
            changes={"addresses": [0, len(added)]},
            reason=reason,
        )
    return len(added)


def unsuppress(*, suppression: Suppression, reason: str, actor: Actor) -> None:
    """Take an address off the list. Consent is another matter: a client who opted out stays opted out."""
    if not reason.strip():
        raise ReasonMissing
    record(
        actor=actor,
        action="suppression.remove",
        subject="suppression",
        subject_id=suppression.id,
        changes={"channel": [suppression.channel, None], "listed_because": [suppression.reason, None]},
        reason=reason.strip(),
    )
    db.session.delete(suppression)


# ---- Custom fields --------------------------------------------------------------------------------------------------


def define_field(
    *,
    key: str,
    label: str,
    type: str,
    choices: list[str] | None = None,
    description: str | None = None,
    edited_by: str = "staff",
    actor: Actor | None = None,
) -> CustomField:
    """Define a field of the firm's own; it takes a free typed column of the client row.

    Raises BadKey, FieldExists, or NoSlotLeft (the columns of each type are limited, see `SLOTS`).
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", key) or key in Client.__table__.columns:
        raise BadKey
    db.session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('clients.custom_field', 0))"))
    if db.session.scalar(select(CustomField.id).where(CustomField.key == key)):
        raise FieldExists
    kind = SLOT_KINDS[type]
    taken = set(db.session.scalars(select(CustomField.slot)))
    free = (slot_name(kind, position) for position in range(1, SLOTS[kind] + 1))
    slot = next((name for name in free if name not in taken), None)
    if slot is None:
        raise NoSlotLeft
    field = CustomField(
        key=key,
        label=label.strip() or key,
        type=type,
        slot=slot,
        choices=choices,
        description=(description or "").strip() or None,
        edited_by=edited_by,
        position=(db.session.scalar(select(func.max(CustomField.position))) or 0) + 1,
    )
    db.session.add(field)
    db.session.flush()
    record(
        actor=actor,
        action="field.define",
        subject="custom_field",
        subject_id=field.id,
        changes={"key": [None, key], "type": [None, type]},
    )
    return field


def rename_field(*, field: CustomField, label: str, actor: Actor) -> None:
    """Change the words people read; the key, which rules and templates use, stays."""
    label = label.strip()
    if label and label != field.label:
        record(
            actor=actor,
            action="field.rename",
            subject="custom_field",
            subject_id=field.id,
            changes={"label": [field.label, label]},
        )
        field.label = label


def add_choices(*, field_id: int, values: Collection[str]) -> None:
    """Add values met in a file after the choices the field has, in the current transaction."""
    known = func.coalesce(CustomField.choices, literal([], ARRAY(Text)))
    fresh = func.unnest(literal(sorted(set(values)), ARRAY(Text))).column_valued("value")
    unknown = select(func.array_agg(fresh)).where(fresh != func.all(known)).scalar_subquery()
    db.session.execute(
        update(CustomField)
        .where(CustomField.id == field_id, ~known.contains(literal(sorted(set(values)), ARRAY(Text))))
        .values(choices=known.concat(unknown))
        .execution_options(synchronize_session=False)
    )


# ---- Contact data ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Revealed:
    """A client's contact data and numbers in full; `accounts` maps the id of an account to its number."""

    email: str | None
    mobile: str | None
    identity_number: str | None
    accounts: dict[int, str]


def reveal_contact(*, client: Client, reason: str, actor: Actor) -> Revealed:
    """The client's addresses, identity and account numbers unmasked; who looked and why goes to the audit trail."""
    require(actor, Permission.REVEAL_CONTACT)
    if not reason.strip():
        raise ReasonMissing
    record(actor=actor, action="client.reveal_contact", subject="client", subject_id=client.id, reason=reason.strip())
    accounts = db.session.execute(select(Account.id, Account.number).where(Account.client_id == client.id))
    return Revealed(client.email, client.mobile, client.identity_number, {row.id: row.number for row in accounts})
