"""Reading what a vendor's webhook reports: a JSON list of objects, whatever is in them.

A report is kept as it was written, cut out of the body. Where it may hold what PostgreSQL does not take (NUL, a lone
surrogate, a number without end) it is taken apart, cleaned and written anew.
"""

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, NoReturn

from app.core.tokens import BadToken, Kind, Signer

MAX_BODY = 8 << 20  # bytes
MAX_REPORTS = 20_000
CLOCKS_APART = timedelta(minutes=5)  # by so much another system's clock may be ahead of ours
_MAX_SECONDS = 32_503_680_000  # the year 3000; some vendors count milliseconds
_LONGEST_FLOAT = 40

Report = tuple[dict[str, Any], str]  # what it says, and the same as JSON for PostgreSQL


class BadSignature(Exception):
    """The request was not signed with the caller's key, or too long ago."""


class NotReports(ValueError):
    """The body is not a JSON list of objects."""


class TooMany(Exception):
    """More reports in one request than are taken: a small body may hold millions, and each takes memory."""


class _Strange(Exception):
    """The body is to be read the careful way."""


def read_reports(body: bytes) -> list[Report]:
    """The reports of a request; a single object counts as one. Raises NotReports or TooMany."""
    if body.count(b"{") > 10 * MAX_REPORTS or body.count(b",") > 100 * MAX_REPORTS:
        raise TooMany
    try:
        try:
            cut = islice(_cut(body.decode("utf-8")), MAX_REPORTS + 1)
            found = [(report, _clean(report) if "\\u" in written else written) for report, written in cut]
            if len(found) > MAX_REPORTS:
                raise TooMany
            return found
        except (_Strange, UnicodeDecodeError):
            return _read_carefully(body)
    except (ValueError, IndexError, RecursionError) as error:
        raise NotReports from error


def _read_carefully(body: bytes) -> list[Report]:
    parsed = json.loads(body)
    reports = [parsed] if isinstance(parsed, dict) else parsed
    if not isinstance(reports, list) or not all(isinstance(report, dict) for report in reports):
        raise NotReports
    if len(reports) > MAX_REPORTS:
        raise TooMany
    return [(report, _clean(report)) for report in reports]


def _float(written: str) -> float:
    if len(written) > _LONGEST_FLOAT or "e" in written or "E" in written:
        raise _Strange
    return float(written)


def _constant(_word: str) -> NoReturn:
    raise _Strange


_decode = json.JSONDecoder(parse_float=_float, parse_constant=_constant).raw_decode


def _cut(text: str) -> Iterator[Report]:
    """Each object of the list with the text that it was read from. Raises ValueError, IndexError or _Strange."""
    place = _after_blanks(text, 0)
    many = text[place] == "["
    if many:
        place = _after_blanks(text, place + 1)
    if not many or text[place] != "]":
        while True:
            if text[place] != "{":
                raise NotReports
            report, end = _decode(text, place)
            yield report, text[place:end]
            place = _after_blanks(text, end)
            if not many or text[place] != ",":
                break
            place = _after_blanks(text, place + 1)
    if many:
        if text[place] != "]":
            raise NotReports
        place = _after_blanks(text, place + 1)
    if place != len(text):
        raise NotReports


def _after_blanks(text: str, place: int) -> int:
    while text[place : place + 1] in (" ", "\t", "\n", "\r"):
        place += 1
    return place


def _clean(report: dict[str, Any]) -> str:
    return json.dumps(storable(report), ensure_ascii=False)


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


class Named:
    """Which message of ours a report names, by the token that went out with it; the reports of a request share many."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._known: dict[str, int | None] = {}

    def message_id(self, token: Any) -> int | None:
        """None for any other word."""
        if not isinstance(token, str):
            return None
        if token not in self._known:
            try:
                self._known[token] = self._signer.read(token, Kind.REPLY).message_id
            except BadToken:
                self._known[token] = None
        return self._known[token]


def time_of(value: Any, received_at: datetime) -> datetime:
    """When it happened: ISO 8601 (UTC without a zone), or seconds or milliseconds since 1970, as number or text.

    What cannot be read, or lies ahead, happened when the report came: nothing happens in the future. A clock that is a
    little ahead of ours is left alone, so that the same report a minute later has the same time and is known.
    """
    try:
        if isinstance(value, str) and not value.replace(".", "", 1).isdigit():
            at = datetime.fromisoformat(value)
            at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        else:
            seconds = float(value)
            at = datetime.fromtimestamp(seconds / 1000 if seconds > _MAX_SECONDS else seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return received_at
    return at if at <= received_at + CLOCKS_APART else received_at


def text_of(value: Any) -> str | None:
    return value if isinstance(value, str) else None
