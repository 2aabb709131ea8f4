"""What other systems call to report openings. An answer of 2xx means: committed. 503 makes them try again later."""

import os
import re

import structlog
from flask import Blueprint, Response, jsonify, request
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import RequestEntityTooLarge

from app.core.clock import now
from app.core.extensions import csrf
from app.core.permissions import public
from app.core.unit_of_work import unit_of_work
from app.core.web import for_clients
from app.tracking.openings import webhook
from app.tracking.receipts import SIGNATURE_HEADER, TIMESTAMP_HEADER
from app.tracking.reported import BadSignature

SECRET_PREFIX = "OPENINGS_SECRET_"  # noqa: S105 - the name of a variable
_SOURCE = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")

bp = Blueprint("opening_webhook", __name__, url_prefix="/webhooks/openings")
csrf.exempt(bp)
log = structlog.get_logger(__name__)


def secrets_of(source: str) -> list[str]:
    """The secrets of a source: those of OPENINGS_SECRET_<SOURCE>, separated by spaces; none where it is not set up."""
    if not _SOURCE.fullmatch(source):
        return []
    return os.environ.get(SECRET_PREFIX + source.upper().replace("-", "_"), "").split()


@bp.post("/<source>")
@public
@for_clients
def report(source: str) -> tuple[Response, int]:
    """One opening, or a batch, signed. What cannot be taken is parked; the answer names each such row and why."""
    secrets = secrets_of(source)
    if not secrets:
        return jsonify(error="No such source is set up here."), 404
    request.max_content_length = webhook.MAX_BODY
    try:
        body = request.get_data(cache=False)
        webhook.check_secrets(
            secrets=secrets,
            signature=request.headers.get(SIGNATURE_HEADER, ""),
            timestamp=request.headers.get(TIMESTAMP_HEADER, ""),
            body=body,
            now=now(),
        )
        with unit_of_work():
            done = webhook.take_report(body, source=source, received_at=now())
    except BadSignature:
        log.warning("opening_webhook_bad_signature", source=source)
        return jsonify(error="The signature does not match, or it is too old."), 403
    except webhook.NotOpenings as refusal:
        return jsonify(error=str(refusal)), 400
    except RequestEntityTooLarge:
        return jsonify(error=f"A report has at most {webhook.MAX_BODY >> 20} MB."), 413
    except OperationalError:
        return jsonify(error="The openings could not be recorded. Please send them again."), 503
    parked = [{"row": place, "reason": reason} for place, reason in done.parked]
    return jsonify(taken=len(done.taken), known=done.known, parked=parked), 201 if done.taken else 200
