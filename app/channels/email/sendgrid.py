"""SendGrid's v3 `mail/send`, up to 1,000 recipients a request, through the vendor's official client.

The parts of the message travel once, with a tag where each slot is; a recipient's slot texts are the
personalization's `substitutions` (subject, reply-to and content; at most 10,000 bytes each). Opens and clicks
are tracked by us, so the vendor's own tracking is switched off. There is no idempotency key: a time-out after
the request left is *unconfirmed*, never a retry. A request that is refused was not taken: 413 is halved, 400 goes again
without the personalizations that the vendor names, 429 rests the account until `X-RateLimit-Reset`.
Source: the vendor's OpenAPI description of the Mail API (tsg_mail_v3).
"""

import errno
import json
import logging
import re
import socket
import ssl
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
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
from app.channels.email.pipeline import not_taken
from app.config import Config
from app.core.clock import now

log = structlog.get_logger(__name__)
TIMEOUT = 30.0  # seconds without a word
OWN_HOST = "https://api.sendgrid.com"  # in the United States
ACCEPTED, BAD_REQUEST, TOO_LARGE, TOO_MANY = 202, 400, 413, 429
MAX_MORE_REQUESTS = 40  # of a window, for what is offered again without the messages that were refused
LONGEST_REST = timedelta(hours=24)
MAX_PERSONALIZATIONS = 1_000
MAX_SUBSTITUTION_BYTES = 10_000
_PLACE = re.compile(r"personalizations\.(\d{1,4})(?:\.|$)")

logging.getLogger("python_http_client").setLevel(logging.WARNING)  # below, it writes whole requests

Group = list[OutgoingEmail]


class SendGridChannel:
    """Sends through one account."""

    window = MAX_PERSONALIZATIONS

    def __init__(self, api_key: str, *, host: str) -> None:
        """Raises ValueError where the key cannot be one."""
        if not api_key.isascii() or not api_key.isprintable():
            raise ValueError("The API key holds characters that no key has.")
        self._client = SendGridAPIClient(api_key, host=host).client
        self._rests_until: datetime | None = None

    def send(self, batch: EmailBatch, messages: Sequence[OutgoingEmail]) -> list[Result]:
        """One request for each group in which no address appears twice (the vendor refuses such a request)."""
        results: list[Result] = []
        fitting = []
        for email in messages:
            if sum(len(text.encode()) for text in email.slots) > MAX_SUBSTITUTION_BYTES - 500:
                results.append(Result(email.message_id, Outcome.FAILED, reason="merge data larger than 10,000 bytes"))
            else:
                fitting.append(email)
        waiting = deque(_without_repeats(fitting))
        requests_left = len(waiting) + MAX_MORE_REQUESTS
        while waiting:
            emails = waiting.popleft()
            if self._rests_until and now() < self._rests_until:
                results += _all_are(emails, Outcome.NOT_TAKEN, "over the provider's rate", again_at=self._rests_until)
            elif not requests_left:
                results += [not_taken(email, "other messages of its request were refused") for email in emails]
            else:
                requests_left -= 1
                answered, again = self._request(batch, emails)
                results += answered
                waiting.extendleft(again)
        return results

    def _request(self, batch: EmailBatch, emails: Group) -> tuple[list[Result], list[Group]]:
        """What became of the messages of one request, and the groups to offer again without those at fault."""
        body = request_body(batch.template, batch.envelope, emails)
        try:
            response = self._client.mail.send.post(request_body=body, timeout=TIMEOUT)
        except HTTPError as error:
            log.warning("sendgrid_refused", status=error.status_code, messages=len(emails))
            return self._refused(error, emails)
        except (OSError, HTTPException, ValueError) as error:
            log.warning("sendgrid_unreachable", error=type(error).__name__, messages=len(emails))
            outcome = Outcome.NOT_TAKEN if _never_left(error) else Outcome.UNCONFIRMED
            return _all_are(emails, outcome, "no answer from the provider"), []
        if response.headers.get("X-RateLimit-Remaining") == "0":
            self._rests_until = _reset_time(response.headers)
        if response.status_code != ACCEPTED:
            reason = f"an answer that the provider does not give: HTTP {response.status_code}"
            return _all_are(emails, Outcome.UNCONFIRMED, reason), []
        reference = response.headers.get("X-Message-Id")
        return [Result(email.message_id, Outcome.SENT, reference) for email in emails], []

    def _refused(self, error: HTTPError, emails: Group) -> tuple[list[Result], list[Group]]:
        status = error.status_code
        problems = _problems(error)
        reason = f"HTTP {status} {'; '.join(words for _, words in problems)}".strip()[:300]
        if status == TOO_MANY:
            self._rests_until = _reset_time(error.headers)
            return _all_are(emails, Outcome.NOT_TAKEN, reason, again_at=self._rests_until), []
        if status >= 500:
            return _all_are(emails, Outcome.UNCONFIRMED, reason), []
        if status == TOO_LARGE and len(emails) > 1:
            middle = len(emails) // 2
            return [], [emails[:middle], emails[middle:]]
        if status == BAD_REQUEST:
            if any(field.partition(".")[0] in ("from", "from_email") for field, _ in problems):
                return _all_are(emails, Outcome.NOT_TAKEN, reason), []
            blamed = _blamed(problems, len(emails))
            if blamed:
                failed = [
                    Result(emails[place].message_id, Outcome.FAILED, reason=f"HTTP {status} {words}"[:300])
                    for place, words in blamed.items()
                ]
                others = [email for place, email in enumerate(emails) if place not in blamed]
                return failed, [others] if others else []
        if status in (BAD_REQUEST, TOO_LARGE):
            return [Result(email.message_id, Outcome.FAILED, reason=reason) for email in emails], []
        return _all_are(emails, Outcome.NOT_TAKEN, reason), []  # the key, or the address of the API


