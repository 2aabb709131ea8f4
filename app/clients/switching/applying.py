"""Statements of another product written into the client book, a chunk at a time, by set-based statements.

An opt-out always wins: it goes on the suppression list, so that it counts for clients who come later too, and withdraws
the consent of everyone in the book with the address, whatever they agreed to before. A consent is evidence only for
those who never opted out and stand on no list. Writing the same statements twice changes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, and_, case, column, func, insert, literal, or_, select, true, update
from sqlalchemy import Text as TextType
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from app.clients.models import COMMENT, HARD_BOUNCE, Client, Consent, Suppression
from app.clients.service import CONSENT_COLUMNS
from app.clients.switching.layouts import AGREED, BOUNCED, OPTED_OUT
from app.clients.switching.reading import Statement
from app.core.extensions import Timestamp, db

_ADDRESSES: dict[str, ColumnElement[Any]] = {
    "email": func.lower(Client.email),
    "sms": cast(ColumnElement[Any], Client.mobile),
}
# What the suppression list says of each kind of statement; staff read it.
REASONS = {OPTED_OUT: "unsubscribed", BOUNCED: HARD_BOUNCE}


@dataclass(slots=True)
class Changes:
    """How much a chunk changed, or would change."""

    suppressed: int = 0
    withdrawn: int = 0
    granted: int = 0


def apply_opt_outs(
    statements: Sequence[Statement], *, source: str, actor_id: int | None, dry: bool, visible: ColumnElement[bool]
) -> Changes:
    """Suppress what opted out or bounced and withdraw the consents of those who opted out.

    With `dry` nothing is written and the clients counted are those `visible` to the person who looks.
    """
    changes = Changes()
    for channel in _ADDRESSES:
        of_channel = [one for one in statements if one.channel == channel and one.said in REASONS]
        if not of_channel:
            continue
        # Of several statements on an address, an opt-out says more than a bounce, and the earliest counts.
        said = _table(of_channel, lambda one: (one.said != OPTED_OUT, one.at is None, one.at))
        changes.suppressed += _suppress(channel, said, source, dry=dry)
        changes.withdrawn += _withdraw(channel, said, source, actor_id, dry=dry, visible=visible)
    return changes


def apply_consents(
    statements: Sequence[Statement],
    *,
    source: str,
    wording: str,
    actor_id: int | None,
    dry: bool,
    visible: ColumnElement[bool],
) -> Changes:
    """Record the consents of clients (`visible` to the person) who never opted out and are not suppressed."""
    changes = Changes()
    for channel in _ADDRESSES:
        of_channel = [one for one in statements if one.channel == channel and one.said == AGREED]
        if of_channel:
            said = _table(of_channel, lambda one: (one.at is None, one.at))
            changes.granted += _grant(channel, said, source, wording, actor_id, dry=dry, visible=visible)
    return changes


def _table(statements: Sequence[Statement], first: Callable[[Statement], Any]) -> Any:
    """(address, said, at, reason) as a FROM item, each address once: the statement that `first` puts in front."""
    chosen: dict[str, Statement] = {}
    for one in sorted(statements, key=lambda one: _sortable(first(one))):
        chosen.setdefault(one.address, one)
    rows = list(chosen.values())
    return (
        func.unnest(
            literal([one.address for one in rows], ARRAY(TextType)),
            literal([one.said for one in rows], ARRAY(TextType)),
            literal([one.at for one in rows], ARRAY(Timestamp)),
            literal([one.reason for one in rows], ARRAY(TextType)),
        )
        .table_valued(
            column("address", TextType), column("said", TextType), column("at", Timestamp), column("reason", TextType)
        )
        .render_derived(name="said")
    )


def _sortable(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(part.timestamp() if isinstance(part, datetime) else part or 0 for part in key)


def _suppress(channel: str, said: Any, source: str, *, dry: bool) -> int:
    listed = select(literal(1)).where(Suppression.channel == channel, Suppression.address == said.c.address).exists()
    if dry:
        return db.session.scalar(select(func.count()).select_from(said).where(~listed)) or 0
    why = case((said.c.said == OPTED_OUT, REASONS[OPTED_OUT]), else_=REASONS[BOUNCED])
    reason = case((said.c.reason == "", why), else_=why.concat(COMMENT).concat(said.c.reason))
    added = db.session.execute(
        upsert(Suppression)
        .from_select(
            ["channel", "address", "reason", "source", "at"],
            select(
                literal(channel), said.c.address, reason, literal(source), func.coalesce(said.c.at, func.now())
            ).where(~listed),
        )
        .on_conflict_do_nothing()
        .returning(Suppression.id)
    )
    return len(added.all())


def _holders(channel: str, said: Any) -> ColumnElement[bool]:
    """Clients with the address; a record that was merged away has none of its own any more."""
    return and_(_ADDRESSES[channel] == said.c.address, Client.merged_into_id.is_(None))


def _told_before(channel: str, said: Any, source: str, *, granted: bool) -> ColumnElement[bool]:
    """The same source said the same of the client, at the same time where it tells one."""
    return (
        select(literal(1))
        .where(
            Consent.client_id == Client.id,
            Consent.channel == channel,
            Consent.purpose == "marketing",
            Consent.granted.is_(granted),
            Consent.source == source,
            or_(said.c.at.is_(None), Consent.at == said.c.at),
        )
        .exists()
    )


def _withdraw(
    channel: str, said: Any, source: str, actor_id: int | None, *, dry: bool, visible: ColumnElement[bool]
) -> int:
    consent = CONSENT_COLUMNS[channel]
    out = and_(_holders(channel, said), said.c.said == OPTED_OUT)
    if dry:
        counted = select(func.count()).select_from(said).join(Client, out)
        return db.session.scalar(counted.where(visible, consent.is_distinct_from(False))) or 0
    fresh = ~_told_before(channel, said, source, granted=False)
    wording = func.coalesce(func.nullif(said.c.reason, ""), literal("unsubscribed"))
    _record(channel, said, out, fresh, granted=False, source=source, wording=wording, actor_id=actor_id)
    changed = db.session.execute(
        update(Client)
        .where(out, consent.is_distinct_from(False))
        .values({consent: False, Client.updated_at: func.now()})
        .execution_options(synchronize_session=False)
    )
    return int(changed.rowcount)  # type: ignore[attr-defined]


def _grant(
    channel: str,
    said: Any,
    source: str,
    wording: str,
    actor_id: int | None,
    *,
    dry: bool,
    visible: ColumnElement[bool],
) -> int:
    consent = CONSENT_COLUMNS[channel]
    withdrawn = select(literal(1)).where(
        Consent.client_id == Client.id,
        Consent.channel == channel,
        Consent.purpose == "marketing",
        Consent.granted.is_(False),
    )
    listed = select(literal(1)).where(Suppression.channel == channel, Suppression.address == said.c.address)
    may = and_(
        _holders(channel, said),
        visible,
        consent.is_distinct_from(False),
        ~withdrawn.correlate(Client).exists(),
        ~listed.exists(),
    )
    if dry:
        counted = select(func.count()).select_from(said).join(Client, may)
        return db.session.scalar(counted.where(consent.is_(None))) or 0
    fresh = ~_told_before(channel, said, source, granted=True)
    _record(channel, said, may, fresh, granted=True, source=source, wording=literal(wording), actor_id=actor_id)
    changed = db.session.execute(
        update(Client)
        .where(may, consent.is_(None))
        .values({consent: True, Client.updated_at: func.now()})
        .execution_options(synchronize_session=False)
    )
    return int(changed.rowcount)  # type: ignore[attr-defined]


def _record(
    channel: str,
    said: Any,
    who: ColumnElement[bool],
    fresh: ColumnElement[bool],
    *,
    granted: bool,
    source: str,
    wording: ColumnElement[Any],
    actor_id: int | None,
) -> None:
    """The evidence, with the original time where the file tells it."""
    told = select(
        Client.id,
        literal(channel),
        literal("marketing"),
        literal(granted),
        literal(source),
        wording,
        func.coalesce(said.c.at, func.now()),
        literal(actor_id, Consent.actor_id.type),
    )
    db.session.execute(
        insert(Consent).from_select(
            ["client_id", "channel", "purpose", "granted", "source", "wording", "at", "actor_id"],
            told.select_from(said).join(Client, who).where(fresh, true()),
        )
    )
