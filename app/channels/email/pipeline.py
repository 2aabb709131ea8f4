"""Many messages over a few open SMTP sessions, driven by one thread.

Where the relay offers PIPELINING (RFC 2920), the commands of the next message leave together with the body of this one,
so a message costs one round trip; sessions take turns as their replies come in.

The rule that matters: until the body has begun to be written, a broken session means "not taken", and the message is
offered to the next session; from then until the relay's reply it means "unconfirmed", and nobody sends it again.
"""

import selectors
import smtplib
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto

import structlog

from app.channels.base import Outcome, OutgoingEmail, Result
from app.channels.email.mime import mail_address

log = structlog.get_logger(__name__)
TIMEOUT = 30.0  # seconds without a word from any session
MAX_LOST = 3  # sessions in a row that ended without having answered for anything
_FRESH = 5.0  # seconds for which an idle session is not asked whether it lives
_LONGEST_REPLY = 1 << 16
WITHOUT_LEAVE = {530, 534, 535, 538}  # RFC 4954: the account has to sign in, or to do so better

Build = Callable[[OutgoingEmail], bytes]


class LeaveRefused(smtplib.SMTPException):
    """The relay takes nothing of this account, whatever the message."""


class _Stage(Enum):
    """What a reply that is waited for answers."""

    MAIL = auto()
    RCPT = auto()
    DATA = auto()
    BODY = auto()
    UNDO = auto()  # RSET, or the empty body after a refused recipient


class Session:
    """An open, greeted connection, and where its transaction stands."""

    def __init__(self, server: smtplib.SMTP) -> None:
        if server.sock is None:
            raise ConnectionError
        self._server = server
        self.socket: socket.socket = server.sock
        self.pipelining = server.has_extn("pipelining")
        self.international = server.has_extn("smtputf8")
        self.eight_bit = server.has_extn("8bitmime")
        self.tells_size = server.has_extn("size")
        limit = server.esmtp_features.get("size", "")
        self.largest = int(limit) if limit.isdecimal() and int(limit) else None  # bytes; RFC 1870
        self.replies = bytearray()
        self.stages: deque[_Stage] = deque()
        self.commands: deque[bytes] = deque()  # to be sent one by one where the relay does not pipeline
        self.offered: OutgoingEmail | None = None  # its commands are on their way
        self.mime = b""  # of what is offered
        self.handed: OutgoingEmail | None = None  # its body is written, or may be
        self.refusal: tuple[int, str] | None = None  # of what is offered
        self.took_anything = False
        self._used = time.monotonic()

    def alive(self) -> bool:
        """Whether an idle session can be used again."""
        if time.monotonic() - self._used < _FRESH and not isinstance(self.socket, ssl.SSLSocket):
            with selectors.DefaultSelector() as selector:
                selector.register(self.socket, selectors.EVENT_READ)
                return not selector.select(0)  # something to read can only be its end
        try:
            return self._server.noop()[0] == 250
        except (OSError, smtplib.SMTPException):
            return False

    def rest(self) -> None:
        self._used = time.monotonic()
        self.took_anything = False

    def quit(self) -> None:
        try:
            self._server.quit()
        except (OSError, smtplib.SMTPException):
            self._server.close()

    def close(self) -> None:
        self._server.close()

    def write(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self) -> list[tuple[int, str]]:
        """The whole replies that have come in: code and text. ConnectionError at the end of the connection."""
        data = self.socket.recv(_LONGEST_REPLY)
        while isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            data += self.socket.recv(_LONGEST_REPLY)
        if not data or len(self.replies) > _LONGEST_REPLY:
            raise ConnectionError
        self.replies += data
        found = []
        while (reply := self._take_reply()) is not None:
            found.append(reply)
        return found

    def _take_reply(self) -> tuple[int, str] | None:
        lines = []
        start = 0
        while (end := self.replies.find(b"\n", start)) >= 0:
            line = bytes(self.replies[start:end]).rstrip(b"\r")
            lines.append(line[4:].decode(errors="replace"))
            start = end + 1
            if line[3:4] != b"-":
                del self.replies[:start]
                if not line[:3].isdigit():
                    raise ConnectionError
                return int(line[:3]), " ".join(lines)
        return None


