"""Reading and answering messages of the local mailbox, as a client's mail program does."""

import re
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from email.utils import make_msgid, parseaddr

from app.channels.email.models import MailboxMessage

_HEAD = re.compile(r"<head[^>]*>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Opened:
    """A message taken apart: its parts and its headers in order."""

    html: str
    text: str
    headers: list[tuple[str, str]]
    reply_to: str


def open_message(message: MailboxMessage) -> Opened:
    """Parse the MIME of a message that this product made."""
    mail = message_from_bytes(message.mime, policy=default)
    html, text = mail.get_body(("html",)), mail.get_body(("plain",))
    return Opened(
        html=str(html.get_content()) if html else "",
        text=str(text.get_content()) if text else "",
        headers=[(name, str(value)) for name, value in mail.items()],
        reply_to=parseaddr(str(mail.get("Reply-To") or mail.get("From") or ""))[1],
    )


def for_frame(html: str) -> str:
    """The HTML with its links opening in a page of their own: the frame it is shown in is sandboxed."""
    base = '<base target="_blank">'
    head = _HEAD.search(html)
    return html[: head.end()] + base + html[head.end() :] if head else base + html


def write_answer(message: MailboxMessage, *, text: str) -> tuple[bytes, str]:
    """The recipient's answer as MIME, and the address it goes to."""
    opened = open_message(message)
    mail = EmailMessage()
    mail["From"] = message.recipient
    mail["To"] = opened.reply_to
    mail["Subject"] = f"Re: {message.subject}"
    mail["Message-ID"] = make_msgid(domain="mailbox.invalid")
    if original := dict(opened.headers).get("Message-ID"):
        mail["In-Reply-To"] = original
    mail.set_content(text)
    return mail.as_bytes(), opened.reply_to
