"""Reading mail that came in: who it answers, what is new in it, and whether a person wrote it."""

import json
import re
from dataclasses import dataclass
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.utils import getaddresses
from hashlib import sha256

from email_reply_parser import EmailMessage as ParsedReply
from inscriptis import get_text
from lxml.etree import LxmlError
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

MAX_BODY = 64_000  # characters of a body that are looked at
MAX_LINE = 1_000
MAX_LINES = 2_000
MAX_TEXT = 20_000  # characters of a reply that are kept as text
MAX_SUBJECT = 500

# The one-letter words of SMS (R, T, TD, N) are left out: in a mail, "n" answers a question.
OPT_OUT_WORDS = {
    "unsubscribe", "unsubscribe me", "stop", "stop all", "remove", "remove me", "opt out", "opt-out", "optout",
    "退订", "退訂", "拒收", "取消订阅",
}  # fmt: skip
_EDGES = re.compile(r"^[\s.!\u3002\uff01\"'\u201c\u201d]+|[\s.!\u3002\uff01\"'\u201c\u201d]+$")
_AUTO_PRECEDENCE = {"bulk", "list", "junk", "auto_reply"}
_AUTO_HEADERS = ("X-Autoreply", "X-Autorespond", "X-Auto-Response-Suppress", "X-Mail-Autoreply", "Feedback-Type")
# Lines after which everything is the earlier message, as desktop clients and Chinese web mail write them.
_REST_IS_OLD = re.compile(
    r"^[>\s]*(-{2,}\s*(Original Message|Forwarded message|原始邮件|原邮件|原始郵件|转发邮件)\s*-{2,}"
    r"|(发件人|寄件者|發件人)\s*[:\uff1a].*)\s*$",
    re.IGNORECASE,
)
_CHINESE_QUOTE_HEADER = re.compile(r"^[>\s]*[于在於]?.{4,200}(写道|寫道|wrote)\s*[:\uff1a]\s*$")


@dataclass(frozen=True, slots=True)
class Inbound:
    """One message that came in. `identity` is its Message-ID, or a digest where it has none."""

    identity: str
    sender: str
    subject: str
    text: str
    kind: str  # reply, auto_reply or opt_out
    bounced: bool  # a delivery status report of a permanent failure (RFC 3464)


def read_mail(raw: bytes, *, recipient: str) -> Inbound:
    """Read a MIME message, however broken; never raises on its content."""
    mail = message_from_bytes(raw)
    subject = _header(mail, "Subject")[:MAX_SUBJECT]
    text = new_part(_body(mail))
    if is_automatic(mail):
        kind = "auto_reply"
    elif _is_opt_out(text, subject):
        kind = "opt_out"
    else:
        kind = "reply"
    return Inbound(
        identity=_identity(mail, raw, recipient),
        sender=_header(mail, "From"),
        subject=subject,
        text=text[:MAX_TEXT],
        kind=kind,
        bounced=_is_permanent_failure(mail),
    )


def is_automatic(mail: Message) -> bool:
    """True for out-of-office notes, delivery reports and list traffic (RFC 3834 and common practice)."""
    submitted = _header(mail, "Auto-Submitted").split(";")[0].strip().lower()
    return (
        submitted not in ("", "no")
        or _header(mail, "Precedence").strip().lower() in _AUTO_PRECEDENCE
        or any(mail.get(name) is not None for name in _AUTO_HEADERS)
        or _header(mail, "Return-Path").strip() == "<>"
        or mail.get_content_type() == "multipart/report"
    )


def new_part(text: str) -> str:
    """What the writer added: without the quoted message and the signature. Linear in the length of the text."""
    lines = [line[:MAX_LINE].rstrip() for line in text[:MAX_BODY].replace("\r\n", "\n").split("\n")[:MAX_LINES]]
    kept: list[str] = []
    for line in lines:
        if _REST_IS_OLD.match(line):
            break
        kept.append("On that day someone wrote:" if _CHINESE_QUOTE_HEADER.match(line) else line)
    return str(_ReplyInLinearTime("\n".join(_join_quote_headers(kept))).read().reply).strip()


class _ReplyInLinearTime(ParsedReply):  # type: ignore[misc]
    """The parser without its search for "On ... wrote:" over several lines, which takes cubic time on hostile
    input; `_join_quote_headers` has joined such lines before."""

    MULTI_QUOTE_HDR_REGEX_MULTILINE = re.compile(r"(?!)")


def _join_quote_headers(lines: list[str]) -> list[str]:
    """Make one line of "On <date>, <somebody>" and "wrote:" where mail programs folded it, over four at most."""
    joined: list[str] = []
    position = 0
    while position < len(lines):
        take = 1
        if lines[position].startswith("On "):
            for length in (2, 3, 4):
                block = lines[position : position + length]
                if len(block) < length or not block[-1] or block[-1].startswith("On "):
                    break
                if block[-1].endswith("wrote:"):
                    take = length
                    break
        joined.append(" ".join(lines[position : position + take]))
        position += take
    return joined


def _is_opt_out(text: str, subject: str) -> bool:
    """True where the whole message is an opt-out word; an empty message speaks through its subject."""
    said = text if text.strip() else subject
    return _EDGES.sub("", said).lower() in OPT_OUT_WORDS


def _is_permanent_failure(mail: Message) -> bool:
    if mail.get_content_type() != "multipart/report":
        return False
    for part in mail.walk():
        if part.get_content_type() == "message/delivery-status":
            for block in part.walk():
                action = _header(block, "Action").strip().lower()
                if action == "failed" and _header(block, "Status").strip().startswith("5"):
                    return True
    return False


