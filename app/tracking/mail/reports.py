"""Reports that mail systems send: what could not be delivered (RFC 3464 and its many forebears), and complaints.

The reports of mail systems that keep no standard are found by flufl.bounce, the detector of GNU Mailman. What belongs
to which message of ours is told by signed addresses, wherever in the report they stand: they cannot be made up.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import MessageError
from email.message import Message
from email.utils import parseaddr

import structlog
from flufl.bounce import all_failures

from app.core.tokens import Kind, Links
from app.tracking.mail.reading import body, content, header, parts, plain

FAILED, DELAYED = "failed", "delayed"
MAX_FAILURES = 20
MAX_SCANNED = 300_000  # bytes in which addresses of ours are looked for
MAX_WORDS = 600

# RFC 5965 and the IANA registry of feedback types. "not-spam" takes back what never counted.
FEEDBACK = {
    "abuse": "complaint",
    "fraud": "complaint",
    "miscategorized": "complaint",
    "opt-out": "unsubscribe",
    "opt-out-list": "unsubscribe",
    "not-spam": "other",
    "virus": "other",
    "other": "other",
    "auth-failure": "other",
    "dmarc": "other",
}

_MACHINES = re.compile(r"mailer-?daemon|postmaster|mail[ -]?delivery|mdaemon", re.IGNORECASE)
_SUBJECTS = re.compile(
    r"undeliver|returned mail|return(ed)? to sender|failure notice|"
    r"delivery (status|failure|notification|problem|report|error)|"
    r"(mail|message|e-mail).{0,30}(delivery|failed|failure|returned|could not|not delivered|bounced|error)|"
    r"delivery.{0,20}(fail|delay)|non-?delivery|non.?remise|unzustellbar|退信|退回|投递失败|无法投递|發送失敗|系统退信",
    re.IGNORECASE,
)
_OUR_ADDRESS = re.compile(rb"[bruBRU][0-9a-fA-F]{1,16}-[0-9a-fA-F]{20}@[A-Za-z0-9.-]{1,255}")
_SAYS = re.compile(r"(?:^|[\s:;(<])[45]\d\d[\s-]|(?<![\d.])[45]\.\d{1,3}\.\d{1,3}(?![\d.])")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """One recipient that was not reached: `action` failed for good, or delayed and still tried. `words` is what the
    receiving system said."""

    address: str
    action: str
    status: str | None
    words: str


@dataclass(frozen=True, slots=True)
class Feedback:
    """A complaint or another report about a message, by its recipient's mailbox provider: the kind of event it is, and
    the recipients it names."""

    kind: str
    addresses: tuple[str, ...]


def looks_like_a_report(mail: Message) -> bool:
    """Whether a program that delivers mail surely wrote it: only then an answer to a message is searched for failures,
    for people quote reports."""
    return (
        mail.get_content_type() == "multipart/report"
        or header(mail, "Return-Path").strip() == "<>"
        or mail.get("X-Failed-Recipients") is not None
        or _MACHINES.search(header(mail, "From")) is not None
    )


def may_be_a_report(mail: Message) -> bool:
    """Whether it calls itself one, too: enough for mail that answers nothing of ours."""
    return looks_like_a_report(mail) or _SUBJECTS.search(header(mail, "Subject")) is not None


def failures(mail: Message) -> list[Failure]:
    """Who was not reached, each address once; empty where the message reports no failure.

    The fields of a standard report come first; what they do not say is filled in from its text.
    """
    found = {failure.address: failure for failure in _fields(mail)}
    try:
        delayed, failed = all_failures(mail)
    except (LookupError, ValueError, TypeError, AttributeError, AssertionError, RecursionError, MessageError) as error:
        log.info("bounce_detector_failed", error=type(error).__name__)  # several kinds on hostile input
        delayed, failed = frozenset(), frozenset()
    text = ""
    for action, addresses in ((DELAYED, delayed), (FAILED, failed)):
        for raw in sorted(addresses):
            address = _address(plain(raw.decode("utf-8", "replace")))
            if address and address not in found:
                text = text or body(mail)[0]
                found[address] = Failure(address, action, None, _words_about(text, address))
    return list(found.values())[:MAX_FAILURES]


def _fields(mail: Message) -> Iterator[Failure]:
    """The failures that the fields of a standard report name (RFC 3464, 2.3)."""
    for part in parts(mail):
        payload = part.get_payload() if part.get_content_type() == "message/delivery-status" else None
        if not isinstance(payload, list):
            continue
        for block in payload:
            if not isinstance(block, Message):
                continue
            action = header(block, "Action").split("(")[0].strip().lower()
            what = DELAYED if action.startswith("delayed") else FAILED if action.startswith(("fail", "error")) else None
            address = _recipient(block)
            if what and address:
                status = re.search(r"[245]\.\d{1,3}\.\d{1,3}", header(block, "Status"))
                words = header(block, "Diagnostic-Code").partition(";")
                yield Failure(address, what, status[0] if status else None, (words[2] or words[0]).strip()[:MAX_WORDS])


def _recipient(block: Message) -> str:
    for name in ("Original-Recipient", "Final-Recipient", "X-Actual-Recipient"):
        said = header(block, name)
        address = _address(said.partition(";")[2] or said)
        if address:
            return address
    return ""


def _address(said: str) -> str:
    address = parseaddr(said.strip())[1].strip().strip("<>").lower()
    return address if "@" in address and 3 <= len(address) <= 320 and not re.search(r"\s|\.\.", address) else ""


def _words_about(text: str, address: str) -> str:
    """What a report in plain text says of a failure: the line with a code, nearest after the address, or those around
    the address."""
    lines = [line.strip()[:500] for line in text[:20_000].split("\n")[:400]]
    start = next((place for place, line in enumerate(lines) if address in line.lower()), 0)
    for place in [*range(start, len(lines)), *range(start)]:
        if _SAYS.search(lines[place]):
            return " ".join(lines[place : place + 2])[:MAX_WORDS]
    return " ".join(line for line in lines[max(0, start - 2) : start + 5] if line)[:MAX_WORDS]


def feedback(mail: Message) -> Feedback | None:
    """The report about a message that its recipient complained of (ARF, RFC 5965); None where it is none."""
    for part in parts(mail):
        if part.get_content_type() != "message/feedback-report":
            continue
        fields = part.get_payload()
        block = fields[0] if isinstance(fields, list) and fields and isinstance(fields[0], Message) else part
        word = header(block, "Feedback-Type").strip().lower()
        if not word:
            word = (re.search(r"(?im)^feedback-type:\s*(\S+)", content(part)[:5_000]) or ["", ""])[1].lower()
        if word not in FEEDBACK:
            log.warning("feedback_unknown_type", word=word[:40])
        named = [*(block.get_all("Original-Rcpt-To") or []), *(block.get_all("Removal-Recipient") or [])]
        addresses = (_address(plain(str(value))) for value in named[:MAX_FAILURES])
        return Feedback(FEEDBACK.get(word, "other"), tuple(address for address in addresses if address))
    return None


def our_message(raw: bytes, links: Links) -> int | None:
    """The message of ours that a report is about, by an address in it that we signed (return path, reply or unsubscribe
    address of what was sent); None where it holds none."""
    unfolded = raw[:MAX_SCANNED].replace(b"=\r\n", b"").replace(b"=\n", b"")
    for found in _OUR_ADDRESS.finditer(unfolded):
        meant = links.read_mail_address(found[0].decode("ascii"))
        if meant is not None and meant[0] in (Kind.REPLY, Kind.UNSUBSCRIBE, Kind.BOUNCE):
            return meant[1]
    return None
