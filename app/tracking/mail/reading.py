"""Taking a MIME message apart, however broken: headers, addresses, and the text that a person reads first.

Everything is bounded: so many bytes are parsed, so many parts looked at, so many characters kept.
"""

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses, parseaddr
from hashlib import sha256

from inscriptis import get_text
from lxml.etree import LxmlError

MAX_PARSED = 4 << 20  # bytes; what people write stands before their attachments
MAX_PARTS = 300
MAX_BODY = 64_000  # characters of a body that are looked at
MAX_HEADER = 10_000
MAX_ADDRESSES = 50
MAX_IDENTITY = 500

# Where mail systems write whom a message was delivered to, the surest first; To and Cc say whom it was written to.
_DELIVERED_TO = ("X-Original-To", "Delivered-To", "X-Delivered-To", "Envelope-To", "X-Envelope-To", "X-Rcpt-To")
_RECEIVED_FOR = re.compile(r"\bfor\s+<([^<>\s]{3,320})>")
_AUTO_PRECEDENCE = {"bulk", "list", "junk", "auto_reply"}
AUTO_HEADERS = ("X-Autoreply", "X-Autorespond", "X-Auto-Response-Suppress", "X-Mail-Autoreply", "Feedback-Type")
# What absence notes are called where no header says that a program wrote them.
_AUTO_SUBJECT = re.compile(
    r"\s*(auto(matic)?[ -]?reply|automatic response|out of( the)? office|autoreply|vacation( reply)?|"
    r"自动回复|自动答复|自動回覆|休假回复|外出办公|abwesenheitsnotiz|automatische antwort|"
    r"réponse automatique|respuesta automática)\b",
    re.IGNORECASE,
)


class Unreadable(ValueError):
    """The message is built so that it cannot be taken apart."""


