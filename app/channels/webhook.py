"""Webhook: one signed HTTP POST per message, for anything that has no channel of its own.

The body is JSON: {"message": token, "campaign": code, "data": {...}}, `data` being what the step says. The receiver
checks `Bellwether-Signature: v1=<hex>`, the HMAC-SHA256 of `<Bellwether-Timestamp>.<body>` with the shared key, and
knows a repetition by `Idempotency-Key`, which is the message's token. It answers 2xx once it has the message for good.
"""

import hmac
import json
import select
import socket
import ssl
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

import structlog
from flask_babel import lazy_gettext as _l

from app.channels.base import Outcome, Result, Setting, Vendor
from app.channels.tls import verifying_context
from app.config import Config, Network, has_readable_port
from app.core.clock import now

log = structlog.get_logger(__name__)
TIMEOUT = 10.0  # seconds without a word
SHORTEST_KEY = 16
WINDOW_OF_A_CONNECTION = 10
LONGEST_REST = timedelta(hours=24)
_MOST_WORDS = 64 << 10  # bytes of an answer that are read
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in disguise
# The key, the address or the way are wrong for every message alike; a redirect is never followed.
_ACCOUNT = {301, 307, 308, 401, 403, 407, 408, 425, 429}


class AddressRefused(OSError):
    """The receiver's name leads into a network that the configuration does not allow."""


@dataclass(frozen=True, slots=True)
class WebhookBatch:
    """What all posts of a batch share."""

    campaign: str


@dataclass(frozen=True, slots=True)
class OutgoingPost:
    """One message: `data` is JSON as the step's template says, the client's values filled in."""

    message_id: int
    token: str
    data: Any


