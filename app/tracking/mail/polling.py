"""An IMAP mailbox read from where the last look ended (RFC 3501): each message once; deleted or marked only when told.

How far it was read is committed together with each message, so that a crash neither loses nor doubles one. Where the
server numbers its messages anew (another UIDVALIDITY) it is read from its beginning, and what is known is known.
"""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import structlog
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError, LoginError
from imapclient.imapclient import SocketTimeout
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import SQLAlchemyError

from app.channels.tls import verifying_context
from app.core.clock import now
from app.core.extensions import db, settings
from app.core.unit_of_work import unit_of_work
from app.tracking.mail.models import PolledMailbox
from app.tracking.mail.receiving import MAX_SIZE, keep_mail

TIMEOUT = SocketTimeout(connect=10, read=60)  # seconds
AT_ONCE = 100  # messages whose sizes are asked for together
MOST = 2_000  # messages of one look
HEAD = 256 << 10  # bytes of the head that are kept of a message too large to be taken
PORTS = {"imaps": 993, "imap+starttls": 143, "imap": 143}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """What `IMAP_URL` names: `imaps://user:password@host[:port][/folder]`."""

    scheme: str
    host: str
    port: int
    user: str
    password: str
    folder: str

    @property
    def name(self) -> str:
        """Without the password: it is written down and shown."""
        return f"{self.user}@{self.host}:{self.port}/{self.folder}"


def configured_mailbox() -> Mailbox | None:
    """The mailbox of the settings; None where there is none."""
    url = settings().imap_url
    if not url:
        return None
    parts = urlsplit(url)
    return Mailbox(
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=parts.port or PORTS[parts.scheme],
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        folder=unquote(parts.path.lstrip("/")) or "INBOX",
    )


def mailbox_state() -> PolledMailbox | None:
    """How the configured mailbox fares; None where there is none, or nobody has looked yet."""
    mailbox = configured_mailbox()
    if mailbox is None:
        return None
    return db.session.scalar(select(PolledMailbox).where(PolledMailbox.name == mailbox.name))


def health() -> str:
    """For /readyz: off, waiting, ok or failing; unknown while the database is away."""
    if not settings().imap_url:
        return "off"
    try:
        state = mailbox_state()
    except SQLAlchemyError:
        return "unknown"
    if state is None or state.polled_at is None:
        return "waiting"
    return "failing" if state.problem else "ok"


def poll(*, renew: Callable[[], None]) -> int:
    """Take in what is new, and write down how it went. Returns how many messages were taken.

    `renew` is called in each transaction; it raises where somebody else has taken the work over.
    """
    mailbox = configured_mailbox()
    if mailbox is None:
        return 0
    with unit_of_work() as session:
        session.execute(upsert(PolledMailbox).values(name=mailbox.name).on_conflict_do_nothing())
        state = session.scalars(select(PolledMailbox).where(PolledMailbox.name == mailbox.name)).one()
        state_id, validity, last_uid = state.id, state.uid_validity, state.last_uid
    taken, problem = 0, None
    try:
        with _connected(mailbox) as client:
            for count in _take(client, mailbox, _Place(state_id, validity, last_uid), renew):
                taken = count
    except (IMAPClientError, OSError, ValueError) as error:
        problem = _words(error)
        log.warning("mailbox_not_read", mailbox=state_id, error=type(error).__name__)
    with unit_of_work() as session:
        at = now()
        values = {"polled_at": at, "problem": problem} | ({} if problem else {"worked_at": at})
        session.execute(update(PolledMailbox).where(PolledMailbox.id == state_id).values(values))
    return taken


@dataclass(frozen=True, slots=True)
class _Place:
    """How far a mailbox was read."""

    state_id: int
    validity: int
    last_uid: int


