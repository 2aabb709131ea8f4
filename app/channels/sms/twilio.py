"""Twilio's Programmable Messaging through the official client: one request a message, several at a time.

Source: the vendor's API reference ("Message Resource", "Error and Warning Dictionary"). There is no idempotency key: a
request that left and was not answered is unconfirmed; the status callback carries our token and settles it.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import structlog
from flask_babel import lazy_gettext as _l
from requests.exceptions import ConnectionError as NoConnection
from requests.exceptions import ConnectTimeout, RequestException
from urllib3.exceptions import MaxRetryError, NewConnectionError

from app.channels.base import Outcome, Result, Setting, Vendor
from app.channels.sms.message import OutgoingSms, SmsBatch
from app.channels.sms.offering import offer
from app.config import Config

TIMEOUT = 20.0
CONNECTIONS = 10
OWN_HOST = "https://api.twilio.com"  # in the United States
STATUS_PATH = "/webhooks/twilio/status"
ACCOUNT_AT_FAULT = {401, 403, 429}

log = structlog.get_logger(__name__)


class TwilioChannel:
    """Sends through one account, from a number or a messaging service of it."""

    window = 2 * CONNECTIONS

    def __init__(self, account_sid: str, auth_token: str, *, sender: str, public_url: str, host: str = "") -> None:
        # By name: the client's package is large, and only workers that send through it shall pay for it.
        http_client = import_module("twilio.http.http_client").TwilioHttpClient(timeout=TIMEOUT)
        if host:
            http_client = _elsewhere(http_client, host)
        client = import_module("twilio.rest").Client(account_sid, auth_token, http_client=http_client)
        self._refused = import_module("twilio.base.exceptions").TwilioRestException
        self._messages = client.messages
        self._from = {"messaging_service_sid" if sender.startswith("MG") else "from_": sender}
        self._callback = f"{public_url}{STATUS_PATH}/"

    def send(self, batch: SmsBatch, messages: Sequence[OutgoingSms]) -> list[Result]:
        with ThreadPoolExecutor(min(CONNECTIONS, len(messages))) as threads:
            return offer([[sms] for sms in messages], lambda group: [self._send_one(sms) for sms in group], threads)

    def _send_one(self, sms: OutgoingSms) -> Result:
        callback = {"status_callback": self._callback + sms.token} if sms.message_id else {}
        try:
            sent = self._messages.create(to=sms.recipient, body=sms.text, **self._from, **callback)
        except self._refused as error:
            return _refusal(sms, error)
        except (ConnectTimeout, NoConnection) as error:
            if isinstance(error, ConnectTimeout) or _never_connected(error):
                return Result(sms.message_id, Outcome.NOT_TAKEN, reason="unreachable", account_at_fault=True)
            return _unanswered(sms)
        except (RequestException, OSError, ValueError, KeyError) as error:
            log.warning("twilio_no_answer", error=type(error).__name__)
            return _unanswered(sms)
        return Result(sms.message_id, Outcome.SENT, reference=sent.sid)


def _refusal(sms: OutgoingSms, error: Any) -> Result:
    reason = f"HTTP {error.status}, error {error.code}: {str(error.msg)[:200]}"
    log.warning("twilio_refused", status=error.status, code=error.code)
    if error.status in ACCOUNT_AT_FAULT:
        return Result(sms.message_id, Outcome.NOT_TAKEN, reason=reason, account_at_fault=True)
    if error.status >= 500:
        return Result(sms.message_id, Outcome.UNCONFIRMED, reason=reason, account_at_fault=True)
    return Result(sms.message_id, Outcome.FAILED, reason=reason)


def _unanswered(sms: OutgoingSms) -> Result:
    return Result(sms.message_id, Outcome.UNCONFIRMED, reason="no answer from the provider", account_at_fault=True)


def _never_connected(error: NoConnection) -> bool:
    """Whether the connection was refused before any byte left."""
    cause = error.args[0] if error.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)


def _elsewhere(http_client: Any, host: str) -> Any:
    """The client with another address in place of the vendor's own, as for a proxy."""
    request = http_client.request

    def redirected(method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        return request(method, url.replace(OWN_HOST, host.rstrip("/"), 1), *args, **kwargs)

    http_client.request = redirected
    return http_client


def _build(settings: Mapping[str, Any], secret: str | None, config: Config) -> TwilioChannel:
    account_sid, sender = (str(settings.get(name) or "") for name in ("account_sid", "sender"))
    if not account_sid or not sender or not secret:
        raise ValueError("Twilio needs the account's SID, a sender and the auth token")
    return TwilioChannel(
        account_sid, secret, sender=sender, public_url=config.public_url, host=str(settings.get("host") or "")
    )


TWILIO = Vendor(
    "twilio",
    "sms",
    _l("Twilio"),
    _build,
    settings=(
        Setting("account_sid", _l("Account SID"), required=True),
        Setting(
            "sender", _l("Number or messaging service"), required=True, description=_l("Such as +14155550100 or MG…")
        ),
        Setting("host", _l("Address of the API"), description=_l("Left empty: the vendor's own.")),
        Setting("price_per_part", _l("Price of a part"), kind="number"),
        Setting("currency", _l("Currency"), default="USD"),
    ),
    secret_label=_l("Auth token"),
    abroad=lambda settings, _config: str(settings.get("host") or OWN_HOST).startswith(OWN_HOST),
)
