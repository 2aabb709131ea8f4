"""SendGrid Inbound Parse: the message and its recipients out of a multipart form.

Source: "Inbound Parse Webhook", Twilio SendGrid documentation.
"""

import json
import re
from contextlib import suppress
from email.message import EmailMessage
from email.utils import getaddresses

from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from app.tracking.mail.reading import (
    AUTO_HEADERS,
    Unreadable,
    addressed_to,
    decode_text,
    header,
    parse,
    plain,
    text_of_html,
)


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
    found += [address for _name, address in getaddresses(headers)]
    if "email" in fields:
        with suppress(Unreadable):  # the envelope has to do
            found += addressed_to(parse(fields["email"][:200_000]))
    return list(dict.fromkeys(plain(address) for address in found if address))[:50]


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
    try:
        original = parse(fields.get("headers", b"") + b"\r\n\r\n")
    except Unreadable as error:
        raise NotInboundMail from error
    for name in (
        "Message-ID",
        "Date",
        "Return-Path",
        "Auto-Submitted",
        "Precedence",
        "In-Reply-To",
        "References",
        *AUTO_HEADERS,
    ):
        if value := header(original, name):
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
