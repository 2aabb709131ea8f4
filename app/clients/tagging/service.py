"""Verbs on tags."""

from collections.abc import Collection
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, Text, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from app.audit.service import record
from app.clients.models import Client
from app.clients.queries import visible_clients
from app.core.errors import AppError
from app.core.extensions import db
from app.core.permissions import Permission, require
from app.users.models import User

MAX_TAG = 40
MAX_TAGS = 50
MAX_AT_ONCE = 5_000


class BadTag(AppError):
    message = _l("A tag is one to %(count)s characters without commas or semicolons.", count=MAX_TAG)


class TooManyTags(AppError):
    message = _l("A client has %(count)s tags at most.", count=MAX_TAGS)


class TooManyClients(AppError):
    message = _l("Choose %(count)s clients at most at once.", count=MAX_AT_ONCE)


def clean_tag(tag: str) -> str:
    """The tag as it is kept. Raises BadTag."""
    clean = " ".join(tag.replace("\x00", "").split())
    if not clean or len(clean) > MAX_TAG or set(clean) & set(",;，；、"):
        raise BadTag
    return clean


def add_tag(*, numbers: Collection[str], tag: str, actor: User) -> int:
    """Put a tag on the clients with these numbers, those the actor may see. Returns how many did not have it.

    Raises BadTag, TooManyClients, or TooManyTags where nobody could take one more.
    """
    tag = clean_tag(tag)
    room = func.cardinality(Client.tags) < MAX_TAGS
    changed = _change(numbers, ~Client.tags.contains([tag]) & room, func.array_append(Client.tags, tag), actor)
    if changed == 0 and len(numbers) == 1 and db.session.scalar(select(Client.id).where(_named(numbers), ~room)):
        raise TooManyTags
    _note("client.tag", tag, changed, numbers, actor)
    return changed


def remove_tag(*, numbers: Collection[str], tag: str, actor: User) -> int:
    """Take a tag off the clients with these numbers, those the actor may see. Returns how many had it."""
    tag = tag.replace("\x00", "").strip()
    changed = _change(numbers, Client.tags.contains([tag]), func.array_remove(Client.tags, literal(tag, Text)), actor)
    _note("client.untag", tag, changed, numbers, actor)
    return changed


def _named(numbers: Collection[str]) -> ColumnElement[bool]:
    return Client.number == func.any(literal(sorted(set(numbers)), ARRAY(Text)))


def _change(numbers: Collection[str], which: ColumnElement[bool], tags: ColumnElement[Any], actor: User) -> int:
    require(actor, Permission.EDIT_CLIENTS)
    if len(numbers) > MAX_AT_ONCE:
        raise TooManyClients
    changed = db.session.execute(
        update(Client)
        .where(_named(numbers), visible_clients(actor), which)
        .values(tags=tags, updated_at=func.now())
        .execution_options(synchronize_session=False)
    )
    db.session.expire_all()
    return int(changed.rowcount)  # type: ignore[attr-defined]


def _note(action: str, tag: str, changed: int, numbers: Collection[str], actor: User) -> None:
    if not changed:
        return
    one = db.session.scalar(select(Client.id).where(_named(numbers))) if len(numbers) == 1 else None
    added = action == "client.tag"
    record(
        actor=actor,
        action=action,
        subject="client",
        subject_id=one,
        changes={"tags": [None, tag] if added else [tag, None], "clients": changed},
    )
