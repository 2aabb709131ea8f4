"""Mail that came in: kept first, then read, and what it means done, in one transaction of its own.

What it is about is told by addresses of ours that we signed: the return path of one message (bounces), its reply and
its unsubscribe address. Without one, by a Message-ID of ours among its references; at last by its sender, as a guess.
What answers nothing is parked with the reason. Reading a message again changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message as MimeMessage
from hashlib import sha256
from io import BytesIO
from typing import Any

import structlog
from flask_babel import lazy_gettext as _l
from sqlalchemy import func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from app.clients.models import Client
from app.core.clock import now
from app.core.extensions import db, links, settings, signer
from app.core.files import file_chunks, store_file
from app.core.jobs import enqueue
from app.core.queues import TRACK
from app.core.tokens import BadToken, Kind
from app.delivery.models import Message
from app.tracking.mail import reading
from app.tracking.mail.models import InboundMail
from app.tracking.mail.opt_out import opt_out_wish
from app.tracking.mail.reply_text import language_of, new_part
from app.tracking.mail.reports import (
    DELAYED,
    Failure,
    Feedback,
    failures,
    feedback,
    looks_like_a_report,
    may_be_a_report,
    our_message,
)
from app.tracking.mail.time_limit import TookTooLong, at_most
from app.tracking.models import Event, Reply
from app.tracking.replies.keeping import Written, keep_reply
from app.tracking.service import unsubscribe

READ_MAIL = "tracking.read_mail"
SECONDS = 10.0  # for reading one message
MAX_ATTEMPTS = 3  # after as many workers died over it, it is parked
MAX_SIZE = 30 << 20  # bytes
MAX_INLINE = 256 << 10  # bytes; more are kept as a file
MAX_TEXT = 20_000
MAX_SUBJECT = 500
RECENT_DAYS = 90  # an answer, or a return, without a reference belongs to a message of so long ago at most

PARKED_REASONS = {
    "answers_nothing": _l("It answers nothing that was sent, and its sender is no client that was written to lately."),
    "unknown_message": _l("It was written to the address of a message that does not exist."),
    "bounce_of_nothing": _l("It reports a failure of a message or address that is not ours."),
    "complaint_of_nothing": _l("It reports a complaint about a message that cannot be told."),
    "too_large": _l("It is larger than what is taken; only its head was kept."),
    "took_too_long": _l("Reading it took too long: it may be built to harm."),
    "unreadable": _l("It is broken and could not be read."),
}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Thread:
    """The message of ours that a mail is about, its client as they are now, and how that was found."""

    message_id: int
    client_id: int
    campaign_id: int
    matched_by: str


# ---- Keeping --------------------------------------------------------------------------------------------------------


def keep_mail(*, raw: bytes, recipients: Sequence[str], source: str, size: int | None = None) -> InboundMail | None:
    """Keep a message as it came, to be read by a worker. None where the same one to the same recipients is known.

    `size`: of the whole, where `raw` is only the head of a message too large to be taken; such a one is parked.
    """
    mail = _insert(raw=raw, recipients=recipients, source=source, size=size)
    if mail is not None and mail.state == "waiting":
        enqueue(READ_MAIL, queue=TRACK, mail_id=mail.id)
    return mail


def _insert(*, raw: bytes, recipients: Sequence[str], source: str, size: int | None = None) -> InboundMail | None:
    known = [reading.plain(address)[:320] for address in recipients[: reading.MAX_ADDRESSES]]
    digest = sha256("\n".join(sorted({address.lower() for address in known})).encode() + b"\n\n" + raw).hexdigest()
    mail: InboundMail | None = db.session.scalar(
        upsert(InboundMail)
        .values(
            source=source,
            digest=digest,
            recipients=known,
            size=len(raw) if size is None else size,
            raw=raw if len(raw) <= MAX_INLINE else None,
            state="waiting" if size is None else "parked",
            reason=None if size is None else "too_large",
            received_at=now(),
        )
        .on_conflict_do_nothing()
        .returning(InboundMail)
    )
    if mail is None:
        return None
    if mail.raw is None:
        mail.file_id = store_file(BytesIO(raw), name=f"mail-{mail.id}.eml").id
    if size is not None:
        _describe(mail, raw)
    return mail


def _describe(mail: InboundMail, raw: bytes) -> None:
    """Sender and subject, for who looks at what is parked."""
    try:
        parsed = reading.parse(raw[:64_000])
        mail.sender, mail.subject = reading.sender_address(parsed), reading.header(parsed, "Subject")[:MAX_SUBJECT]
    except reading.Unreadable:
        log.info("mail_head_unreadable", mail=mail.id)


def raw_mail_of(mail: InboundMail) -> bytes:
    """The message as it came."""
    return mail.raw if mail.raw is not None else b"".join(file_chunks(mail.file_id)) if mail.file_id else b""


def receive_reply(*, raw: bytes, recipient: str) -> Reply | None:
    """Take in and read a message at once, in the caller's transaction: the new reply, or None where it is none."""
    mail = _insert(raw=raw, recipients=[recipient], source="mailbox")
    return read_mail(mail) if mail is not None else None


