"""SMTP: one kept-alive connection per worker thread, pipelined where the server offers it (RFC 2920).

The rule that matters: until the body has been written, a broken connection means "not taken"; from then until
the server's reply it means "unconfirmed", and nobody sends the message a second time by himself.
"""

import smtplib
import ssl
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog
from flask_babel import lazy_gettext as _l

from app.channels.base import EmailBatch, Envelope, Outcome, OutgoingEmail, Result, Setting, Vendor
from app.channels.email.mime import MimeBuilder
from app.config import Config
from app.core.clock import now

log = structlog.get_logger(__name__)
TIMEOUT = 30.0
LARGEST_WINDOW = 100
WINDOW_SECONDS = 0.1
SMALLEST_SHARE = 2  # of a connection in a window
FIRST_WINDOW = 16  # before anything is known of the relay
MAX_LOST = 3


class SmtpChannel:
    """Sends through one relay: `smtp://[user:password@]host[:port]` or `smtps://…`; STARTTLS with
    `smtp+starttls://…`. Certificates are verified."""

    def __init__(self, url: str, *, connections: int = 1) -> None:
        parts = urlsplit(url)
        self._scheme = parts.scheme
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or (465 if parts.scheme == "smtps" else 25)
        self._user = unquote(parts.username or "")
        self._password = unquote(parts.password or "")
        self._idle: list[_Connection] = []
        self._connections = connections
        self.window = FIRST_WINDOW
        self._pool = ThreadPoolExecutor(max_workers=connections, thread_name_prefix="smtp")

    def send(self, batch: EmailBatch, messages: Sequence[OutgoingEmail]) -> list[Result]:
        """Send the window's messages, shared out over the connections."""
        envelope = batch.envelope
        builder = MimeBuilder(batch.template, envelope)
        shares = [messages[start :: self._connections] for start in range(min(self._connections, len(messages)))]
        results: list[Result] = []
        started = time.monotonic()
        for share in self._pool.map(partial(self._send_share, builder, envelope), shares):
            results.extend(share)
        taken = time.monotonic() - started
        self.window = next_window(self.window, sent=len(messages), seconds=taken, connections=self._connections)
        return results

    def close(self) -> None:
        while self._idle:
            self._idle.pop().quit()

    def _send_share(self, builder: MimeBuilder, envelope: Envelope, emails: Sequence[OutgoingEmail]) -> list[Result]:
        results: list[Result] = []
        connection: _Connection | None = None
        lost = 0  # connections in a row that took nothing
        for position, email in enumerate(emails):
            try:
                if lost >= MAX_LOST:
                    raise ConnectionError
                connection = connection or self._connect()
            except (OSError, smtplib.SMTPException) as error:
                log.warning("smtp_unreachable", error=type(error).__name__)
                return results + [_not_taken(later, "relay unreachable", at_fault=True) for later in emails[position:]]
            result = connection.send(email, builder.build(email, now()), envelope.from_address)
            results.append(result)
            if connection.broken:
                connection = None
                lost = lost + 1 if result.outcome is Outcome.NOT_TAKEN else 0
            else:
                lost = 0
        if connection is not None:
            self._idle.append(connection)
        return results

    def _connect(self) -> "_Connection":
        while self._idle:
            connection = self._idle.pop()
            if connection.alive():
                return connection
        context = ssl.create_default_context()
        if self._scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=TIMEOUT, context=context)
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=TIMEOUT)
        if self._scheme == "smtp+starttls":
            server.starttls(context=context)
        server.ehlo_or_helo_if_needed()
        if self._user:
            server.login(self._user, self._password)
        return _Connection(server)


def next_window(window: int, *, sent: int, seconds: float, connections: int) -> int:
    """How many messages to hand over next, after a window of `sent` took so long: a tenth of a second's worth.

    A crash leaves a window unconfirmed, so a slow relay gets small ones. It grows by doubling at most.
    """
    fitting = int(sent * WINDOW_SECONDS / seconds) if seconds else LARGEST_WINDOW
    return max(SMALLEST_SHARE * connections, min(fitting, 2 * window, LARGEST_WINDOW))


