"""SendGrid's v3 `mail/send`, up to 1,000 recipients a request, through the vendor's official client.

The parts of the message travel once, with a tag where each slot is; a recipient's slot texts are the
personalization's `substitutions` (subject, reply-to and content; at most 10,000 bytes each). Opens and clicks
are tracked by us, so the vendor's own tracking is switched off. There is no idempotency key: a time-out after
the request left is *unconfirmed*, never a retry.
Source: the vendor's OpenAPI description of the Mail API (tsg_mail_v3).
"""

import socket
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPException
from typing import Any
from urllib.error import URLError

import structlog
from flask_babel import lazy_gettext as _l
from python_http_client.exceptions import HTTPError
from sendgrid import SendGridAPIClient

from app.channels.base import (
    EmailBatch,
    EmailTemplate,
    Envelope,
    Outcome,
    OutgoingEmail,
    Result,
    Segments,
    Setting,
    Vendor,
)
from app.config import Config

log = structlog.get_logger(__name__)
TIMEOUT = 30.0
MAX_PERSONALIZATIONS = 1_000
MAX_SUBSTITUTION_BYTES = 10_000
RETRY_STATUS = {429, 500, 502, 503, 504}


class SendGridChannel:
    """Sends through one account."""

    window = MAX_PERSONALIZATIONS

    def __init__(self, api_key: str, *, host: str) -> None:
        self._client = SendGridAPIClient(api_key, host=host).client
        self._client.timeout = TIMEOUT

    def send(self, batch: EmailBatch, messages: Sequence[OutgoingEmail]) -> list[Result]:
        """One request for each group in which no address appears twice (the vendor refuses such a request)."""
        results: list[Result] = []
        fitting = []
        for email in messages:
            if sum(len(text.encode()) for text in email.slots) > MAX_SUBSTITUTION_BYTES - 500:
                results.append(Result(email.message_id, Outcome.FAILED, reason="merge data larger than 10,000 bytes"))
            else:
                fitting.append(email)
        for group in _without_repeats(fitting):
            results.extend(self._request(batch.template, batch.envelope, group))
        return results

    def _request(self, template: EmailTemplate, envelope: Envelope, emails: list[OutgoingEmail]) -> list[Result]:
        def all_are(outcome: Outcome, *, reference: str | None = None, reason: str | None = None) -> list[Result]:
            # Not taken: the key, its rate or the road to the vendor; never these messages.
            at_fault = outcome is Outcome.NOT_TAKEN
            return [Result(email.message_id, outcome, reference, reason, at_fault) for email in emails]

        try:
            response = self._client.mail.send.post(request_body=request_body(template, envelope, emails))
        except HTTPError as error:
            log.warning("sendgrid_refused", status=error.status_code, messages=len(emails))
            if error.status_code in RETRY_STATUS:
                outcome = Outcome.NOT_TAKEN if error.status_code == 429 else Outcome.UNCONFIRMED
                return all_are(outcome, reason=f"HTTP {error.status_code}")
            if error.status_code in (401, 403):  # the account, not the messages, is at fault
                return all_are(Outcome.NOT_TAKEN, reason=f"HTTP {error.status_code}")
            return all_are(Outcome.FAILED, reason=f"HTTP {error.status_code}")
        except (TimeoutError, OSError, HTTPException) as error:
            refused = isinstance(error, URLError) and isinstance(error.reason, ConnectionRefusedError | socket.gaierror)
            log.warning("sendgrid_unreachable", error=type(error).__name__, messages=len(emails))
            return all_are(Outcome.NOT_TAKEN if refused else Outcome.UNCONFIRMED, reason="no answer from the provider")
        return all_are(Outcome.SENT, reference=response.headers.get("X-Message-Id"))


def request_body(template: EmailTemplate, envelope: Envelope, emails: Sequence[OutgoingEmail]) -> dict[str, Any]:
    """The JSON of one `POST /v3/mail/send`."""
    domain = emails[0].reply_to.partition("@")[2]
    return {
        "from": {"email": envelope.from_address, "name": envelope.from_name},
        "reply_to": {"email": f"-reply-@{domain}"},
        "subject": _tagged(template.subject),
        "content": [
            {"type": "text/plain", "value": _tagged(template.text)},
            {"type": "text/html", "value": _tagged(template.html)},
        ],
        "headers": {
            "List-Id": envelope.list_id,
            "Feedback-ID": envelope.feedback_id,
            **({"Auto-Submitted": "auto-generated"} if envelope.automatic else {}),
        },
        "tracking_settings": {
            "click_tracking": {"enable": False, "enable_text": False},
            "open_tracking": {"enable": False},
            "subscription_tracking": {"enable": False},
        },
        "personalizations": [_personalization(email) for email in emails],
    }


def _personalization(email: OutgoingEmail) -> dict[str, Any]:
    return {
        "to": [{"email": email.recipient}],
        "headers": {
            "List-Unsubscribe": f"<{email.unsubscribe_url}>, <mailto:{email.unsubscribe_address}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
        "substitutions": {
            "-reply-": email.reply_to.partition("@")[0],
            **{_tag(number): text for number, text in enumerate(email.slots)},
        },
        "custom_args": {"bw": email.token},
    }


def _tag(number: int) -> str:
    return f"-slot{number}-"


def _tagged(segments: Segments) -> str:
    return "".join(piece if isinstance(piece, str) else _tag(piece) for piece in segments)


def _without_repeats(emails: Sequence[OutgoingEmail]) -> Iterator[list[OutgoingEmail]]:
    waiting = list(emails)
    while waiting:
        group: dict[str, OutgoingEmail] = {}
        later = []
        for email in waiting:
            if email.recipient.lower() in group or len(group) == MAX_PERSONALIZATIONS:
                later.append(email)
            else:
                group[email.recipient.lower()] = email
        yield list(group.values())
        waiting = later


def _build(settings: Mapping[str, Any], secret: str | None, config: Config) -> SendGridChannel:
    return SendGridChannel(secret or config.sendgrid_api_key, host=settings.get("host") or config.sendgrid_host)


SENDGRID = Vendor(
    "sendgrid",
    "email",
    _l("SendGrid"),
    _build,
    settings=(Setting("host", _l("Address of the API"), description=_l("Left empty: the vendor's own.")),),
    secret_label=_l("API key"),
)