# ---- Reading --------------------------------------------------------------------------------------------------------


def read_mail(mail: InboundMail) -> Reply | None:
    """Read a kept message and do what it means, in the caller's transaction. Returns the reply where it is one.

    What cannot be read in time, or at all, is parked; nothing is thrown away.
    """
    raw = raw_mail_of(mail)
    try:
        with at_most(SECONDS):
            parsed = reading.parse(raw)
            findings = _look_at(mail, parsed, raw)
    except TookTooLong:
        park(mail, "took_too_long")
        return None
    except (reading.Unreadable, RecursionError, MemoryError):
        park(mail, "unreadable")
        return None
    mail.sender, mail.subject = findings.sender, findings.subject[:MAX_SUBJECT]
    return _do(mail, findings)


def park(mail: InboundMail, reason: str) -> None:
    """A person has to look at it; `reason` is a key of PARKED_REASONS."""
    mail.state, mail.reason, mail.read_at = "parked", reason, now()
    log.info("mail_parked", mail=mail.id, reason=reason)


@dataclass(frozen=True, slots=True)
class _Findings:
    """All that is in a message, found without the database."""

    addresses: dict[Kind, int]  # what it was sent to: the kind of address and the message it belongs to
    identity: str
    sender: str
    subject: str
    automatic: bool
    returned: bool
    failures: list[Failure]
    feedback: Feedback | None
    reported: int | None  # the message that a report is about, by what is in it
    references: list[str]
    text: str
    charset: str | None
    language: str | None


def _look_at(mail: InboundMail, parsed: MimeMessage, raw: bytes) -> _Findings:
    written_to = list(dict.fromkeys([*mail.recipients, *reading.addressed_to(parsed)]))
    addresses: dict[Kind, int] = {}
    for address in written_to:
        meant = links().read_mail_address(address)
        if meant is not None:
            addresses.setdefault(*meant)
    complaint = feedback(parsed)
    found: list[Failure] = []
    surely = looks_like_a_report(parsed)
    if complaint is None and (Kind.BOUNCE in addresses or surely or (not addresses and may_be_a_report(parsed))):
        found = failures(parsed)
    report = complaint is not None or bool(found) or (Kind.BOUNCE in addresses and surely)
    written, charset = reading.body(parsed)
    text = new_part(written)[:MAX_TEXT]
    first = mail.recipients[0] if mail.recipients else (written_to or [""])[0]
    return _Findings(
        addresses=addresses,
        identity=reading.identity(parsed, raw, first),
        sender=reading.sender_address(parsed),
        subject=reading.header(parsed, "Subject")[:MAX_SUBJECT],
        automatic=reading.is_automatic(parsed),
        returned=surely,
        failures=found,
        feedback=complaint,
        reported=our_message(raw, links()) if report else None,
        references=reading.references(parsed),
        text=text,
        charset=charset,
        language=language_of(text, named=reading.header(parsed, "Content-Language")),
    )


