"""What SendGrid and other systems call. An answer of 2xx means: committed. 503 makes the caller try again later."""

import hmac
from datetime import datetime
from typing import Protocol

import structlog
from flask import Blueprint, Response, request
from werkzeug.http import parse_options_header

from app.core.clock import now
from app.core.extensions import csrf, settings, signer
from app.core.permissions import public
from app.core.tokens import Signer
from app.core.unit_of_work import unit_of_work
from app.core.web import for_clients
from app.tracking import inbound, receipts, sendgrid_events
from app.tracking.intake import RawEvent, Unrecorded
from app.tracking.mail.receiving import MAX_SIZE, keep_mail
from app.tracking.reported import MAX_BODY, MAX_REPORTS, BadSignature, NotReports, TooMany
from app.tracking.service import intake

MAX_MAIL_BODY = 60 << 20  # Inbound Parse takes messages of up to 30 MB, and may post them in base64
MAX_HEAD = 256 << 10  # bytes that are kept of a message too large to be taken

bp = Blueprint("webhooks", __name__, url_prefix="/webhooks")
csrf.exempt(bp)
log = structlog.get_logger(__name__)


def _say(status: int, sentence: str) -> Response:
    return Response(sentence, status=status, mimetype="text/plain")


class Dialect(Protocol):
    """How one kind of caller signs and words its reports; the modules `sendgrid_events` and `receipts` are such."""

    SIGNATURE_HEADER: str
    TIMESTAMP_HEADER: str

    def check_signature(self, *, key: str, signature: str, timestamp: str, body: bytes, now: datetime) -> None: ...

    def raw_events(self, body: bytes, *, signer: Signer, received_at: datetime) -> list[RawEvent]: ...


@bp.post("/sendgrid/events")
@public
@for_clients
def sendgrid_event() -> Response:
    """SendGrid's event webhook."""
    key = settings().sendgrid_webhook_key
    if not key:
        return _say(503, "The SendGrid event webhook is not set up here: SENDGRID_WEBHOOK_KEY is not set.")
    return _record_reports(sendgrid_events, key)


@bp.post("/receipts")
@public
@for_clients
def signed_receipts() -> Response:
    """Receipts of any system that has the key: see `receipts.py`."""
    key = settings().receipts_key
    if not key:
        return _say(503, "Receipts are not set up here: RECEIPTS_KEY is not set.")
    return _record_reports(receipts, key)


def _record_reports(dialect: Dialect, key: str) -> Response:
    """Record the signed reports of a request as raw events by group commit; what they mean is worked out later."""
    request.max_content_length = MAX_BODY
    body = request.get_data(cache=False)
    try:
        dialect.check_signature(
            key=key,
            signature=request.headers.get(dialect.SIGNATURE_HEADER, ""),
            timestamp=request.headers.get(dialect.TIMESTAMP_HEADER, ""),
            body=body,
            now=now(),
        )
        intake().record(*dialect.raw_events(body, signer=signer(), received_at=now()))
    except BadSignature:
        log.warning("webhook_bad_signature", endpoint=request.endpoint)
        return _say(403, "The signature does not match, or it is too old.")
    except (NotReports, RecursionError):  # the latter: a value in it is nested too deeply to be looked at
        return _say(400, "The body must be a JSON list of events.")
    except TooMany:
        return _say(413, f"At most {MAX_REPORTS} events are taken at once.")
    except Unrecorded:
        return _say(503, "The events could not be recorded. Please send them again.")
    return _say(200, "Recorded.")


@bp.post("/sendgrid/inbound/<token>")
@public
@for_clients
def sendgrid_inbound(token: str) -> Response:
    """Inbound Parse: kept as it came, and read by a worker."""
    expected = settings().inbound_token
    if not expected:
        return _say(503, "Inbound mail is not set up here: INBOUND_TOKEN is not set.")
    if not hmac.compare_digest(token.encode(), expected.encode()):
        return _say(403, "The token in this address is not right.")
    request.max_content_length = MAX_MAIL_BODY
    media_type, options = parse_options_header(request.headers.get("Content-Type", ""))
    if media_type != "multipart/form-data" or not options.get("boundary"):
        return _say(400, "Inbound Parse sends multipart/form-data.")
    try:
        fields = inbound.read_form(request.get_data(cache=False), options["boundary"].encode())
        raw = inbound.raw_mail(fields)
    except inbound.NotInboundMail:
        return _say(400, "This is not a message as Inbound Parse sends it.")
    recipients = inbound.recipients(fields)
    with unit_of_work():
        if len(raw) <= MAX_SIZE:
            kept = keep_mail(raw=raw, recipients=recipients, source="webhook")
        else:
            kept = keep_mail(raw=raw[:MAX_HEAD], recipients=recipients, source="webhook", size=len(raw))
    if kept is None:
        log.info("inbound_known_already")
    return _say(200, "Received.")
