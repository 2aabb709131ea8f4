"""Who calls: a key of the HTTP interface in `Authorization: Bearer bw_...`."""

import time
from collections.abc import Callable
from functools import wraps
from hashlib import sha256
from typing import Any, ParamSpec, TypeVar

from flask import request
from flask_babel import lazy_gettext as _l

from app.core.errors import AppError
from app.core.permissions import public
from app.core.unit_of_work import unit_of_work
from app.users.service import authenticate_api_key

REMEMBER_SECONDS = 5.0  # a revoked key works for so long at most
_MAX_REMEMBERED = 1_000

P = ParamSpec("P")
R = TypeVar("R")


class Unauthorised(AppError):
    message = _l("A valid API key is needed: Authorization: Bearer bw_...")
    status = 401


_known: dict[bytes, float] = {}


def with_api_key(view: Callable[P, R]) -> Callable[P, R]:
    """A route for holders of a valid key. In place of @requires: no person is signed in here."""

    @wraps(view)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        scheme, _space, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not _is_valid(secret.strip()):
            raise Unauthorised
        return view(*args, **kwargs)

    marked: Any = public(checked)
    result: Callable[P, R] = marked
    return result


def _is_valid(secret: str) -> bool:
    """Looked up once in some seconds per process; only a digest of the key is remembered."""
    digest = sha256(secret.encode("utf-8", "replace")).digest()
    if _known.get(digest, 0.0) > time.monotonic():
        return True
    with unit_of_work():
        found = authenticate_api_key(secret) is not None
    if found:
        if len(_known) >= _MAX_REMEMBERED:
            _known.clear()
        _known[digest] = time.monotonic() + REMEMBER_SECONDS
    return found