def _do(mail: InboundMail, found: _Findings) -> Reply | None:
    if found.feedback is not None:
        _take_feedback(mail, found, found.feedback)
        return None
    if found.failures:
        _take_failures(mail, found)
        return None
    if Kind.BOUNCE in found.addresses and found.automatic and found.reported is not None:
        # It came back and holds what was sent, and says nothing that anybody could read.
        unnamed = Failure("", "failed", None, found.text[:300] or found.subject)
        _note_failure(mail, found.addresses[Kind.BOUNCE], unnamed, position=0)
        _is_read(mail, "bounce")
        return None
    return _take_written(mail, found)


def _is_read(mail: InboundMail, meaning: str) -> None:
    mail.state, mail.meaning, mail.reason, mail.read_at = "read", meaning, None, now()


# ---- Reports --------------------------------------------------------------------------------------------------------


def _take_failures(mail: InboundMail, found: _Findings) -> None:
    """Raw events of what was returned: of the message that the return path names, else of the one in the report, else
    of the last one that was sent to the address."""
    message_id = found.addresses.get(Kind.BOUNCE) or found.reported or found.addresses.get(Kind.REPLY)
    noted = 0
    if message_id is not None and db.session.get(Message, message_id) is not None:
        # One message has one recipient: of several addresses (a list behind it), the worst failure is its own.
        failure = min(found.failures, key=lambda one: one.action == DELAYED)
        noted += _note_failure(mail, message_id, failure, position=0)
    else:
        for position, failure in enumerate(found.failures):
            thread = _last_message_to(failure.address)
            if thread is not None:
                noted += _note_failure(mail, thread.message_id, failure, position=position)
    if noted:
        _is_read(mail, "bounce")
    else:
        park(mail, "bounce_of_nothing")


def _note_failure(mail: InboundMail, message_id: int, failure: Failure, *, position: int) -> int:
    payload = {"action": failure.action, "diagnostic": failure.words, "mail": mail.id}
    if failure.status:
        payload["status"] = failure.status
    domain = db.session.scalar(select(Message.domain).where(Message.id == message_id))
    if failure.address and domain == failure.address.rpartition("@")[2]:
        payload["email"] = failure.address  # else the mail was passed on from the address that we know
    _note_event(
        mail,
        kind="deferred" if failure.action == DELAYED else "bounce",
        message_id=message_id,
        position=position,
        payload=payload,
    )
    return 1


def _take_feedback(mail: InboundMail, found: _Findings, told: Feedback) -> None:
    """A raw event of a complaint: of the message in the report, else the last one to the address that it names."""
    message_id = found.reported
    if message_id is None or db.session.get(Message, message_id) is None:
        threads = (_last_message_to(address) for address in told.addresses)
        message_id = next((thread.message_id for thread in threads if thread is not None), None)
    if message_id is None:
        park(mail, "complaint_of_nothing")
        return
    payload: dict[str, Any] = {"mail": mail.id}
    domain = db.session.scalar(select(Message.domain).where(Message.id == message_id))
    if sent_to := next((address for address in told.addresses if address.rpartition("@")[2] == domain), None):
        payload["email"] = sent_to  # the client may have another one by now
    _note_event(mail, kind=told.kind, message_id=message_id, position=0, payload=payload)
    _is_read(mail, "complaint" if told.kind == "complaint" else "feedback")


def _note_event(mail: InboundMail, *, kind: str, message_id: int, position: int, payload: dict[str, Any]) -> None:
    db.session.execute(
        upsert(Event)
        .values(
            kind=kind,
            message_id=message_id,
            at=mail.received_at,
            source="mail",
            external_id=f"mail:{mail.id}:{position}",
            payload=payload,
        )
        .on_conflict_do_nothing()
    )


# ---- What people and their programs write ---------------------------------------------------------------------------


