"""GET /api/v1/clients: the client book, as far as the key reads it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from flask import Response, jsonify, request
from sqlalchemy import ColumnElement, Row, select, true
from sqlalchemy.orm import aliased

from app.api.keys import calling_user, note_contact_read, sees_contact_data, with_api_key
from app.api.v1.bodies import (
    NOT_FOUND,
    PAGING,
    REFUSALS,
    Problems,
    answer,
    is_storable,
    page_of,
    page_size,
    page_start,
    parameter,
)
from app.clients.classes.models import MODELS, ClientClass
from app.clients.masking import mask_email, mask_mobile
from app.clients.models import STATUSES, Client, CustomField
from app.clients.queries import custom_fields, visible_clients
from app.core.errors import NotFound
from app.core.extensions import db
from app.users.models import Branch, User

# Members that are columns of the client as they are.
_PLAIN = (
    "number", "kind", "name", "first_name", "last_name", "gender", "birth_date", "city", "locale", "time_zone",
    "status", "source", "risk_level", "risk_assessed_on", "qualified_investor", "professional_investor", "opened_on",
    "flags", "tags", "email_consent", "sms_consent", "call_consent", "personalisation_refused", "created_at",
    "updated_at",
)  # fmt: skip
_Adviser = aliased(User)


@with_api_key("clients")
def index() -> Response:
    """One page of clients by id, which is the order they were added in."""
    limit, fields = page_size(), custom_fields()
    rows = db.session.execute(
        _clients(fields).where(_filter(), Client.id > (page_start() or 0)).order_by(Client.id).limit(limit + 1)
    ).all()
    shown = rows[:limit]
    items, following = [_client(row, fields) for row in shown], shown[-1].Client.id if len(rows) > limit else None
    note_contact_read(resource="clients", numbers=[item["number"] for item in items])
    return jsonify(items=items, next=following)


@with_api_key("clients")
def show(number: str) -> Response:
    """One client by their number."""
    fields = custom_fields()
    if not is_storable(number):
        raise NotFound
    row = db.session.execute(_clients(fields).where(Client.number == number)).first()
    if row is None:
        raise NotFound
    item = _client(row, fields)
    note_contact_read(resource="clients", numbers=[item["number"]])
    return jsonify(item)


def _clients(fields: Sequence[CustomField]) -> Any:
    return (
        select(Client, Branch.code.label("branch"), _Adviser.email.label("adviser"), ClientClass)
        .join(Branch, Branch.id == Client.branch_id)
        .outerjoin(_Adviser, _Adviser.id == Client.adviser_id)
        .outerjoin(ClientClass, ClientClass.client_id == Client.id)
        .where(visible_clients(calling_user()))
    )


def _filter() -> ColumnElement[bool]:
    """What the address narrows the list to. Raises Problems."""
    wanted: ColumnElement[bool] = true()
    if (since := request.args.get("changed_since")) is not None:
        try:
            moment = datetime.fromisoformat(since.replace(" ", "+"))  # a + in an address arrives as a blank
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise Problems(
                [("?changed_since", "Must be a time with its zone, such as 2026-03-01T09:30:00+08:00.")], 400
            )
        wanted &= Client.updated_at >= moment
    if (status := request.args.get("status")) is not None:
        if status not in STATUSES:
            raise Problems([("?status", f"Must be one of {', '.join(STATUSES)}.")], 400)
        wanted &= Client.status == status
    return wanted


def _client(row: Row[Any], fields: Sequence[CustomField]) -> dict[str, Any]:
    client, classes = row.Client, row.ClientClass
    contact = (client.email, client.mobile)
    if not sees_contact_data():
        contact = (client.email and mask_email(client.email), client.mobile and mask_mobile(client.mobile))
    made = {name: _plain(getattr(client, name)) for name in _PLAIN}
    return made | {
        "email": contact[0],
        "mobile": contact[1],
        "branch": row.branch,
        "adviser": row.adviser,
        "total_assets": None if client.total_assets is None else str(client.total_assets),
        "classes": {model: getattr(classes, model) if classes else None for model in MODELS},
        "custom": {field.key: _plain(getattr(client, field.slot)) for field in fields},
    }


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


# ---- What machines read ---------------------------------------------------------------------------------------------

_MAYBE_TEXT = {"type": ["string", "null"]}
_MAYBE_DATE = {"type": ["string", "null"], "format": "date"}
_TRUTH = {"type": "boolean"}
_MAYBE_TRUTH = {"type": ["boolean", "null"], "description": "null: nothing was said, which is no consent."}
_MOMENT = {"type": "string", "format": "date-time"}
_WORDS = {"type": "array", "items": {"type": "string"}}
_NOTED = (
    "Contact data is masked, unless the key was made for `contact-data`. Then the audit trail keeps of each request "
    "the key, who made it, how many clients were read and the first and last of their numbers."
)
_MASKED = _MAYBE_TEXT | {"description": "Masked, unless the key reads contact data."}

SCHEMAS: dict[str, Any] = {
    "Client": {
        "type": "object",
        "required": [*_PLAIN, "email", "mobile", "branch", "adviser", "total_assets", "classes", "custom"],
        "additionalProperties": False,
        "properties": {
            "number": {"type": "string"},
            "kind": {"enum": ["person", "company"]},
            **dict.fromkeys(
                ("name", "first_name", "last_name", "gender", "city", "locale", "time_zone", "source"), _MAYBE_TEXT
            ),
            **dict.fromkeys(("birth_date", "risk_assessed_on", "opened_on"), _MAYBE_DATE),
            "status": {"enum": list(STATUSES)},
            "risk_level": {"type": ["integer", "null"], "minimum": 1, "maximum": 5},
            **dict.fromkeys(("qualified_investor", "professional_investor", "personalisation_refused"), _TRUTH),
            **dict.fromkeys(("flags", "tags"), _WORDS),
            **dict.fromkeys(("email_consent", "sms_consent", "call_consent"), _MAYBE_TRUTH),
            **dict.fromkeys(("created_at", "updated_at"), _MOMENT),
            **dict.fromkeys(("email", "mobile"), _MASKED),
            "branch": {"type": "string", "description": "The branch's code."},
            "adviser": _MAYBE_TEXT | {"description": "The e-mail address the adviser signs in with."},
            "total_assets": _MAYBE_TEXT | {"description": "A decimal number as text, in the firm's currency."},
            "classes": {
                "type": "object",
                "description": "The class by each value model; null where it says nothing of the client.",
                "properties": {model: {"type": ["string", "integer", "null"]} for model in MODELS},
            },
            "custom": {"type": "object", "description": "The firm's own fields by key."},
        },
    },
    "ClientPage": page_of("Client"),
}
PATHS: dict[str, Any] = {
    "/clients": {
        "get": {
            "operationId": "listClients",
            "summary": "Clients, in the order they were added",
            "description": _NOTED,
            "parameters": [
                *PAGING,
                parameter("changed_since", _MOMENT, "Only those changed at or after this moment."),
                parameter("status", {"enum": list(STATUSES)}, "Only those of this status."),
            ],
            "responses": {"200": answer("One page.", "ClientPage"), "400": answer("A parameter is wrong.", "Error")}
            | REFUSALS,
        }
    },
    "/clients/{number}": {
        "get": {
            "operationId": "getClient",
            "summary": "One client",
            "description": _NOTED,
            "parameters": [parameter("number", {"type": "string"}, "The client number.", place="path")],
            "responses": {"200": answer("The client.", "Client")} | REFUSALS | NOT_FOUND,
        }
    },
}