def parse(raw: bytes) -> Message:
    """The message, of which no more than its first four megabytes are looked at. Raises Unreadable."""
    try:
        return message_from_bytes(raw[:MAX_PARSED])
    except (RecursionError, MessageError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise Unreadable from error  # the parser raises several kinds on hostile input


def parts(mail: Message) -> Iterator[Message]:
    """The message and its parts in order, at most 300 of them; never recursive, for parts may be nested deeply."""
    waiting = [mail]
    for _count in range(MAX_PARTS):
        if not waiting:
            return
        part = waiting.pop()
        yield part
        payload = part.get_payload()
        if isinstance(payload, list):
            waiting.extend(child for child in reversed(payload[:MAX_PARTS]) if isinstance(child, Message))


def header(mail: Message, name: str) -> str:
    """A header as text, decoded (RFC 2047) where that is possible; empty where it is missing."""
    value = mail.get(name)
    if value is None:
        return ""
    said = str(value)[:MAX_HEADER]
    try:
        decoded = str(make_header(decode_header(said)))
    except (MessageError, ValueError, LookupError):
        decoded = said
    return plain(decoded.replace("\r", "").replace("\n", " "))


def headers(mail: Message, name: str) -> list[str]:
    """Every value of a header that may stand more than once, raw."""
    return [plain(str(value)[:MAX_HEADER]) for value in (mail.get_all(name) or [])[:MAX_ADDRESSES]]


def addressed_to(mail: Message) -> list[str]:
    """Addresses the message was delivered or written to, the surest first."""
    found = [value for name in _DELIVERED_TO for value in headers(mail, name)]
    found += [match for value in headers(mail, "Received") for match in _RECEIVED_FOR.findall(value)]
    found += [header(mail, name) for name in ("To", "Cc")]
    addresses = (address for _name, address in getaddresses(found))
    return list(dict.fromkeys(address for address in addresses if address))[:MAX_ADDRESSES]


def sender_address(mail: Message) -> str:
    """Where an answer goes: Reply-To, else From, else Sender; empty where none is an address."""
    for name in ("Reply-To", "From", "Sender"):
        address = parseaddr(header(mail, name))[1].strip()
        if 3 <= len(address) <= 320 and "@" in address and not re.search(r"[\s,;<>]", address):
            return address
    return ""


def references(mail: Message) -> list[str]:
    """Message-IDs that the message says it answers, the nearest first, without brackets."""
    said = f"{header(mail, 'In-Reply-To')} {' '.join(reversed(header(mail, 'References').split()))}"
    return list(dict.fromkeys(re.findall(r"<([^<>\s]{3,500})>", said)))[:MAX_ADDRESSES]


def identity(mail: Message, raw: bytes, recipient: str) -> str:
    """The Message-ID, or a digest of recipient and message where it has none. Never like the id of an SMS."""
    given = header(mail, "Message-ID").strip()
    if given:
        return (given if given.startswith("<") else f"<{given}>")[:MAX_IDENTITY]
    return "sha256:" + sha256(recipient.lower().encode("utf-8", "replace") + b"\n" + raw).hexdigest()


def is_automatic(mail: Message) -> bool:
    """True for out-of-office notes, delivery reports and list traffic (RFC 3834 and common practice)."""
    submitted = header(mail, "Auto-Submitted").split(";")[0].strip().lower()
    if submitted == "no":
        return False
    return (
        submitted != ""
        or header(mail, "Precedence").strip().lower() in _AUTO_PRECEDENCE
        or any(mail.get(name) is not None for name in AUTO_HEADERS)
        or header(mail, "Return-Path").strip() == "<>"
        or mail.get_content_type() == "multipart/report"
        or _AUTO_SUBJECT.match(header(mail, "Subject")) is not None
    )


def body(mail: Message) -> tuple[str, str | None]:
    """The text that a person reads first, and the charset it was written in: the first plain part that holds any, else
    the first HTML part as text."""
    html: Message | None = None
    for part in parts(mail):
        if part.is_multipart() or part.get_content_disposition() == "attachment":
            continue
        if part.get_content_type() == "text/plain":
            text = content(part)
            if text.strip():
                return text, charset(part)
        if part.get_content_type() == "text/html" and html is None:
            html = part
    return (text_of_html(content(html)), charset(html)) if html is not None else ("", None)


def charset(part: Message) -> str | None:
    """The charset that a part names, as it was sent."""
    try:
        named = part.get_content_charset()
    except (ValueError, LookupError, TypeError):
        return None
    return plain(str(named))[:40] if named else None


def content(part: Message) -> str:
    """A part's text, decoded; empty where it cannot be."""
    try:
        payload = part.get_payload(decode=True)
    except (ValueError, LookupError, AssertionError, TypeError):
        return ""
    return decode_text(payload, charset(part)) if isinstance(payload, bytes) else ""


def decode_text(data: bytes, charset: str | None) -> str:
    """Bytes as text in the stated charset; what does not fit is replaced. Chinese text said to be in UTF-8, or in
    nothing, that is not UTF-8 is read as GB 18030, which its writers then use."""
    aliases = {"gb2312": "gb18030", "gbk": "gb18030"}  # senders say the small set and mean the large one
    name = (charset or "utf-8").strip().lower()
    name = aliases.get(name, name)
    try:
        return plain(data.decode(name))
    except (LookupError, ValueError):
        pass
    for other in ("utf-8", "gb18030"):
        try:
            text = data.decode(other)
        except ValueError:
            continue
        if other == "utf-8" or re.search(r"[\u4e00-\u9fff]{2}", text):
            return plain(text)
    try:
        return plain(data.decode(name, "replace"))
    except (LookupError, ValueError):
        return plain(data.decode("utf-8", "replace"))


def text_of_html(html: str) -> str:
    """The readable text of an HTML body."""
    try:
        return str(get_text(html[: 4 * MAX_BODY]))
    except (LxmlError, ValueError, RecursionError):
        return re.sub(r"<[^>]{0,1000}>", " ", html[:MAX_BODY])


def plain(text: str) -> str:
    """Text that PostgreSQL takes."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