def _take_written(mail: InboundMail, found: _Findings) -> Reply | None:
    """A wish to opt out where it came to the unsubscribe address of a message, else a reply.

    Mail programs and gateways write to that address for their users (RFC 2369, RFC 8058), and say so in Auto-Submitted,
    Precedence and the like: it is a wish whoever wrote it. An absence note, which answers for somebody who wishes
    nothing, goes to the return path or the sender of a message (RFC 3834), and the unsubscribe address is neither: it
    stands in List-Unsubscribe alone, signed for one message. Only what a mail system returns, or sends with an empty
    return path, is set apart there; at every other address of ours all that programs write is.
    """
    thread = _thread(found)
    if thread is None:
        if found.addresses and not any(found.addresses.values()):
            _is_read(mail, "test")  # an answer to a test message, which stands in no ledger
        else:
            park(mail, "unknown_message" if found.addresses else "answers_nothing")
        return None
    if Kind.UNSUBSCRIBE in found.addresses and not found.returned:
        unsubscribe(message_id=thread.message_id, source="mail", external_id=f"mail:{mail.id}")
        _is_read(mail, "unsubscribe")
        return None
    wish = None if found.automatic else opt_out_wish(found.text, subject=found.subject)
    kind = "auto_reply" if found.automatic else "opt_out" if wish else "reply"
    reply = keep_reply(
        Written(
            channel="email",
            identity=found.identity,
            kind=kind,
            sender=found.sender,
            subject=found.subject,
            text=found.text,
            language=found.language,
            charset=found.charset,
            says_more=wish is not None and wish.says_more,
            mail_id=mail.id,
        ),
        message_id=thread.message_id,
        client_id=thread.client_id,
        campaign_id=thread.campaign_id,
        matched_by=thread.matched_by,
    )
    _is_read(mail, kind if reply is not None else "known")
    if reply is None:
        return None
    if wish is not None:
        unsubscribe(message_id=thread.message_id, source="mail", external_id=f"reply:{reply.id}")
    if kind != "opt_out":
        db.session.execute(
            insert(Event).values(
                kind="reply" if kind == "reply" else "other",
                message_id=thread.message_id,
                at=reply.received_at,
                source="inbound",
                external_id=f"reply:{reply.id}",
            )
        )
    return reply


def _thread(found: _Findings) -> Thread | None:
    """The message that this answers. An address of ours decides, even where its message is gone."""
    for kind in (Kind.REPLY, Kind.UNSUBSCRIBE, Kind.BOUNCE):
        if kind in found.addresses:
            return thread_of(found.addresses[kind], matched_by="address")
    domain = settings().mail_from.partition("@")[2].lower()
    for reference in found.references:
        token, _, host = reference.rpartition("@")
        if host.lower() != domain:
            continue
        try:
            thread = thread_of(signer().read(token, Kind.REPLY).message_id, matched_by="reference")
        except BadToken:
            continue
        if thread is not None:
            return thread
    return _last_message_to(found.sender)


def thread_of(message_id: int, *, matched_by: str) -> Thread | None:
    """The message with its client, or the one that client was merged into."""
    row = db.session.execute(
        select(func.coalesce(Client.merged_into_id, Client.id).label("client_id"), Message.campaign_id)
        .join(Client, Client.id == Message.client_id)
        .where(Message.id == message_id)
    ).one_or_none()
    return Thread(message_id, row.client_id, row.campaign_id, matched_by) if row else None


def _last_message_to(address: str) -> Thread | None:
    """The newest e-mail that was lately sent to a client with this address."""
    if not address:
        return None
    clients = select(Client.id).where(func.lower(Client.email) == address.lower()).limit(50)
    row = db.session.execute(
        select(Message.id)
        .where(
            Message.client_id.in_(clients),
            Message.channel == "email",
            Message.state.in_(("sent", "unconfirmed")),
            func.coalesce(Message.sent_at, Message.unconfirmed_at)
            > func.now() - func.make_interval(0, 0, 0, RECENT_DAYS),
        )
        .order_by(Message.id.desc())
        .limit(1)
    ).one_or_none()
    return thread_of(row.id, matched_by="sender") if row else None
