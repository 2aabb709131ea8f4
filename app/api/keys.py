"""Who calls: a key of the HTTP interface in `Authorization: Bearer bw_...`, and what it opens."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from hashlib import sha256
from typing import Any, ParamSpec, TypeVar

from flask import g, request
from flask_babel import lazy_gettext as _l

from app.audit.service import record
from app.core.errors import AppError
from app.core.extensions import db
from app.core.permissions import public
from app.core.unit_of_work import unit_of_work
from app.users.models import User
from app.users.service import authenticate_api_key

REMEMBER_SECONDS = 5.0  # a revoked key works for so long at most
_MAX_REMEMBERED = 1_000

P = ParamSpec("P")
R = TypeVar("R")


class Unauthorised(AppError):
    message = _l("A valid API key is needed: Authorization: Bearer bw_...")
    status = 401


class NotForThisKey(AppError):
    message = _l("This key is not made for that. Make one with the part of the interface you need.")
    status = 403


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a key. `user_id` is who made it: it reads what that person may see, None the whole book."""

    key_id: int
    resources: frozenset[str]
    user_id: int | None


_known: dict[bytes, tuple[float, Caller]] = {}


def with_api_key(resource: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A route for holders of a valid key for this resource. In place of @requires: no person is signed in here."""

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            scheme, _space, secret = request.headers.get("Authorization", "").partition(" ")
            caller = _caller(secret.strip()) if scheme.lower() == "bearer" else None
            if caller is None:
                raise Unauthorised
            if resource not in caller.resources:
                raise NotForThisKey
            g.api_caller = caller
            return view(*args, **kwargs)

        marked: Any = public(checked)
        result: Callable[P, R] = marked
        return result

    return decorate


def calling_user() -> User | None:
    """The person whose part of the firm the key reads; None for the whole book.

    Raises Unauthorised once that person's account has ended or is frozen.
    """
    caller: Caller = g.api_caller
    if caller.user_id is None:
        return None
    user = db.session.get(User, caller.user_id)
    if user is None or not user.active or user.frozen_at is not None:
        raise Unauthorised
    return user


def sees_contact_data() -> bool:
    """True where the key was made to read addresses and numbers unmasked."""
    caller: Caller = g.api_caller
    return "contact-data" in caller.resources


def note_contact_read(*, resource: str, numbers: Sequence[str]) -> None:
    """Keep in the audit trail that a key read the contact data of these clients in full, by the first and last client
    number and how many there are. Nothing is kept of a key that reads it masked, or where there was nobody."""
    if not numbers or not sees_contact_data():
        return
    caller: Caller = g.api_caller
    with unit_of_work():
        record(
            actor=calling_user(),
            action="api_key.contact_read",
            subject="api_key",
            subject_id=caller.key_id,
            changes={
                "resource": [None, resource],
                "rows": [None, len(numbers)],
                "clients": [numbers[0], numbers[-1]],
            },
        )


def _caller(secret: str) -> Caller | None:
    """Looked up once in some seconds per process; only a digest of the key is remembered."""
    digest = sha256(secret.encode("utf-8", "replace")).digest()
    until, caller = _known.get(digest, (0.0, None))
    if caller is not None and until > time.monotonic():
        return caller
    with unit_of_work():
        key = authenticate_api_key(secret)
        caller = Caller(key.id, frozenset(key.resources), key.created_by_id) if key is not None else None
    if caller is not None:
        if len(_known) >= _MAX_REMEMBERED:
            _known.clear()
        _known[digest] = (time.monotonic() + REMEMBER_SECONDS, caller)
    return caller