class WebhookChannel:
    """Posts to one address over a few kept-alive connections, each in a thread of its own."""

    def __init__(
        self, url: str, *, key: str, connections: int = 4, networks: Sequence[Network] = (), ca_file: str | None = None
    ) -> None:
        """`networks` may be posted to though they are not public. Raises ValueError where address or key are wrong."""
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.hostname or not has_readable_port(url) or parts.username:
            raise ValueError("The address must be https://host/path, without user and password.")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise ValueError("The address must begin with https://.")
        if len(key) < SHORTEST_KEY:
            raise ValueError(f"The signing key must be at least {SHORTEST_KEY} characters long.")
        self._tls = verifying_context(ca_file) if parts.scheme == "https" else None
        self._host, self._port = parts.hostname, parts.port or (443 if self._tls else 80)
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not self._target.isascii() or not self._target.isprintable() or " " in self._target:
            raise ValueError("The address must be https://host/path, without user and password.")
        self._key = key.encode()
        self._networks = networks
        self._connections = connections
        self._idle: list[HTTPConnection] = []
        self.window = WINDOW_OF_A_CONNECTION * connections

    def send(self, batch: WebhookBatch, messages: Sequence[OutgoingPost]) -> list[Result]:
        """Post every message; once the receiver is in trouble, what has not left is not taken."""
        waiting, results, troubles = deque(messages), list[Result](), list[Result]()

        def work() -> None:
            connection = self._idle.pop() if self._idle else None
            while waiting:
                try:
                    post = waiting.popleft()
                except IndexError:  # another thread was faster
                    break
                if troubles:
                    results.append(troubles[0].to_wait_too(post.message_id))
                    continue
                connection, result = self._post(connection, batch, post)
                results.append(result)
                if result.account_at_fault:
                    troubles.append(result)
            if connection is not None:
                self._idle.append(connection)

        count = min(self._connections, len(messages))
        with ThreadPoolExecutor(max(count, 1)) as threads:
            for done in [threads.submit(work) for _ in range(count)]:
                done.result()
        return results

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _post(
        self, connection: HTTPConnection | None, batch: WebhookBatch, post: OutgoingPost
    ) -> tuple[HTTPConnection | None, Result]:
        """The connection, where it can be used again, and what became of the message."""
        content = {"message": post.token, "campaign": batch.campaign, "data": post.data}
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
        begun = False
        try:
            connection = connection if connection is not None and _alive(connection) else self._open()
            connection.putrequest("POST", self._target)
            for name, value in self._headers(body, post.token).items():
                connection.putheader(name, value)
            connection.endheaders()
            begun = True  # from here on the receiver may have it
            connection.send(body)
            response = connection.getresponse()
        except (OSError, HTTPException, ValueError) as error:
            if connection is not None:
                connection.close()
            log.warning("webhook_unreachable", message=post.message_id, begun=begun, error=type(error).__name__)
            outcome = Outcome.UNCONFIRMED if begun else Outcome.NOT_TAKEN
            return None, Result(post.message_id, outcome, None, _trouble(error, begun=begun), account_at_fault=True)
        words = _words(response)
        usable = response.isclosed() and connection.sock is not None
        if not usable:
            connection.close()
        return connection if usable else None, outcome_of(post.message_id, response, words)

    def _headers(self, body: bytes, token: str) -> dict[str, str]:
        timestamp = str(int(now().timestamp()))
        return {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "User-Agent": "Bellwether",
            "Idempotency-Key": token,
            "Bellwether-Timestamp": timestamp,
            "Bellwether-Signature": f"v1={signature(self._key, timestamp, body)}",
        }

    def _open(self) -> HTTPConnection:
        """A connection to an address that was looked at: the name is not asked for a second time."""
        trouble: OSError = AddressRefused()
        for *_, place in socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM):
            if not self._may_reach(str(place[0])):
                continue
            try:
                plain = socket.create_connection((str(place[0]), self._port), TIMEOUT)
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # headers and body leave one by one
                connection = HTTPConnection(self._host, self._port, TIMEOUT)
                connection.auto_open = 0  # it would ask for the name again
                connection.sock = self._tls.wrap_socket(plain, server_hostname=self._host) if self._tls else plain
                return connection
            except OSError as error:
                trouble = error
        raise trouble

    def _may_reach(self, place: str) -> bool:
        address: IPv4Address | IPv6Address = ip_address(place.partition("%")[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if any(address in network for network in self._networks):
            return self._tls is not None or address.is_loopback
        return self._tls is not None and address.is_global and not address.is_multicast and address not in _NAT64


def signature(key: bytes, timestamp: str, body: bytes) -> str:
    """What the receiver works out too: hexadecimal HMAC-SHA256 over timestamp, a dot and the body as it came."""
    return hmac.digest(key, timestamp.encode() + b"." + body, "sha256").hex()


def outcome_of(message_id: int, response: HTTPResponse, words: str) -> Result:
    """What an answer says of the message. What a receiver may have kept is never offered again."""
    status = response.status
    if 200 <= status < 300:
        return Result(message_id, Outcome.SENT, reference=(response.getheader("X-Request-Id") or "")[:120] or None)
    reason = f"HTTP {status} {words}".strip()
    again_at = _retry_after(response) if status in (429, 503) else None
    log.warning("webhook_refused", message=message_id, status=status)
    if status in _ACCOUNT or again_at is not None:
        return Result(message_id, Outcome.NOT_TAKEN, None, reason, account_at_fault=True, again_at=again_at)
    if 400 <= status < 500:
        return Result(message_id, Outcome.FAILED, reason=reason)
    return Result(message_id, Outcome.UNCONFIRMED, reason=reason, account_at_fault=True)


def _retry_after(response: HTTPResponse) -> datetime | None:
    """`Retry-After` (RFC 9110, 10.2.3): seconds or a date; None where it says nothing sensible."""
    said = (response.getheader("Retry-After") or "").strip()
    if said.isascii() and said.isdecimal() and len(said) <= 6:
        moment = now() + timedelta(seconds=max(int(said), 1))
    else:
        try:
            moment = parsedate_to_datetime(said)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(moment, now() + timedelta(seconds=1)), now() + LONGEST_REST)


def _words(response: HTTPResponse) -> str:
    """The beginning of what the receiver said, in one line. Its status counts even where the rest never comes."""
    try:
        said = response.read(_MOST_WORDS)
        if response.length or not response.isclosed():
            response.read(1)  # notices the end, so that the connection can be used again
    except (OSError, HTTPException, ValueError):
        return ""
    return "".join(c for c in " ".join(said.decode(errors="replace").split()) if c.isprintable())[:200]


def _alive(connection: HTTPConnection) -> bool:
    """Whether an idle connection is still open: something to read from it can only be its end."""
    return connection.sock is not None and not select.select([connection.sock], [], [], 0)[0]


def _trouble(error: Exception, *, begun: bool) -> str:
    """Why there was no answer, for the staff who look after the account."""
    match error:
        case AddressRefused():
            return "the address leads into a network that the configuration does not allow"
        case ssl.SSLCertVerificationError():
            return f"the receiver's certificate is not valid: {error.verify_message}"
        case socket.gaierror():
            return "the receiver's name is unknown"
    return "no answer from the receiver" if begun else "the receiver is unreachable"


def _build(settings: Mapping[str, Any], secret: str | None, config: Config) -> WebhookChannel:
    return WebhookChannel(
        str(settings.get("url") or ""),
        key=secret or "",
        connections=int(settings.get("connections") or 4),
        networks=config.webhook_networks,
        ca_file=settings.get("ca_file"),
    )


WEBHOOK = Vendor(
    "webhook",
    "webhook",
    _l("Webhook"),
    _build,
    settings=(
        Setting("url", _l("Address"), required=True, description=_l("Where messages are posted: https://host/path.")),
        Setting("connections", _l("Connections of a worker"), kind="number", default=4),
        Setting("ca_file", _l("File of certificate authorities")),
    ),
    secret_label=_l("Signing key"),
)
