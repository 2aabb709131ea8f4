"""What SMS vendors call, and the SMS that answer nothing we sent. An answer of 2xx means: committed."""

import hmac
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import structlog
from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import select
from werkzeug.wrappers import Response as AnyResponse

from app.channels.models import ChannelAccount
from app.channels.registry import settings_secret
from app.core.clock import now
from app.core.errors import AppError, NotFound
from app.core.extensions import csrf, db, settings, signer
from app.core.permissions import Permission, public, requires
from app.core.tokens import BadToken
from app.core.unit_of_work import unit_of_work
from app.core.web import for_clients
from app.tracking import sms
from app.tracking.intake import Unrecorded
from app.tracking.models import ParkedSms
from app.tracking.replies.queries import may_see_parked
from app.tracking.service import intake
from app.users.sessions import signed_in_user

MAX_BODY = 4 << 20
EMPTY_ANSWER = '<?xml version="1.0" encoding="UTF-8"?><Response></Response>'

bp = Blueprint("sms_webhooks", __name__, url_prefix="/webhooks")
csrf.exempt(bp)
parked = Blueprint("parked_sms", __name__, url_prefix="/sms/parked")
log = structlog.get_logger(__name__)


def _say(status: int, sentence: str) -> Response:
    return Response(sentence, status=status, mimetype="text/plain")


# ---- Twilio ---------------------------------------------------------------------------------------------------------


@bp.post("/twilio/status/<token>")
@public
@for_clients
def twilio_status(token: str) -> Response:
    """A status callback: signed, kept as a raw event, interpreted later."""
    request.max_content_length = MAX_BODY
    form = request.form.to_dict()
    if _signed_account(form) is None:
        return _say(403, "The signature does not match.")
    try:
        intake().record(sms.twilio_receipt(form, token, signer=signer(), at=now()))
    except BadToken:
        return _say(404, "This is about no message of ours.")
    except Unrecorded:
        return _say(503, "The receipt could not be recorded. Please send it again.")
    return _say(200, "Recorded.")


@bp.post("/twilio/inbound")
@public
@for_clients
def twilio_inbound() -> Response:
    """An SMS from a client. HELP is answered; STOP is confirmed by the vendor itself."""
    request.max_content_length = MAX_BODY
    form = request.form.to_dict()
    if _signed_account(form) is None:
        return _say(403, "The signature does not match.")
    if not form.get("From") or not form.get("MessageSid"):
        return _say(400, "This is not an SMS as Twilio passes it on.")
    inbound = sms.InboundSms("twilio", form["MessageSid"][:200], form["From"], form.get("Body", ""))
    with unit_of_work():
        received = sms.receive_sms(inbound)
    answer = EMPTY_ANSWER
    if received.meaning == "help" and received.new:
        answer = render_template("public/sms_help.xml", firm=settings().firm_name, address=settings().firm_address)
    return Response(answer, mimetype="text/xml")


def _signed_account(form: Mapping[str, str]) -> ChannelAccount | None:
    """The Twilio account that signed the request over the public address; None where none did.

    Source: "Validating Signatures from Twilio": HMAC-SHA1 over the address and the sorted parameters.
    """
    signature = request.headers.get("X-Twilio-Signature", "")
    address = settings().public_url + request.full_path.rstrip("?")
    signed = (address + "".join(key + form[key] for key in sorted(form))).encode("utf-8", "replace")
    accounts = db.session.scalars(select(ChannelAccount).where(ChannelAccount.vendor == "twilio"))
    for account in accounts:
        if account.settings.get("account_sid") != form.get("AccountSid"):
            continue
        try:
            key = settings_secret(account) or ""
        except AppError:
            log.warning("twilio_secret_missing", account=account.id)
            continue
        expected = b64encode(hmac.digest(key.encode(), signed, "sha1"))
        if key and hmac.compare_digest(expected, signature.encode()):
            return account
    log.warning("twilio_bad_signature")
    return None


# ---- Gateways -------------------------------------------------------------------------------------------------------


@bp.route("/sms/<int:account_id>/receipts/<token>", methods=["GET", "POST"])
@public
@for_clients
def gateway_receipts(account_id: int, token: str) -> Response:
    """Receipts of a gateway, by the mapping of its account."""
    account = _gateway(account_id, token)
    if account is None:
        return _say(403, "The token in this address is not right.")
    events = list(sms.gateway_receipts(_answer(), account, signer=signer(), at=now()))
    if not events:
        return _say(400, "There are no receipts in this request.")
    try:
        intake().record(*events)
    except Unrecorded:
        return _say(503, "The receipts could not be recorded. Please send them again.")
    return _say(200, "Recorded.")


@bp.route("/sms/<int:account_id>/inbound/<token>", methods=["GET", "POST"])
@public
@for_clients
def gateway_inbound(account_id: int, token: str) -> Response:
    """SMS from clients that a gateway passes on, by the mapping of its account."""
    account = _gateway(account_id, token)
    if account is None:
        return _say(403, "The token in this address is not right.")
    messages = list(sms.gateway_messages(_answer(), account))
    if not messages:
        return _say(400, "There are no messages in this request.")
    with unit_of_work():
        for inbound in messages:
            sms.receive_sms(inbound)
    return _say(200, "Received.")


def _gateway(account_id: int, token: str) -> ChannelAccount | None:
    request.max_content_length = MAX_BODY
    account = db.session.get(ChannelAccount, account_id) if account_id < 1 << 62 else None
    if account is None or account.vendor != "http_gateway":
        return None
    return account if hmac.compare_digest(sms.webhook_token(account).encode(), token.encode()) else None


def _answer() -> Any:
    """What the gateway says, as JSON: its body, or the fields of its form or address. None for what cannot be read."""
    if not request.is_json:
        return request.values.to_dict()
    try:
        return request.get_json(silent=True)
    except RecursionError:
        return None


# ---- Parked SMS -----------------------------------------------------------------------------------------------------


@parked.post("/<int:parked_id>/settle")
@requires(Permission.MANAGE_REPLIES)
def settle(parked_id: int) -> AnyResponse:
    if not may_see_parked(signed_in_user()):
        raise NotFound
    with unit_of_work():
        found = db.session.get(ParkedSms, parked_id) if parked_id < 1 << 62 else None
        if found is None:
            raise AppError(_("This SMS is not there any more."))
        if found.settled_at is None:
            found.settled_at, found.settled_by_id = now(), signed_in_user().id
    return redirect(url_for("replies.parked"))
