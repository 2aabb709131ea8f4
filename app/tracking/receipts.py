"""Receipts that any system of the firm, or a vendor without a file of its own here, reports about messages of ours.

    POST /webhooks/receipts
    Bellwether-Timestamp: 1798704000
    Bellwether-Signature: v1=<hex of HMAC-SHA256 over "<timestamp>.<body>", key RECEIPTS_KEY>

    [{"message": "<token>", "event": "delivered", "at": "2026-12-31T08:00:00Z", "id": "yours-1"}, ...]

`message` is the token that went out with the message ("message" of a webhook post, for one). `event` is one of EVENTS.
`at` (ISO 8601, or seconds since 1970) and `id` may be left out; with `at`, a report that comes again is the same.
`link`, `user_agent` and `ip` say more of an opening or click.

The same signature as that of our own posts (`channels/webhook.py`), so one routine serves a receiver for both.
"""

import hmac
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import structlog

from app.core.tokens import Signer
from app.tracking.intake import RawEvent
from app.tracking.reported import BadSignature, Named, read_reports, text_of, time_of

SOURCE = "receipts"
SIGNATURE_HEADER = "Bellwether-Signature"
TIMESTAMP_HEADER = "Bellwether-Timestamp"
# Who sends again signs again; within the time a replay changes nothing but its time where the report names none.
MAX_AGE = timedelta(minutes=10)

EVENTS = {
    "accepted": "accepted", "processed": "accepted", "sent": "accepted", "queued": "accepted",
    "delivered": "delivered", "read": "delivered",
    "bounce": "bounce", "bounced": "bounce",
    "blocked": "blocked", "undelivered": "blocked", "failed": "blocked", "rejected": "blocked",
    "deferred": "deferred",
    "dropped": "dropped", "expired": "dropped",
    "open": "open", "opened": "open",
    "click": "click", "clicked": "click",
    "complaint": "complaint", "spam": "complaint",
    "unsubscribe": "unsubscribe", "unsubscribed": "unsubscribe",
}  # fmt: skip

log = structlog.get_logger(__name__)


def check_signature(*, key: str, signature: str, timestamp: str, body: bytes, now: datetime) -> None:
    """Raises BadSignature unless one of the signatures of the header (`v1=...`, by commas) is right and fresh."""
    try:
        signed_at = datetime.fromtimestamp(int(timestamp), UTC)
        signed = timestamp.encode("ascii") + b"." + body
    except (ValueError, OverflowError, OSError) as error:
        raise BadSignature from error
    expected = b"v1=" + hmac.digest(key.encode(), signed, "sha256").hex().encode()
    given = [part.strip().encode("utf-8", "replace") for part in signature.split(",")[:5]]
    if not any(hmac.compare_digest(expected, one) for one in given) or abs(now - signed_at) > MAX_AGE:
        raise BadSignature


def raw_events(body: bytes, *, signer: Signer, received_at: datetime) -> list[RawEvent]:
    """The events of one request. Raises NotReports or TooMany; an unknown word becomes an event of kind "other"."""
    named, events = Named(signer), []
    for report, written in read_reports(body):
        word = str(report.get("event", "")).strip().lower()[:60]
        if word not in EVENTS:
            log.warning("receipt_unknown_event", word=word[:40])
        at = time_of(report.get("at"), received_at)
        events.append(
            RawEvent(
                kind=EVENTS.get(word, "other"),
                message_id=named.message_id(report.get("message")),
                at=at,
                source=SOURCE,
                external_id=_natural_key(report, word),
                link=text_of(report.get("link")),
                user_agent=text_of(report.get("user_agent")),
                ip=text_of(report.get("ip")),
                payload=written,
            )
        )
    return events


def _natural_key(report: dict[str, Any], word: str) -> str:
    parts = [report.get("message"), word, report.get("id"), report.get("at"), report.get("link")]
    return sha256("\n".join(map(repr, parts)).encode("utf-8", "replace")).hexdigest()[:40]
