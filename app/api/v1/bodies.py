"""What all resources share: reading a body, refusing it place by place, and pages of a list."""

from collections.abc import Sequence
from typing import Any

from flask import Response, jsonify, request
from werkzeug.exceptions import BadRequest

from app.audiences.rules import RuleError
from app.core.extensions import db

JSON = "application/json"
PAGE, LARGEST_PAGE = 100, 1_000
LARGEST_ID = 2**63 - 1

Problem = tuple[str, str]


class Problems(Exception):
    """What is wrong with the request: a list of (JSON pointer, sentence), and the HTTP status."""

    def __init__(self, found: Sequence[Problem], status: int = 422) -> None:
        super().__init__("refused")
        self.found = found
        self.status = status


def refuse(problems: Problems) -> tuple[Response, int]:
    """The answer to a request that is not right, naming at most a hundred places."""
    db.session.rollback()
    listed = [{"path": path, "message": message} for path, message in problems.found[:100]]
    error = {"status": problems.status, "message": "Nothing was taken: the request is not right.", "problems": listed}
    return jsonify(error=error), problems.status


def refuse_rule(error: RuleError) -> tuple[Response, int]:
    """A rule that is none: its path within the rule as a JSON pointer from the body's `rule`."""
    pointer = "/rule" + "".join(f"/{part}" for part in error.path.replace("[", ".").replace("]", "").split(".") if part)
    return refuse(Problems([(pointer, str(error.problem))]))


def read_json(most_bytes: int) -> Any:
    """The decoded body. Raises Problems where it is no JSON; a larger one is answered with 413."""
    request.max_content_length = most_bytes
    try:
        return request.get_json(force=True)
    except (BadRequest, RecursionError):
        raise Problems([("", "The body must be JSON.")], 400) from None


def read_object(body: Any, known: set[str], required: set[str]) -> dict[str, Any]:
    """The body as an object of known members. Raises Problems naming each that is unknown or missing."""
    if not isinstance(body, dict):
        raise Problems([("", "Must be an object.")])
    problems = [(f"/{name}", "Not a field of this request.") for name in sorted(body.keys() - known)]
    problems += [(f"/{name}", "Is needed.") for name in sorted(required - body.keys())]
    if problems:
        raise Problems(problems)
    return body


def read_text(body: dict[str, Any], name: str, *, most: int) -> str | None:
    """A text member; None where it is missing or null. Raises Problems."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > most or not is_storable(value):
        raise Problems([(f"/{name}", f"Must be a text of at most {most} characters.")])
    return value


def is_storable(value: str) -> bool:
    """False for what PostgreSQL cannot keep: NUL, and halves of surrogate pairs."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def page_size() -> int:
    """`limit` of the address, 1 to 1,000. Raises Problems."""
    return _number("limit", PAGE, LARGEST_PAGE)


def page_start() -> int | None:
    """`after` of the address: the `next` of the page before. Raises Problems."""
    return _number("after", 0, LARGEST_ID) if "after" in request.args else None


def _number(name: str, default: int, most: int) -> int:
    given = request.args.get(name)
    if given is None:
        return default
    if not (given.isascii() and given.isdecimal() and len(given) < 20 and 1 <= int(given) <= most):
        raise Problems([(f"?{name}", f"Must be a whole number from 1 to {most}.")], 400)
    return int(given)


# ---- What machines read ---------------------------------------------------------------------------------------------


def reference(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}


def answer(description: str, *schemas: str) -> dict[str, Any]:
    """A response of the description: one of these schemas as JSON."""
    references = [reference(schema) for schema in schemas]
    schema = references[0] if len(references) == 1 else {"oneOf": references}
    return {"description": description, "content": {JSON: {"schema": schema}}}


def page_of(schema: str) -> dict[str, Any]:
    """The schema of a page of a list."""
    return {
        "type": "object",
        "required": ["items", "next"],
        "properties": {
            "items": {"type": "array", "items": reference(schema)},
            "next": {"type": ["integer", "null"], "description": "Give it as `after` to read on; null at the end."},
        },
    }


def parameter(name: str, schema: dict[str, Any], description: str, *, place: str = "query") -> dict[str, Any]:
    made = {"name": name, "in": place, "schema": schema, "description": description}
    return made | ({"required": True} if place == "path" else {})


PAGING = [
    parameter("limit", {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": PAGE}, "Rows a page."),
    parameter("after", {"type": "integer", "minimum": 1}, "The `next` of the page before."),
]
REFUSALS = {
    "401": answer("No valid API key.", "Error"),
    "403": answer("The key is not made for this.", "Error"),
}
NOT_FOUND = {"404": answer("There is none, or it lies outside the part of the firm the key reads.", "Error")}
