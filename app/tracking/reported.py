"""Reading what a vendor's webhook reports: a JSON list of objects, whatever is in them.

The usual body is clean; only one that may hold what PostgreSQL does not take (NUL, a lone surrogate, a number without
end) is looked through value by value.
"""

import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from app.core.tokens import BadToken, Kind, Signer

MAX_BODY = 8 << 20  # bytes
_MAX_SECONDS = 32_503_680_000  # the year 3000; some vendors count milliseconds
# Escapes of NUL and of surrogates, and the bytes that a surrogate would begin with.
_SUSPECT = re.compile(rb"\\u0000|\\u[dD]|\xed")
# Made once: `json.dumps` with options builds an encoder for each call, which takes as long as its work.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


class NotReports(ValueError):
    """The body is not a JSON list of objects."""


def read_reports(body: bytes) -> tuple[list[dict[str, Any]], Callable[[dict[str, Any]], str]]:
    """The reports of a request (a single object counts as one) and what writes one of them as JSON for PostgreSQL.

    Raises NotReports.
    """
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotReports from error
    reports = [parsed] if isinstance(parsed, dict) else parsed
    if not isinstance(reports, list) or not all(isinstance(report, dict) for report in reports):
        raise NotReports
    return reports, _cleaned if _SUSPECT.search(body) else _written


def _written(report: dict[str, Any]) -> str:
    try:
        return _encode(report)
    except ValueError:  # a number without end
        return _cleaned(report)


def _cleaned(report: dict[str, Any]) -> str:
    return _encode(storable(report))


def storable(value: Any) -> Any:
    """JSON that PostgreSQL takes: no NUL, no lone surrogates, no infinities."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(name): storable(item) for name, item in value.items()}
    return value


def message_of(token: Any, signer: Signer) -> int | None:
    """The message of ours that a report names by the token we gave with it; None for any other word."""
    if not isinstance(token, str):
        return None
    try:
        return signer.read(token, Kind.REPLY).message_id
    except BadToken:
        return None


def time_of(value: Any, otherwise: datetime) -> datetime:
    """Seconds (or milliseconds) since 1970, as number or text."""
    try:
        seconds = float(value)
        return datetime.fromtimestamp(seconds / 1000 if seconds > _MAX_SECONDS else seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return otherwise


def text_of(value: Any) -> str | None:
    return value if isinstance(value, str) else None
