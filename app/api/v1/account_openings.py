"""POST /api/v1/account-openings: the core systems report accounts that clients opened."""

from datetime import datetime
from typing import Any

from flask import Response, jsonify, request

from app.api.keys import with_api_key
from app.api.v1.bodies import JSON, REFUSALS, Problems, answer, read_json
from app.core.clock import now
from app.core.unit_of_work import unit_of_work
from app.tracking.openings.reading import DEFAULT_SOURCE, MAX_TEXT, SCHEMA, SOURCE, read_opening
from app.tracking.openings.service import record_openings
from app.tracking.openings.taking import Opening

MAX_OPENINGS = 1_000
MAX_BODY = 4 << 20


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
    if not isinstance(source, str) or not SOURCE.fullmatch(source):
        problems.append(("/source", "Must be up to 60 letters, digits or the signs _ . : -"))
    if "openings" not in body:
        opening = read_opening(
            body | ({"external_id": key} if key and "external_id" not in body else {}), "", received_at, problems
        )
        rows = [opening]
    else:
        unknown = body.keys() - {"openings", "source"}
        problems += [(f"/{name}", "Not a field of this request.") for name in sorted(unknown)]
        listed = body["openings"]
        if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_OPENINGS:
            raise Problems([*problems, ("/openings", f"Must be a list of 1 to {MAX_OPENINGS:,} openings.")])
        rows = [
            read_opening(row, f"/openings/{position}", received_at, problems) for position, row in enumerate(listed)
        ]
    if problems:
        raise Problems(problems)
    return source, [row for row in rows if row is not None]


# ---- What machines read ---------------------------------------------------------------------------------------------

_TEXT = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
_RESULT = {
    "type": "object",
    "required": ["external_id", "status"],
    "properties": {"external_id": _TEXT, "status": {"enum": ["taken", "known"]}},
}
SCHEMAS: dict[str, Any] = {
    "AccountOpening": SCHEMA,
    "AccountOpenings": {
        "type": "object",
        "required": ["openings"],
        "additionalProperties": False,
        "properties": {
            "source": {"type": "string", "pattern": SOURCE.pattern, "default": DEFAULT_SOURCE},
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
            "description": (
                "All are taken or none. Reporting an opening again changes nothing. It belongs to the client whom the "
                "number, the tracking code, the e-mail address or the mobile number leads to, in this order; where "
                "they lead to nobody, or to several, it waits for a person."
            ),
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
