"""POST /api/v1/account-openings: the core systems report accounts that clients opened."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from flask import Response, jsonify, request

from app.api.keys import with_api_key
from app.api.v1.bodies import JSON, REFUSALS, Problems, answer, is_storable, read_json
from app.core.clock import now
from app.core.unit_of_work import unit_of_work
from app.tracking.openings.service import record_openings
from app.tracking.openings.taking import Opening

MAX_OPENINGS = 1_000
MAX_BODY = 4 << 20
MAX_TEXT = 200
DEFAULT_SOURCE = "api"
AHEAD = timedelta(days=1)
EARLIEST_YEAR = 1900
MAX_AMOUNT = Decimal(10) ** 16
_SOURCE = re.compile(r"[A-Za-z0-9_.:-]{1,60}")
_FIELDS = {"external_id", "client_number", "opened_at", "account_number", "product", "amount"}


@with_api_key("account-openings")
def create() -> tuple[Response, int]:
    """Take one opening, or up to 1,000; all or none. Repeats are known by source and external id."""
    body = read_json(MAX_BODY)
    many = isinstance(body, dict) and "openings" in body
    source, openings = read_request(body, key=request.headers.get("Idempotency-Key"), received_at=now())
    with unit_of_work():
        recorded = record_openings(source=source, openings=openings)
    results = [
        {"external_id": opening.external_id, "status": "taken" if opening.external_id in recorded.taken else "known"}
        for opening in openings
    ]
    status = 201 if recorded.taken else 200
    if not many:
        return jsonify(results[0]), status
    return jsonify(taken=len(recorded.taken), known=recorded.known, results=results), status


def read_request(body: Any, *, key: str | None, received_at: datetime) -> tuple[str, list[Opening]]:
    """The source and the openings of a request. Raises Problems naming every field that is wrong."""
    if not isinstance(body, dict):
        raise Problems([("", 'Must be an object: one opening, or {"openings": [...]}.')])
    problems: list[tuple[str, str]] = []
    source = body.get("source", DEFAULT_SOURCE)
    if not isinstance(source, str) or not _SOURCE.fullmatch(source):
        problems.append(("/source", "Must be up to 60 letters, digits or the signs _ . : -"))
    if "openings" not in body:
        opening = _read(
            body | ({"external_id": key} if key and "external_id" not in body else {}), "", received_at, problems
        )
        rows = [opening]
    else:
        unknown = body.keys() - {"openings", "source"}
        problems += [(f"/{name}", "Not a field of this request.") for name in sorted(unknown)]
        listed = body["openings"]
        if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_OPENINGS:
            raise Problems([*problems, ("/openings", f"Must be a list of 1 to {MAX_OPENINGS:,} openings.")])
        rows = [_read(row, f"/openings/{position}", received_at, problems) for position, row in enumerate(listed)]
    if problems:
        raise Problems(problems)
    return source, [row for row in rows if row is not None]


def _read(row: Any, path: str, received_at: datetime, problems: list[tuple[str, str]]) -> Opening | None:
    if not isinstance(row, dict):
        problems.append((path, "Must be an object."))
        return None
    before = len(problems)
    for name in sorted(row.keys() - _FIELDS - (set() if path else {"source"})):
        problems.append((f"{path}/{name}", "Not a field of an opening."))
    external_id = _text(row, "external_id", path, problems, required=True)
    client_number = _text(row, "client_number", path, problems, required=True)
    account_number = _text(row, "account_number", path, problems)
    product = _text(row, "product", path, problems)
    opened_at = _time(row, path, received_at, problems)
    amount = _amount(row, path, problems)
    if len(problems) > before or external_id is None or opened_at is None:
        return None
    return Opening(
        external_id=external_id,
        client_number=client_number,
        opened_at=opened_at,
        account_number=account_number,
        product=product,
        amount=amount,
    )


def _text(
    row: Mapping[str, Any], name: str, path: str, problems: list[tuple[str, str]], *, required: bool = False
) -> str | None:
    value = row.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # numbers of clients and accounts come as JSON numbers too
    if value is None and not required:
        return None
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT or not is_storable(value):
        problems.append((f"{path}/{name}", f"Must be a text of 1 to {MAX_TEXT} characters."))
        return None
    return value.strip()


def _time(row: Mapping[str, Any], path: str, received_at: datetime, problems: list[tuple[str, str]]) -> datetime | None:
    value = row.get("opened_at")
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        problems.append((f"{path}/opened_at", "Must be a time with its zone, such as 2026-03-01T09:30:00+08:00."))
    elif moment.year < EARLIEST_YEAR:
        problems.append((f"{path}/opened_at", f"Must not be before {EARLIEST_YEAR}."))
    elif moment > received_at + AHEAD:
        problems.append((f"{path}/opened_at", "Must not lie in the future."))
    else:
        return moment
    return None


def _amount(row: Mapping[str, Any], path: str, problems: list[tuple[str, str]]) -> Decimal | None:
    value = row.get("amount")
    if value is None:
        return None
    try:
        amount = Decimal(str(value)) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else None
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite() or abs(amount) >= MAX_AMOUNT:
        problems.append((f"{path}/amount", "Must be a number below 10,000,000,000,000,000."))
        return None
    return amount


# ---- What machines read ---------------------------------------------------------------------------------------------

_TEXT = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
_RESULT = {
    "type": "object",
    "required": ["external_id", "status"],
    "properties": {"external_id": _TEXT, "status": {"enum": ["taken", "known"]}},
}
SCHEMAS: dict[str, Any] = {
    "AccountOpening": {
        "type": "object",
        "required": ["external_id", "client_number", "opened_at"],
        "additionalProperties": False,
        "properties": {
            "external_id": _TEXT
            | {"description": "The reporting system's own id; with the source it makes repeats known."},
            "client_number": _TEXT,
            "opened_at": {"type": "string", "format": "date-time"},
            "account_number": _TEXT,
            "product": _TEXT,
            "amount": {"type": ["number", "string"], "description": "First deposit, in the firm's currency."},
            "source": {"type": "string", "pattern": _SOURCE.pattern, "default": DEFAULT_SOURCE},
        },
    },
    "AccountOpenings": {
        "type": "object",
        "required": ["openings"],
        "additionalProperties": False,
        "properties": {
            "source": {"type": "string", "pattern": _SOURCE.pattern, "default": DEFAULT_SOURCE},
            "openings": {
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_OPENINGS,
                "items": {"$ref": "#/components/schemas/AccountOpening"},
            },
        },
    },
    "AccountOpeningResult": _RESULT,
    "AccountOpeningResults": {
        "type": "object",
        "required": ["taken", "known", "results"],
        "properties": {
            "taken": {"type": "integer"},
            "known": {"type": "integer"},
            "results": {"type": "array", "items": _RESULT},
        },
    },
}


PATHS: dict[str, Any] = {
    "/account-openings": {
        "post": {
            "operationId": "createAccountOpenings",
            "summary": "Report one account opening, or up to 1,000",
            "description": "All are taken or none. Reporting an opening again changes nothing.",
            "parameters": [
                {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "schema": _TEXT,
                    "description": "Stands in for external_id where a single opening has none.",
                }
            ],
            "requestBody": {
                "required": True,
                "content": {
                    JSON: {
                        "schema": {
                            "oneOf": [
                                {"$ref": "#/components/schemas/AccountOpening"},
                                {"$ref": "#/components/schemas/AccountOpenings"},
                            ]
                        }
                    }
                },
            },
            "responses": {
                "201": answer("Taken; at least one is new.", "AccountOpeningResult", "AccountOpeningResults"),
                "200": answer("All were known.", "AccountOpeningResult", "AccountOpeningResults"),
                "400": answer("Not JSON.", "Error"),
                **REFUSALS,
                "422": answer("Something is not right; nothing was taken.", "Error"),
                "503": answer("The database is away; send it again.", "Error"),
            },
        }
    }
}
