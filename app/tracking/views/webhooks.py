"""What SendGrid and other systems call. An answer of 2xx means: committed. 503 makes the caller try again later."""

import hmac

import structlog
from flask import Blueprint, Response, request
from werkzeug.http import parse_options_header

from app.core.clock import now
from app.core.extensions import csrf, settings, signer
from app.core.permissions import public
from app.core.unit_of_work import unit_of_work
from app.core.web import for_clients
from app.tracking import inbound, receipts, sendgrid_events
from app.tracking.intake import Unrecorded
from app.tracking.mail.receiving import MAX_SIZE, keep_mail
from app.tracking.reported import MAX_BODY, MAX_REPORTS, NotReports, TooMany
from app.tracking.service import intake

MAX_MAIL_BODY = 60 << 20  # Inbound Parse takes messages of up to 30 MB, and may post them in base64
MAX_HEAD = 256 << 10  # bytes that are kept of a message too large to be taken

bp = Blueprint("webhooks", __name__, url_prefix="/webhooks")
csrf.exempt(bp)
log = structlog.get_logger(__name__)


def _say(status: int, sentence: str) -> Response:
    return Response(sentence, status=status, mimetype="text/plain")


@bp.post("/sendgrid/events")
@public
@for_clients
def sendgrid_event() -> Response:
    """The event webhook: signed, recorded as raw events by group commit, interpreted later."""
    key = settings().sendgrid_webhook_key
    if not key:
        return _say(503, "The SendGrid event webhook is not set up here: SENDGRID_WEBHOOK_KEY is not set.")
    request.max_content_length = MAX_BODY
    body = request.get_data(cache=False)
    try:
        sendgrid_events.check_signature(
            key=key,
            signature=request.headers.get(sendgrid_events.SIGNATURE_HEADER, ""),
            timestamp=request.headers.get(sendgrid_events.TIMESTAMP_HEADER, ""),
            body=body,
            now=now(),
        )
        events = sendgrid_events.raw_events(body, signer=signer(), received_at=now())
        intake().record(*events)
    except sendgrid_events.BadSignature:
        log.warning("sendgrid_bad_signature")
        return _say(403, "The signature does not match, or it is too old.")
    except NotReports:
        return _say(400, "The body must be a JSON list of events.")
    except TooMany:
        return _say(413, f"At most {MAX_REPORTS} events are taken at once.")
    except Unrecorded:
        return _say(503, "The events could not be recorded. Please send them again.")
    return _say(200, "Recorded.")


@bp.post("/receipts")
@public
@for_clients
def signed_receipts() -> Response:
    """Receipts of any system that has the key: see `receipts.py`."""
    key = settings().receipts_key
    if not key:
        return _say(503, "Receipts are not set up here: RECEIPTS_KEY is not set.")
    request.max_content_length = MAX_BODY
    body = request.get_data(cache=False)
    try:
        receipts.check_signature(
            key=key,
            signature=request.headers.get(receipts.SIGNATURE_HEADER, ""),
            timestamp=request.headers.get(receipts.TIMESTAMP_HEADER, ""),
            body=body,
            now=now(),
        )
        intake().record(*receipts.raw_events(body, signer=signer(), received_at=now()))
    except receipts.BadSignature:
        log.warning("receipts_bad_signature")
        return _say(403, "The signature does not match, or it is too old.")
    except NotReports:
        return _say(400, "The body must be a JSON list of receipts.")
    except TooMany:
        return _say(413, f"At most {MAX_REPORTS} receipts are taken at once.")
    except Unrecorded:
        return _say(503, "The receipts could not be recorded. Please send them again.")
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
