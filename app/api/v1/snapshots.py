"""Frozen audiences over HTTP: freeze a segment, read who was in it."""

from typing import Any

from flask import Response, jsonify
from sqlalchemy import select

from app.api.keys import calling_user, with_api_key
from app.api.v1.bodies import (
    JSON,
    NOT_FOUND,
    PAGING,
    REFUSALS,
    answer,
    page_of,
    page_size,
    page_start,
    parameter,
    read_json,
    read_object,
    reference,
)
from app.api.v1.segments import numbers_page, segment_or_404
from app.audiences.models import Snapshot
from app.audiences.obstacles import by_channel
from app.audiences.overlap import Sight, find_snapshot, sight_of
from app.audiences.service import freeze_segment
from app.clients.queries import sees_whole_book
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work

MAX_BODY = 10_000


@with_api_key("segments")
def index() -> Response:
    """One page of frozen audiences, oldest first."""
    limit = page_size()
    found = db.session.scalars(
        select(Snapshot).where(Snapshot.id > (page_start() or 0)).order_by(Snapshot.id).limit(limit + 1)
    ).all()
    shown, sight = found[:limit], sight_of(calling_user())
    return jsonify(items=[_snapshot(one, sight) for one in shown], next=shown[-1].id if len(found) > limit else None)


@with_api_key("segments")
def show(snapshot_id: int) -> Response:
    return jsonify(_snapshot(find_snapshot(snapshot_id), sight_of(calling_user())))


@with_api_key("segments")
def create() -> tuple[Response, int]:
    """Freeze a segment as it is now."""
    body = read_object(read_json(MAX_BODY), {"segment_id"}, {"segment_id"})
    with unit_of_work():
        snapshot = freeze_segment(segment=segment_or_404(body["segment_id"]), actor=calling_user())
        snapshot_id = snapshot.id
    return jsonify(_snapshot(find_snapshot(snapshot_id), sight_of(calling_user()))), 201


@with_api_key("segments")
def clients(snapshot_id: int) -> Response:
    """One page of the numbers of its clients."""
    return jsonify(numbers_page(sight_of(calling_user())(find_snapshot(snapshot_id).client_ids)))


def _snapshot(snapshot: Snapshot, sight: Sight) -> dict[str, Any]:
    user = calling_user()
    mine = sees_whole_book(user) or (user is not None and snapshot.created_by_id == user.id)
    return {
        "id": snapshot.id,
        "name": snapshot.name,
        "segment_id": snapshot.segment_id,
        "rule": snapshot.rule,
        "sentence": snapshot.sentence,
        "size": len(sight(snapshot.client_ids)),
        "exclusions": by_channel(snapshot.exclusions) if mine else None,
        "created_at": snapshot.created_at.isoformat(),
    }


# ---- What machines read ---------------------------------------------------------------------------------------------

SCHEMAS: dict[str, Any] = {
    "Snapshot": {
        "type": "object",
        "required": ["id", "name", "segment_id", "rule", "sentence", "size", "exclusions", "created_at"],
        "properties": {
            "id": {"type": "integer"},
            "name": {"type": "string"},
            "segment_id": {"type": ["integer", "null"]},
            "rule": {"oneOf": [reference("Rule"), {"type": "null"}]},
            "sentence": {"type": ["string", "null"]},
            "size": {"type": "integer", "description": "Its clients, of those the key reads."},
            "exclusions": {
                "type": ["object", "null"],
                "additionalProperties": {"type": "object", "additionalProperties": {"type": "integer"}},
                "description": "How many of them marketing could not reach, by channel and reason.",
            },
            "created_at": {"type": "string", "format": "date-time"},
        },
    },
    "SnapshotPage": page_of("Snapshot"),
    "SnapshotAsked": {
        "type": "object",
        "required": ["segment_id"],
        "additionalProperties": False,
        "properties": {"segment_id": {"type": "integer"}},
    },
}
_ID = parameter("snapshot_id", {"type": "integer"}, "The frozen audience's id.", place="path")
PATHS: dict[str, Any] = {
    "/snapshots": {
        "get": {
            "operationId": "listSnapshots",
            "summary": "Frozen audiences",
            "parameters": PAGING,
            "responses": {"200": answer("One page.", "SnapshotPage")} | REFUSALS,
        },
        "post": {
            "operationId": "createSnapshot",
            "summary": "Freeze a segment as it is now",
            "requestBody": {"required": True, "content": {JSON: {"schema": reference("SnapshotAsked")}}},
            "responses": {
                "201": answer("Frozen.", "Snapshot"),
                "422": answer("The segment's rule is no longer understood, or takes too long.", "Error"),
            }
            | REFUSALS
            | NOT_FOUND,
        },
    },
    "/snapshots/{snapshot_id}": {
        "get": {
            "operationId": "getSnapshot",
            "summary": "One frozen audience",
            "parameters": [_ID],
            "responses": {"200": answer("The frozen audience.", "Snapshot")} | REFUSALS | NOT_FOUND,
        }
    },
    "/snapshots/{snapshot_id}/clients": {
        "get": {
            "operationId": "listSnapshotClients",
            "summary": "Numbers of its clients",
            "parameters": [_ID, *PAGING],
            "responses": {"200": answer("One page.", "ClientNumbers")} | REFUSALS | NOT_FOUND,
        }
    },
}