def _all_are(emails: Group, outcome: Outcome, reason: str, *, again_at: datetime | None = None) -> list[Result]:
    """The same for every message, because of the account: its key, its rate or the road to the vendor."""
    return [Result(email.message_id, outcome, None, reason, True, again_at) for email in emails]


def _never_left(error: Exception) -> bool:
    """Whether no connection was made, so that nothing can have been taken."""
    cause = error.reason if isinstance(error, URLError) else error
    return isinstance(cause, ConnectionRefusedError | socket.gaierror | ssl.SSLCertVerificationError) or (
        isinstance(cause, OSError) and cause.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH)
    )


def _reset_time(headers: Mapping[str, str]) -> datetime | None:
    """When the vendor takes more: `X-RateLimit-Reset`, seconds since 1970. None where it says nothing sensible."""
    said = headers.get("X-RateLimit-Reset") or ""
    if not (said.isascii() and said.isdecimal() and len(said) <= 11):
        return None
    moment, present = datetime.fromtimestamp(int(said), UTC), now()
    return moment if present < moment <= present + LONGEST_REST else None


def _problems(error: HTTPError) -> list[tuple[str, str]]:
    """The vendor's words: field and message of each error; none where it answered in another form."""
    try:
        errors = json.loads(error.body)["errors"]
        return [(str(one.get("field") or ""), " ".join(str(one["message"]).split())) for one in errors]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []


def _blamed(problems: list[tuple[str, str]], count: int) -> dict[int, str]:
    """The places of the personalizations that errors name, such as `personalizations.3.to.0.email`, and the words."""
    found: dict[int, str] = {}
    for field, words in problems:
        place = _PLACE.match(field)
        if place is None or int(place[1]) >= count:
            return {}  # something that all of them share
        found[int(place[1])] = words
    return found


def request_body(template: EmailTemplate, envelope: Envelope, emails: Sequence[OutgoingEmail]) -> dict[str, Any]:
    """The JSON of one `POST /v3/mail/send`."""
    domain = emails[0].reply_to.partition("@")[2]
    tags = [_tag(number) for number in range(len(emails[0].slots))]
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
        "personalizations": [_personalization(email, envelope, tags) for email in emails],
    }


def _personalization(email: OutgoingEmail, envelope: Envelope, tags: Sequence[str]) -> dict[str, Any]:
    return {
        "to": [{"email": email.recipient}],
        "headers": {
            "Message-ID": email.message_id_header(envelope),
            "List-Unsubscribe": f"<{email.unsubscribe_url}>, <mailto:{email.unsubscribe_address}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            **({"In-Reply-To": email.in_reply_to, "References": email.in_reply_to} if email.in_reply_to else {}),
        },
        "substitutions": {
            "-reply-": email.reply_to.partition("@")[0],
            **dict(zip(tags, email.slots, strict=True)),
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
    abroad=lambda settings, config: str(settings.get("host") or config.sendgrid_host).startswith(OWN_HOST),
)
