"""Writing the data of a webhook: every save is a new version."""

import json
from math import isfinite
from typing import Any

from flask_babel import lazy_gettext as _l

from app.content.personalisation import merge_fields
from app.content.webhooks.filling import CompiledData, texts_of
from app.content.webhooks.models import CONTACTS, WebhookContent
from app.core.errors import AppError
from app.core.permissions import Actor

MAX_TEXT = 20_000
MAX_DEPTH = 20


class DataInvalid(AppError):
    message = _l('The data must be a JSON object, such as {"client": "{{ client.number }}"}.')
    status = 422


class DataTooLarge(AppError):
    message = _l("The data is too long or too deeply nested. Shorten it.")
    status = 422


class UnknownField(AppError):
    message = _l("There is no such merge field. Take one of the list.")
    status = 422


class ContactMissing(AppError):
    message = _l("Say which consent counts: what the receiver will do with it.")
    status = 422


def new_webhook_content(*, contact: str, text: str, actor: Actor | None) -> WebhookContent:
    """A version that is not in the session yet; `text` is JSON whose texts may hold merge fields.

    Raises ContactMissing, DataInvalid, DataTooLarge, UnknownField, or ContentInvalid (a merge field cannot be read).
    """
    if contact not in CONTACTS:
        raise ContactMissing
    data = _read(text)
    if not set(CompiledData(data).keys) <= {field.key for field in merge_fields()}:
        raise UnknownField
    return WebhookContent(contact=contact, data=data, created_by_id=actor.id if actor else None)


def written(data: Any) -> str:
    """The data as people read and edit it."""
    return json.dumps(data, ensure_ascii=False, indent=2)


def _read(text: str) -> dict[str, Any]:
    if len(text) > MAX_TEXT:
        raise DataTooLarge
    try:
        data = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError as error:
        raise DataTooLarge from error
    except ValueError as error:
        raise DataInvalid from error
    if not isinstance(data, dict) or not data:
        raise DataInvalid
    if _depth(data) > MAX_DEPTH:
        raise DataTooLarge
    for piece in texts_of(data):
        if "\x00" in piece or any("\ud800" <= character <= "\udfff" for character in piece):
            raise DataInvalid  # no database keeps these
    return data


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _finite(number: str) -> float:
    value = float(number)
    return value if isfinite(value) else _refuse(number)


def _depth(node: Any) -> int:
    """How deep objects and lists stand in each other."""
    level, deepest = [node], 0
    while level and deepest <= MAX_DEPTH:
        deepest += 1
        inner = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [one for members in inner for one in members]
    return deepest