@contextmanager
def _connected(mailbox: Mailbox) -> Iterator[IMAPClient]:
    context = verifying_context(settings().imap_ca_file or None)
    client = IMAPClient(
        mailbox.host,
        mailbox.port,
        ssl=mailbox.scheme == "imaps",
        ssl_context=context if mailbox.scheme == "imaps" else None,
        timeout=TIMEOUT,
    )
    try:
        if mailbox.scheme == "imap+starttls":
            client.starttls(context)
        client.login(mailbox.user, mailbox.password)
        yield client
    finally:
        with suppress(IMAPClientError, OSError):
            client.logout()


def _take(client: IMAPClient, mailbox: Mailbox, place: _Place, renew: Callable[[], None]) -> Iterator[int]:
    """Take the new messages one by one; yields how many so far."""
    after = settings().imap_after
    chosen = client.select_folder(mailbox.folder, readonly=after == "keep")
    validity, last_uid = int(chosen[b"UIDVALIDITY"]), place.last_uid
    if validity != place.validity:
        last_uid = 0
        with unit_of_work() as session:
            renew()
            session.execute(
                update(PolledMailbox)
                .where(PolledMailbox.id == place.state_id)
                .values(uid_validity=validity, last_uid=0)
            )
        log.info("mailbox_numbered_anew", mailbox=place.state_id)
    # "n:*" always means at least the last message, so that one may be known (RFC 3501, 6.4.8).
    uids = sorted(uid for uid in client.search(["UID", f"{last_uid + 1}:*"]) if uid > last_uid)[:MOST]
    for start in range(0, len(uids), AT_ONCE):
        some = uids[start : start + AT_ONCE]
        sizes = client.fetch(some, ["RFC822.SIZE"])
        for number, uid in enumerate(some, start=start + 1):
            size = int(sizes.get(uid, {}).get(b"RFC822.SIZE") or 0)
            _keep_one(client, place, uid=uid, validity=validity, size=size, renew=renew)
            if after != "keep":
                _deal_with(client, uid, delete=after == "delete")
            yield number


def _keep_one(
    client: IMAPClient, place: _Place, *, uid: int, validity: int, size: int, renew: Callable[[], None]
) -> None:
    """Fetch a message, or the head of one that is too large, and commit it with how far the mailbox was read."""
    whole = size <= MAX_SIZE
    asked = "BODY.PEEK[]" if whole else f"BODY.PEEK[HEADER]<0.{HEAD}>"
    answer = client.fetch([uid], [asked]).get(uid, {}) if size else {}
    raw = next((value for name, value in answer.items() if name.startswith(b"BODY") and isinstance(value, bytes)), None)
    with unit_of_work() as session:
        renew()
        kept = None
        if raw is not None:  # else somebody removed it meanwhile
            kept = keep_mail(raw=raw, recipients=[], source="imap", size=None if whole else size)
        session.execute(
            update(PolledMailbox)
            .where(PolledMailbox.id == place.state_id, PolledMailbox.uid_validity == validity)
            .values(last_uid=uid, taken=PolledMailbox.taken + int(kept is not None))
        )


def _deal_with(client: IMAPClient, uid: int, *, delete: bool) -> None:
    """Mark what was taken as seen, or remove it: only that one, never others that were marked for removal."""
    if not delete:
        client.add_flags([uid], [b"\\Seen"], silent=True)
        return
    client.delete_messages([uid], silent=True)
    if client.has_capability("UIDPLUS"):
        client.expunge([uid])


def _words(error: Exception) -> str:
    """Why the mailbox could not be read, for staff; never with the password."""
    match error:
        case LoginError():
            return "the server refused user or password"
        case ssl.SSLCertVerificationError():
            return f"the server's certificate is not valid: {error.verify_message}"
        case ssl.SSLError():
            return f"no encrypted connection to the server: {error.reason}"
        case TimeoutError():
            return "the server does not answer"
        case IMAPClientAbortError():
            return "the connection was lost"
        case IMAPClientError():
            return f"the server refused: {' '.join(str(error).split())[:200]}"
        case OSError():
            return "the server cannot be reached, or the connection was lost"
    return str(error)[:200]
