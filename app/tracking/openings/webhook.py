"""The signed webhook of other systems: reports of openings, taken row by row; what cannot be taken is parked.

Signed as receipts are (`tracking/receipts.py`: HMAC-SHA256 over timestamp, a dot and the raw bytes of the body), with
the secret of the source. A sender must not have to stop because one row of its batch is wrong: whatever is signed is
kept, as an opening or as a parked report with the reason.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy.dialects.postgresql import insert as upsert

from app.core.errors import AppError
from app.core.extensions import db
from app.tracking.openings.models import ParkedOpening
from app.tracking.openings.reading import read_opening
from app.tracking.openings.taking import Opening, insert_openings
from app.tracking.receipts import check_signature
from app.tracking.reported import BadSignature, storable

MAX_OPENINGS = 1_000
MAX_BODY = 4 << 20
MAX_KEPT = 4_000  # characters of a row that is parked
_LONGEST_WHOLE = 40  # digits; no number of a client or an account has more


class NotOpenings(AppError):
    message = f'The body must be JSON: one opening, or {{"openings": [...]}} with 1 to {MAX_OPENINGS:,} of them.'


@dataclass(frozen=True, slots=True)
class Reported:
    """What became of the rows of a report: external ids of new ones, how many were known, and (place, reasons)."""

    taken: list[str]
    known: int
    parked: list[tuple[int, str]]


def check_secrets(*, secrets: Sequence[str], signature: str, timestamp: str, body: bytes, now: datetime) -> None:
    """Raise BadSignature unless the body was signed lately with one of the secrets: two while one is being changed."""
    for secret in secrets:
        with suppress(BadSignature):
            check_signature(key=secret, signature=signature, timestamp=timestamp, body=body, now=now)
            return
    raise BadSignature


def take_report(body: bytes, *, source: str, received_at: datetime) -> Reported:
    """Take the openings of a report and park the rest, in the current transaction. Raises NotOpenings."""
    openings: list[Opening] = []
    parked: list[tuple[int, str]] = []
    for place, row in enumerate(_rows(body)):
        problems: list[tuple[str, str]] = []
        opening = read_opening(row, "", received_at, problems)
        if opening is not None:
            openings.append(opening)
            continue
        reason = storable(" ".join(f"{path.removeprefix('/')}: {sentence}" for path, sentence in problems[:10]))
        parked.append((place, reason))
        _park(row, source=source, reason=reason, received_at=received_at)
    taken = insert_openings(source=source, openings=openings)
    known = len({opening.external_id for opening in openings}) - len(taken)
    return Reported(sorted(taken), known, parked)


def _rows(body: bytes) -> list[Any]:
    try:
        plain = json.loads(body, parse_int=_whole)
    except (ValueError, RecursionError):
        raise NotOpenings from None
    if not isinstance(plain, dict):
        raise NotOpenings
    rows = plain.get("openings", [plain])
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_OPENINGS:
        raise NotOpenings
    return rows


def _whole(written: str) -> int | float:
    """A whole number; one without end (Python refuses to read it) harms its own row only."""
    return int(written) if len(written) <= _LONGEST_WHOLE else float(written)


def _park(row: Any, *, source: str, reason: str, received_at: datetime) -> None:
    written = json.dumps(row, ensure_ascii=False, sort_keys=True)
    kept = row if len(written) <= MAX_KEPT and _is_storable(row) else {"text": storable(written[:MAX_KEPT])}
    digest = sha256(written.encode("utf-8", "surrogatepass")).hexdigest()
    values = {"source": source, "digest": digest, "row": kept, "reason": reason[:2_000], "received_at": received_at}
    db.session.execute(upsert(ParkedOpening).values(values).on_conflict_do_nothing())


def _is_storable(row: Any) -> bool:
    """Whether PostgreSQL keeps it as it is: no NUL, no half of a pair, no NaN, not nested without end."""
    try:
        return bool(storable(row) == row)
    except RecursionError:
        return False
