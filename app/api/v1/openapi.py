"""The description of the interface, for machines: OpenAPI 3.1."""

from typing import Any

from flask import Response, jsonify

from app.api.v1 import account_openings, clients, reports, segments, snapshots
from app.core.extensions import settings
from app.core.permissions import public

RESOURCES = (account_openings, clients, reports, segments, snapshots)


@public
def document() -> Response:
    """GET /api/v1/openapi.json"""
    return jsonify(build(settings().base_url))


def build(base_url: str) -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Bellwether", "version": "1"},
        "servers": [{"url": base_url}],
        "security": [{"apiKey": []}],
        "paths": {f"/api/v1{path}": item for part in RESOURCES for path, item in part.PATHS.items()},
        "components": {
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer", "bearerFormat": "bw_..."}},
            "schemas": account_openings.SCHEMAS
            | clients.SCHEMAS
            | reports.SCHEMAS
            | segments.schemas()
            | snapshots.SCHEMAS
            | {"Error": ERROR},
        },
    }


ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["status", "message"],
            "properties": {
                "status": {"type": "integer"},
                "message": {"type": "string"},
                "problems": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["path", "message"],
                        "properties": {
                            "path": {"type": "string", "examples": ["/openings/3/opened_at"]},
                            "message": {"type": "string"},
                        },
                    },
                },
            },
        }
    },
}