def _not_taken(email: OutgoingEmail, reason: str, *, at_fault: bool = False) -> Result:
    return Result(email.message_id, Outcome.NOT_TAKEN, reason=reason, account_at_fault=at_fault)


class _Connection:
    """One open session with the relay."""

    def __init__(self, server: smtplib.SMTP) -> None:
        self._server = server
        self._pipelining = server.has_extn("pipelining")
        self.broken = False

    def alive(self) -> bool:
        try:
            return self._server.noop()[0] == 250
        except (OSError, smtplib.SMTPException):
            return False

    def quit(self) -> None:
        try:
            self._server.quit()
        except (OSError, smtplib.SMTPException):
            self._server.close()

    def _reset(self) -> bool:
        try:
            return self._server.rset()[0] == 250
        except (OSError, smtplib.SMTPException):
            return False

    def send(self, email: OutgoingEmail, mime: bytes, sender: str) -> Result:
        """One transaction: MAIL, RCPT and DATA in one packet where allowed, then the body."""
        handed = False
        try:
            for code, text in self._commands(f"MAIL FROM:<{sender}>", f"RCPT TO:<{email.recipient}>", "DATA"):
                if not 200 <= code < 400:
                    return self._refused(email, code, text)
            handed = True
            self._server.send(b"".join((_stuffed(mime), b".\r\n")))
            code, text = self._server.getreply()
        except (OSError, smtplib.SMTPException) as error:
            self.broken = True
            log.warning("smtp_connection_lost", message=email.message_id, handed=handed, error=type(error).__name__)
            if handed:
                return Result(email.message_id, Outcome.UNCONFIRMED, reason="connection lost after the body")
            return _not_taken(email, "connection lost")
        if 200 <= code < 300:
            return Result(email.message_id, Outcome.SENT, reference=text.decode(errors="replace")[:120])
        if not 400 <= code < 600:
            self.broken = True
            return Result(email.message_id, Outcome.UNCONFIRMED, reason="no clear answer after the body")
        return self._refused(email, code, text)

    def _commands(self, *lines: str) -> list[tuple[int, bytes]]:
        """Replies up to the first refusal. What was pipelined past it is read and undone."""
        replies: list[tuple[int, bytes]] = []
        if self._pipelining:
            self._server.send("".join(f"{line}\r\n" for line in lines).encode())
            replies = [self._server.getreply() for _ in lines]
            refused = any(not 200 <= code < 400 for code, _ in replies)
            if refused and replies[-1][0] == 354:
                self._server.send(b".\r\n")  # an empty body for no recipient, as RFC 2920 section 3.1 asks for
                self._server.getreply()
            return replies
        for line in lines:
            self._server.putcmd(line)
            replies.append(self._server.getreply())
            if not 200 <= replies[-1][0] < 400:
                break
        return replies

    def _refused(self, email: OutgoingEmail, code: int, text: bytes) -> Result:
        """The server's word stands, whatever becomes of the connection after it."""
        self.broken = code == 421 or not self._reset()
        reason = f"{code} {text.decode(errors='replace')[:200]}"
        if 400 <= code < 500:
            return _not_taken(email, reason)
        return Result(email.message_id, Outcome.FAILED, reason=reason)


def _stuffed(mime: bytes) -> bytes:
    """Dot-stuffed (RFC 5321, 4.5.2), ending with CRLF."""
    stuffed = mime.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


def _build(settings: Mapping[str, Any], secret: str | None, config: Config) -> SmtpChannel:
    connections = int(settings.get("connections") or config.smtp_connections)
    return SmtpChannel(secret or config.smtp_url, connections=connections)


SMTP = Vendor(
    "smtp",
    "email",
    _l("SMTP relay"),
    _build,
    settings=(Setting("connections", _l("Connections of a worker"), kind="number", default=2),),
    secret_label=_l("Address of the relay with user and password"),
)