def _identity(mail: Message, raw: bytes, recipient: str) -> str:
    given = _header(mail, "Message-ID").strip()
    if given:
        return given[:500]
    return "sha256:" + sha256(recipient.lower().encode("utf-8", "replace") + b"\n" + raw).hexdigest()


def _header(mail: Message, name: str) -> str:
    """A header as text, decoded (RFC 2047) where that is possible; empty where it is missing."""
    value = mail.get(name)
    if value is None:
        return ""
    try:
        decoded = str(make_header(decode_header(str(value))))
    except (MessageError, ValueError, LookupError):
        decoded = str(value)
    return _plain(decoded.replace("\r", "").replace("\n", " "))


def _body(mail: Message) -> str:
    """The first plain-text part, else the first HTML part as text."""
    html: str | None = None
    for part in mail.walk():
        if part.is_multipart() or part.get_content_disposition() == "attachment":
            continue
        if part.get_content_type() == "text/plain":
            return _content(part)
        if part.get_content_type() == "text/html" and html is None:
            html = _content(part)
    return text_of_html(html) if html else ""


def _content(part: Message) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    return decode_text(payload, part.get_content_charset())


def decode_text(data: bytes, charset: str | None) -> str:
    """Bytes as text in the stated charset; what does not fit is replaced."""
    aliases = {"gb2312": "gb18030", "gbk": "gb18030"}  # senders say the small set and mean the large one
    name = (charset or "utf-8").strip().lower()
    try:
        return _plain(data.decode(aliases.get(name, name), "replace"))
    except (LookupError, ValueError):
        return _plain(data.decode("utf-8", "replace"))


def text_of_html(html: str) -> str:
    """The readable text of an HTML body."""
    try:
        return str(get_text(html[: 4 * MAX_BODY]))
    except (LxmlError, ValueError, RecursionError):
        return re.sub(r"<[^>]{0,1000}>", " ", html[:MAX_BODY])


def _plain(text: str) -> str:
    """Text that PostgreSQL takes."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


# --- SendGrid Inbound Parse (multipart/form-data) -------------------------------------------------------------------


class NotInboundMail(ValueError):
    """The request is not what Inbound Parse sends."""


def read_form(body: bytes, boundary: bytes) -> dict[str, bytes]:
    """The fields of a multipart body as bytes. Flask would decode them, and so spoil raw mail in other charsets."""
    decoder = MultipartDecoder(boundary, max_parts=1_000)
    fields: dict[str, bytes] = {}
    name: str | None = None
    pieces: list[bytes] = []
    try:
        decoder.receive_data(body)
        decoder.receive_data(None)
        while not isinstance(event := decoder.next_event(), (Epilogue, NeedData)):
            if isinstance(event, (Field, File)):
                name, pieces = event.name, []
            elif isinstance(event, Data):
                pieces.append(event.data)
                if not event.more_data and name is not None:
                    fields.setdefault(name, b"".join(pieces))
    except Exception as error:  # the decoder raises several kinds on hostile input
        raise NotInboundMail from error
    return fields


def recipients(fields: dict[str, bytes]) -> list[str]:
    """Addresses the message was sent to: the envelope's first, then the To and Cc headers'."""
    found: list[str] = []
    try:
        envelope = json.loads(fields.get("envelope", b"{}"))
        to = envelope.get("to") if isinstance(envelope, dict) else None
        found += [address for address in (to if isinstance(to, list) else [to]) if isinstance(address, str)]
    except (ValueError, RecursionError):
        pass
    headers = [fields.get(name, b"").decode("utf-8", "replace")[:10_000] for name in ("to", "cc")]
    if "email" in fields:
        mail = message_from_bytes(fields["email"][:200_000])
        headers += [_header(mail, name)[:10_000] for name in ("To", "Cc", "Delivered-To")]
    found += [address for _name, address in getaddresses(headers)]
    return list(dict.fromkeys(address for address in found if address))[:50]


def raw_mail(fields: dict[str, bytes]) -> bytes:
    """The MIME message: as it came (`email`), or put together from the parsed fields. Raises NotInboundMail."""
    if fields.get("email"):
        return fields["email"]
    if not {"text", "html", "headers", "subject", "from"} & fields.keys():
        raise NotInboundMail
    try:
        charsets = json.loads(fields.get("charsets", b"{}"))
    except (ValueError, RecursionError):
        charsets = {}

    def field(name: str) -> str:
        charset = charsets.get(name) if isinstance(charsets, dict) else None
        return decode_text(fields.get(name, b""), charset if isinstance(charset, str) else None)

    body = field("text") or text_of_html(field("html"))
    mail = EmailMessage()
    original = message_from_bytes(fields.get("headers", b"") + b"\r\n\r\n")
    for name in ("Message-ID", "Date", "Return-Path", "Auto-Submitted", "Precedence", *_AUTO_HEADERS):
        if value := _header(original, name):
            _set(mail, name, value)
    _set(mail, "From", field("from"))
    _set(mail, "To", field("to"))
    _set(mail, "Subject", field("subject"))
    mail.set_content(body)
    return mail.as_bytes()


def _set(mail: EmailMessage, name: str, value: str) -> None:
    try:
        mail[name] = re.sub(r"[\r\n]+", " ", value)[:2_000]
    except Exception:  # the header parser raises several kinds on hostile input
        mail[f"X-Unreadable-{name}"] = "1"
