"""Segments over HTTP: read, write, count, and list their clients."""

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
    read_text,
    reference,
)
from app.audiences import queries, service
from app.audiences.fields import Catalogue, load_catalogue
from app.audiences.models import Segment
from app.audiences.overlap import members_of
from app.audiences.preview import preview
from app.audiences.rules import RuleJson, parse_rule
from app.audiences.schema import rule_schema
from app.audiences.sentence import sentence
from app.clients.models import Client
from app.core.errors import NotFound
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work

MAX_BODY = 1 << 20
MAX_DESCRIPTION = 1_000


@with_api_key("segments")
def index() -> Response:
    """One page of segments in use, by id."""
    limit = page_size()
    found = db.session.scalars(
        select(Segment)
        .where(Segment.archived_at.is_(None), Segment.id > (page_start() or 0))
        .order_by(Segment.id)
        .limit(limit + 1)
    ).all()
    shown, catalogue = found[:limit], load_catalogue()
    return jsonify(
        items=[segment_json(segment, catalogue) for segment in shown], next=shown[-1].id if len(found) > limit else None
    )


@with_api_key("segments")
def show(segment_id: int) -> Response:
    return jsonify(segment_json(queries.find_segment(segment_id), load_catalogue()))


@with_api_key("segments")
def create() -> tuple[Response, int]:
    """A new segment; its owner is who made the key."""
    name, rule, description = _read_segment()
    with unit_of_work():
        segment = service.create_segment(name=name, rule=rule, description=description, actor=calling_user())
        segment_id = segment.id
    return jsonify(segment_json(queries.find_segment(segment_id), load_catalogue())), 201


@with_api_key("segments")
def replace(segment_id: int) -> Response:
    """Another name, rule and description for a segment."""
    name, rule, description = _read_segment()
    with unit_of_work():
        segment = queries.find_segment(segment_id)
        service.edit_segment(segment=segment, name=name, rule=rule, description=description, actor=calling_user())
    return jsonify(segment_json(queries.find_segment(segment_id), load_catalogue()))


@with_api_key("segments")
def count() -> Response:
    """How many clients a rule finds, without keeping it."""
    body = read_object(read_json(MAX_BODY), {"rule"}, {"rule"})
    catalogue = load_catalogue()
    rule = parse_rule(body["rule"], catalogue)
    found = preview(rule, user=calling_user())
    return jsonify(matched=found.matched, book=found.book, sentence=sentence(rule, catalogue))


@with_api_key("segments")
def clients(segment_id: int) -> Response:
    """One page of the numbers of the clients who are in a segment now."""
    ids, _as_of = members_of(queries.find_segment(segment_id), user=calling_user())
    return jsonify(numbers_page(ids))


@with_api_key("segments")
def fields() -> Response:
    """The fields a rule may ask about, with their comparisons and choices."""
    return jsonify(load_catalogue().for_builder(calling_user()))


def numbers_page(ids: Any) -> dict[str, Any]:
    """A page of client numbers out of a set of client ids, with where to read on."""
    limit, start = page_size(), ids.rank(page_start() or 0)
    shown = list(ids[start : start + limit])
    rows = db.session.execute(select(Client.id, Client.number).where(Client.id.in_(shown)).order_by(Client.id))
    more = start + limit < len(ids)
    return {"items": [row.number for row in rows], "next": shown[-1] if more else None, "total": len(ids)}


def segment_json(segment: Segment, catalogue: Catalogue) -> dict[str, Any]:
    """A segment as it is told to machines; `sentence` is null where its rule is no longer understood."""
    rule = queries.understood(segment, catalogue)
    return {
        "id": segment.id,
        "name": segment.name,
        "description": segment.description,
        "rule": segment.rule,
        "sentence": sentence(rule, catalogue) if rule else None,
        "version": segment.version,
        "updated_at": segment.updated_at.isoformat(),
        "archived": segment.archived_at is not None,
    }


def _read_segment() -> tuple[str, RuleJson, str | None]:
    body = read_object(read_json(MAX_BODY), {"name", "rule", "description"}, {"name", "rule"})
    name = read_text(body, "name", most=service.MAX_NAME)
    return name or "", body["rule"], read_text(body, "description", most=MAX_DESCRIPTION)


def segment_or_404(segment_id: object) -> Segment:
    """The segment of a body's member. Raises NotFound, also for what is no id at all."""
    if not isinstance(segment_id, int) or isinstance(segment_id, bool) or not 0 < segment_id < 2**63:
        raise NotFound
    return queries.find_segment(segment_id)


# ---- What machines read ---------------------------------------------------------------------------------------------

