"""SMTP: a relay with a few kept-alive sessions a worker. How messages go over them is `email/pipeline.py`."""

import smtplib
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from flask_babel import lazy_gettext as _l

from app.channels.base import EmailBatch, OutgoingEmail, Result, Setting, Vendor
from app.channels.email.mime import MimeBuilder
from app.channels.email.pipeline import TIMEOUT, Pipeline, Session
from app.channels.tls import verifying_context
from app.config import Config, has_readable_port
from app.core.clock import now

DEFAULT_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
LARGEST_WINDOW = 100
WINDOW_SECONDS = 0.1
SMALLEST_SHARE = 5  # of a connection in a window: below it, the ledger would cost more than the relay
FIRST_WINDOW = 16  # before anything is known of the relay
_THIS_MACHINE = {"127.0.0.1", "::1", "localhost"}


class SmtpChannel:
    """Sends through one relay: `smtp://[user:password@]host[:port]` or `smtps://…`; STARTTLS with
    `smtp+starttls://…`, which the relay then has to offer.

    Certificates are verified against the machine's authorities and those of `ca_file`. Raises ValueError where the
    address or that file cannot be used, or a password would travel unencrypted.
    """

    def __init__(self, url: str, *, connections: int = 1, ca_file: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname or not has_readable_port(url):
            # Without its words: they may hold the password.
            raise ValueError(f"The relay's address must begin with one of {', '.join(DEFAULT_PORTS)} and name a host.")
        if parts.username and parts.scheme == "smtp" and parts.hostname not in _THIS_MACHINE:
            raise ValueError("The relay's password would travel unencrypted: use smtps or smtp+starttls.")
        self._scheme = parts.scheme
        self._host = parts.hostname
        self._port = parts.port or DEFAULT_PORTS[parts.scheme]
        self._context = verifying_context(ca_file)
        self._user = unquote(parts.username or "")
        self._password = unquote(parts.password or "")
        self._idle: list[Session] = []
        self._connections = connections
        self._built: tuple[EmailBatch, MimeBuilder] | None = None
        self.window = FIRST_WINDOW

    def send(self, batch: EmailBatch, messages: Sequence[OutgoingEmail]) -> list[Result]:
        """Send the window's messages over all the connections."""
        if self._built is None or self._built[0] is not batch:
            self._built = batch, MimeBuilder(batch.template, batch.envelope)
        builder, date = self._built[1], now()
        started = time.monotonic()
        pipeline = Pipeline(
            messages,
            sender=batch.envelope.from_address,
            build=lambda email: builder.build(email, date),
            connect=self._connect,
        )
        results, good = pipeline.run(self._connections)
        self._idle += good
        taken = time.monotonic() - started
        self.window = next_window(self.window, sent=len(messages), seconds=taken, connections=self._connections)
        return results

    def close(self) -> None:
        while self._idle:
            self._idle.pop().quit()

    def _connect(self) -> Session:
        while self._idle:
            session = self._idle.pop()
            if session.alive():
                return session
            session.close()
        if self._scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=TIMEOUT, context=self._context)
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=TIMEOUT)
        try:
            if self._scheme == "smtp+starttls":
                server.starttls(context=self._context)
            server.ehlo_or_helo_if_needed()
            if self._user:
                server.login(self._user, self._password)
            return Session(server)
        except BaseException:
            server.close()
            raise


def next_window(window: int, *, sent: int, seconds: float, connections: int) -> int:
    """How many messages to hand over next, after a window of `sent` took so long: a tenth of a second's worth.

    A crash leaves a window unconfirmed, so a slow relay gets small ones. It grows by doubling at most.
    """
    fitting = int(sent * WINDOW_SECONDS / seconds) if seconds else LARGEST_WINDOW
    return max(SMALLEST_SHARE * connections, min(fitting, 2 * window, LARGEST_WINDOW))


def _build(settings: Mapping[str, Any], secret: str | None, config: Config) -> SmtpChannel:
    connections = int(settings.get("connections") or config.smtp_connections)
    return SmtpChannel(secret or config.smtp_url, connections=connections, ca_file=settings.get("ca_file"))


SMTP = Vendor(
    "smtp",
    "email",
    _l("SMTP relay"),
    _build,
    settings=(
        Setting("connections", _l("Connections of a worker"), kind="number", default=2),
        Setting(
            "ca_file",
            _l("File of certificate authorities"),
            description=_l("Where the relay's certificate is of the firm's own authority: a PEM file on the servers."),
        ),
    ),
    secret_label=_l("Address of the relay with user and password"),
)
