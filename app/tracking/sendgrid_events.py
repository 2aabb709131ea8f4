"""SendGrid's event webhook: its signature, its words, and the raw events they become.

Source: "Event Webhook Reference" and "Event Webhook Security Features", Twilio SendGrid documentation.
"""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any

import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from app.core.tokens import Signer
from app.tracking.intake import RawEvent
from app.tracking.reported import BadSignature, Named, read_reports, text_of, time_of

SOURCE = "sendgrid"
MESSAGE_ARGUMENT = "bw"  # the custom argument that carries our signed message id
SIGNATURE_HEADER = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP_HEADER = "X-Twilio-Email-Event-Webhook-Timestamp"

# The vendor repeats a request for up to 24 hours and does not promise to sign it anew, so a day-old signature is
# taken. A replay within that time changes nothing: every event is kept once, whatever it came with.
MAX_AGE = timedelta(hours=25)
MAX_AHEAD = timedelta(minutes=10)

EVENTS = {
    "processed": "accepted",
    "delivered": "delivered",
    "deferred": "deferred",
    "dropped": "dropped",
    "bounce": "bounce",
    "blocked": "blocked",
    "open": "open",
    "click": "click",
    "spamreport": "complaint",
    "unsubscribe": "unsubscribe",
    "group_unsubscribe": "unsubscribe",
    "group_resubscribe": "other",  # consent is never given by a vendor's list
}

log = structlog.get_logger(__name__)


@lru_cache(maxsize=4)
def _public_key(base64_der: str) -> EllipticCurvePublicKey:
    key = load_der_public_key(b64decode(base64_der))
    if not isinstance(key, EllipticCurvePublicKey):
        raise ValueError("not an elliptic-curve key")
    return key


def check_signature(*, key: str, signature: str, timestamp: str, body: bytes, now: datetime) -> None:
    """ECDSA with SHA-256 over the timestamp header and the raw body. Raises BadSignature."""
    try:
        signed_at = datetime.fromtimestamp(int(timestamp), UTC)
        _public_key(key).verify(b64decode(signature, validate=True), timestamp.encode() + body, ECDSA(SHA256()))
    except (InvalidSignature, Base64Error, ValueError, OverflowError, OSError) as error:
        raise BadSignature from error
    if not now - MAX_AGE <= signed_at <= now + MAX_AHEAD:
        raise BadSignature


def raw_events(body: bytes, *, signer: Signer, received_at: datetime) -> list[RawEvent]:
    """The events of one request. Raises NotReports or TooMany; an unknown word becomes an event of kind "other"."""
    named, events = Named(signer), []
    for report, written in read_reports(body):
        word = str(report.get("event", ""))
        kind = EVENTS.get(word.lower())
        if kind is None:
            log.warning("sendgrid_unknown_event", word=word[:40])
            kind = "other"
        if kind == "bounce" and report.get("type") == "blocked":
            kind = "blocked"  # refused for now, by a filter or a full mailbox: the address itself is good
        token = report.get(MESSAGE_ARGUMENT)
        message_id = named.message_id(token)
        if token is not None and message_id is None:
            log.warning("sendgrid_bad_message_argument")
        events.append(
            RawEvent(
                kind=kind,
                message_id=message_id,
                at=time_of(report.get("timestamp"), received_at),
                source=SOURCE,
                external_id=_natural_key(report, word),
                link=text_of(report.get("url")),
                user_agent=text_of(report.get("useragent")),
                ip=text_of(report.get("ip")),
                payload=written,
            )
        )
    return events


def _natural_key(report: Mapping[str, Any], word: str) -> str:
    """What makes a report the same one when it comes again.

    `sg_event_id` may change when the vendor repeats a request, while what it reports on does not: the message,
    the recipient, the word, the second, and for a hit its address. A report repeated with the same `sg_event_id` has
    all of these in common too, so this one key serves for both.
    """
    parts = [report.get(name) for name in ("sg_message_id", MESSAGE_ARGUMENT, "email", "timestamp", "url", "attempt")]
    return sha256(repr([word, *parts]).encode("utf-8", "replace")).hexdigest()[:40]