_WRITTEN = {
    "name": {"type": "string", "minLength": 1, "maxLength": service.MAX_NAME},
    "rule": reference("Rule"),
    "description": {"type": ["string", "null"], "maxLength": MAX_DESCRIPTION},
}
NUMBERS = {
    "type": "object",
    "required": ["items", "next", "total"],
    "properties": {
        "items": {"type": "array", "items": {"type": "string"}, "description": "Client numbers."},
        "next": {"type": ["integer", "null"]},
        "total": {"type": "integer"},
    },
}


def schemas() -> dict[str, Any]:
    """The schemas of this resource; that of a rule is made from the catalogue."""
    rule = rule_schema()
    parts = {f"Rule_{name}": _moved(part) for name, part in rule["$defs"].items()}
    return parts | {
        "Rule": {"title": rule["title"], "$ref": "#/components/schemas/Rule_rule"},
        "SegmentWritten": {
            "type": "object",
            "required": ["name", "rule"],
            "additionalProperties": False,
            "properties": _WRITTEN,
        },
        "Segment": {
            "type": "object",
            "required": ["id", "name", "description", "rule", "sentence", "version", "updated_at", "archived"],
            "properties": _WRITTEN
            | {
                "id": {"type": "integer"},
                "sentence": {"type": ["string", "null"]},
                "version": {"type": "integer"},
                "updated_at": {"type": "string", "format": "date-time"},
                "archived": {"type": "boolean"},
            },
        },
        "SegmentPage": page_of("Segment"),
        "RuleQuestion": {
            "type": "object",
            "required": ["rule"],
            "additionalProperties": False,
            "properties": {"rule": reference("Rule")},
        },
        "RuleCount": {
            "type": "object",
            "required": ["matched", "book", "sentence"],
            "properties": {
                "matched": {"type": "integer", "description": "Clients of the rule, of those the key reads."},
                "book": {"type": "integer", "description": "All clients the key reads."},
                "sentence": {"type": "string"},
            },
        },
        "ClientNumbers": NUMBERS,
        "Fields": {"type": "object", "required": ["groups", "fields"]},
    }


def _moved(part: Any) -> Any:
    """The references of a schema, from its own definitions to the components of the description."""
    if isinstance(part, dict):
        return {
            key: value.replace("#/$defs/", "#/components/schemas/Rule_") if key == "$ref" else _moved(value)
            for key, value in part.items()
        }
    return [_moved(one) for one in part] if isinstance(part, list) else part


def _body(schema: str) -> dict[str, Any]:
    return {"required": True, "content": {JSON: {"schema": reference(schema)}}}


_ID = parameter("segment_id", {"type": "integer"}, "The segment's id.", place="path")
_WRONG = {"422": answer("Something is not right; nothing was kept.", "Error")}
_TAKEN = {"409": answer("The name is taken, or something still needs the segment as it is.", "Error")}
PATHS: dict[str, Any] = {
    "/segments": {
        "get": {
            "operationId": "listSegments",
            "summary": "Segments in use",
            "parameters": PAGING,
            "responses": {"200": answer("One page.", "SegmentPage")} | REFUSALS,
        },
        "post": {
            "operationId": "createSegment",
            "summary": "Make a segment",
            "requestBody": _body("SegmentWritten"),
            "responses": {"201": answer("Made.", "Segment")} | REFUSALS | _WRONG | _TAKEN,
        },
    },
    "/segments/{segment_id}": {
        "get": {
            "operationId": "getSegment",
            "summary": "One segment",
            "parameters": [_ID],
            "responses": {"200": answer("The segment.", "Segment")} | REFUSALS | NOT_FOUND,
        },
        "put": {
            "operationId": "replaceSegment",
            "summary": "Change a segment",
            "parameters": [_ID],
            "requestBody": _body("SegmentWritten"),
            "responses": {"200": answer("Changed.", "Segment")} | REFUSALS | NOT_FOUND | _WRONG | _TAKEN,
        },
    },
    "/segments/{segment_id}/clients": {
        "get": {
            "operationId": "listSegmentClients",
            "summary": "Numbers of the clients in a segment",
            "description": "Of today's count where there is one of the present rule, else counted now.",
            "parameters": [_ID, *PAGING],
            "responses": {"200": answer("One page.", "ClientNumbers")} | REFUSALS | NOT_FOUND | _WRONG,
        }
    },
    "/segments/count": {
        "post": {
            "operationId": "countRule",
            "summary": "Count a rule without keeping it",
            "requestBody": _body("RuleQuestion"),
            "responses": {"200": answer("Counted.", "RuleCount")} | REFUSALS | _WRONG,
        }
    },
    "/segment-fields": {
        "get": {
            "operationId": "listSegmentFields",
            "summary": "What a rule may ask about",
            "responses": {"200": answer("Groups and fields.", "Fields")} | REFUSALS,
        }
    },
}