class Pipeline:
    """Sends one window of messages. `connect` opens a session or takes an idle one; OSError or SMTPException if not."""

    def __init__(self, emails: Sequence[OutgoingEmail], *, sender: str, build: Build, connect: Callable[[], Session]):
        self._waiting = deque(emails)
        self._sender = sender
        self._build = build
        self._connect = connect
        self._results: list[Result] = []
        self._kept: list[Session] = []  # that have nothing more to do and are still good
        self._selector = selectors.DefaultSelector()
        self._lost = 0
        self._trouble = "relay unreachable"

    def run(self, connections: int) -> tuple[list[Result], list[Session]]:
        """What became of each message, and the sessions that are still good."""
        with self._selector:
            for _ in range(min(connections, len(self._waiting))):
                self._open()
            while self._selector.get_map():
                ready = [key.data for key, _events in self._selector.select(TIMEOUT)]
                sessions: list[Session] = ready or [key.data for key in self._selector.get_map().values()]
                for session in sessions:
                    try:
                        if not ready:
                            raise TimeoutError
                        self._listen(session)
                    except (OSError, smtplib.SMTPException) as error:
                        self._give_up(session, error)
                    else:
                        self._keep_if_idle(session)
        for email in self._waiting:
            self._results.append(not_taken(email, self._trouble, at_fault=True))
        return self._results, self._kept

    def _open(self) -> None:
        """One more session, with its first message."""
        try:
            session = self._connect()
        except (OSError, smtplib.SMTPException) as error:
            log.warning("smtp_unreachable", error=type(error).__name__)
            self._trouble = trouble(error)
            return
        self._selector.register(session.socket, selectors.EVENT_READ, session)
        try:
            session.write(self._offer_next(session))
        except OSError as error:
            self._give_up(session, error)
        else:
            self._keep_if_idle(session)

    def _keep_if_idle(self, session: Session) -> None:
        """A session that waits for no reply has nothing to listen for."""
        if not session.stages:
            self._selector.unregister(session.socket)
            session.rest()
            self._kept.append(session)

    def _give_up(self, session: Session, error: Exception) -> None:
        """The session broke: settle what it had, and go on over a new one where that makes sense."""
        if isinstance(error, LeaveRefused):
            self._lost, self._trouble = MAX_LOST, str(error)
        log.warning("smtp_connection_lost", handed=session.handed is not None, error=type(error).__name__)
        self._selector.unregister(session.socket)
        session.close()
        if session.handed is not None:
            self._results.append(
                Result(
                    session.handed.message_id,
                    Outcome.UNCONFIRMED,
                    reason="connection lost after the body",
                    account_at_fault=not session.took_anything,
                )
            )
        if session.offered is not None:
            self._waiting.append(session.offered)  # behind the others: it may be what ends sessions
        if not isinstance(error, LeaveRefused):
            self._lost = 0 if session.took_anything else self._lost + 1
        if self._waiting and self._lost < MAX_LOST:
            self._open()

    def _offer_next(self, session: Session) -> bytes:
        """The bytes that offer the next message; none where nothing waits."""
        email = self._next_fitting(session)
        if email is None:
            return b""
        session.offered, session.refusal = email, None
        address = mail_address(email.recipient)
        size = f" SIZE={len(session.mime)}" if session.tells_size else ""
        body = " BODY=8BITMIME" if session.eight_bit and not address.isascii() else ""
        utf8 = "" if address.isascii() else " SMTPUTF8"
        lines = [
            f"MAIL FROM:<{email.return_path or self._sender}>{size}{body}{utf8}\r\n".encode(),
            f"RCPT TO:<{address}>\r\n".encode(),
            b"DATA\r\n",
        ]
        if session.pipelining:
            session.stages.extend((_Stage.MAIL, _Stage.RCPT, _Stage.DATA))
            return b"".join(lines)
        session.stages.append(_Stage.MAIL)
        session.commands.extend(lines[1:])
        return lines[0]

    def _next_fitting(self, session: Session) -> OutgoingEmail | None:
        """The next message that this relay can take, its MIME in the session; those it never could have failed."""
        while self._waiting:
            email = self._waiting.popleft()
            if not (session.international or mail_address(email.recipient).isascii()):
                reason = "the address needs SMTPUTF8, which the relay does not offer"
            else:
                session.mime = self._build(email)
                if session.largest is None or len(session.mime) <= session.largest:
                    return email
                reason = f"the message is larger than the {session.largest} bytes that the relay takes"
            self._results.append(Result(email.message_id, Outcome.FAILED, reason=reason))
        return None

    def _listen(self, session: Session) -> None:
        for code, text in session.read():
            if not session.stages:
                raise ConnectionError  # the relay said something unasked, such as that it closes
            self._hear(session, session.stages.popleft(), code, text)

    def _hear(self, session: Session, stage: _Stage, code: int, text: str) -> None:
        if stage is _Stage.UNDO:
            if not session.pipelining:
                session.write(self._offer_next(session))
            return
        if stage is _Stage.BODY:
            self._settle(session, code, text)
            if not session.pipelining:
                session.write(self._offer_next(session))
            return
        good = code == 354 if stage is _Stage.DATA else 200 <= code < 300
        if not good and session.refusal is None:
            session.refusal = (code, text)
            if stage is _Stage.MAIL and code in WITHOUT_LEAVE:
                raise LeaveRefused(f"the relay wants another sign-in: {code} {text[:200]}")
        if session.commands and session.refusal is None:
            line = session.commands.popleft()
            session.stages.append(_Stage.RCPT if session.commands else _Stage.DATA)
            session.write(line)
        elif stage is _Stage.DATA and session.refusal is None:
            self._hand_over(session)
        elif stage is _Stage.DATA or not session.pipelining:
            self._undo(session, open_body=stage is _Stage.DATA and code == 354)

    def _hand_over(self, session: Session) -> None:
        email, session.offered = session.offered, None
        if email is None:
            raise ConnectionError
        body = stuffed(session.mime) + b".\r\n"
        session.handed = email
        session.stages.append(_Stage.BODY)
        session.write(body + self._offer_next(session) if session.pipelining else body)

    def _settle(self, session: Session, code: int, text: str) -> None:
        """The relay's word on a body. Anything but a clear one leaves the message unconfirmed."""
        email = session.handed
        if email is None or not (200 <= code < 300 or 400 <= code < 600):
            raise ConnectionError
        session.handed = None
        session.took_anything = True
        if code < 300:
            self._results.append(Result(email.message_id, Outcome.SENT, reference=text[:120]))
        else:
            self._results.append(refused(email, code, text))

    def _undo(self, session: Session, *, open_body: bool) -> None:
        """What is offered was refused: say so, clear the transaction and offer the next."""
        email, session.offered = session.offered, None
        code, text = session.refusal or (0, "")
        if email is None or not 400 <= code < 600:
            session.offered = email
            raise ConnectionError
        self._results.append(refused(email, code, text))
        session.commands.clear()
        if code == 421:  # the relay is closing the connection
            raise ConnectionError
        session.took_anything = True
        start = b"RSET\r\n"
        session.stages.append(_Stage.UNDO)
        if open_body:  # an empty body for no recipient, as RFC 2920 section 3.1 asks for
            start = b".\r\n" + start
            session.stages.append(_Stage.UNDO)
        if session.pipelining:
            session.write(start + self._offer_next(session))
        else:
            session.write(start)


def not_taken(email: OutgoingEmail, reason: str, *, at_fault: bool = False) -> Result:
    return Result(email.message_id, Outcome.NOT_TAKEN, reason=reason, account_at_fault=at_fault)


def refused(email: OutgoingEmail, code: int, text: str) -> Result:
    """A 4xx is for now, a 5xx for good."""
    reason = f"{code} {text[:200]}"
    if code < 500:
        return not_taken(email, reason)
    return Result(email.message_id, Outcome.FAILED, reason=reason)


def trouble(error: Exception) -> str:
    """Why no session could be opened, for the staff who look after the account."""
    match error:
        case smtplib.SMTPAuthenticationError():
            return f"the relay refused user or password: {_words(error)}"
        case smtplib.SMTPResponseException():
            return f"the relay refused the connection: {_words(error)}"
        case ssl.SSLCertVerificationError():
            return f"the relay's certificate is not valid: {error.verify_message}"
        case ssl.SSLError():
            return f"no encrypted connection to the relay: {error.reason}"
        case smtplib.SMTPNotSupportedError():
            return str(error)
        case socket.gaierror():
            return "the relay's name is unknown"
        case TimeoutError():
            return "the relay does not answer"
    return "relay unreachable"


def _words(error: smtplib.SMTPResponseException) -> str:
    said = error.smtp_error
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    return f"{error.smtp_code} {' '.join(text.split())[:200]}"


def stuffed(mime: bytes) -> bytes:
    """Dot-stuffed (RFC 5321, 4.5.2), ending with CRLF."""
    stuffed = mime.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed
