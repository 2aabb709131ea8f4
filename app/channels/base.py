"""What every channel is given and gives back, and what a vendor has to say of itself.

A template is compiled once into static text and slots; a recipient brings only the texts of the slots. A
channel turns both into what its transport needs (MIME bytes, or a vendor's substitutions).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Protocol

from app.config import Config


class Outcome(StrEnum):
    """What became of a message that was handed over."""

    SENT = "sent"
    FAILED = "failed"  # refused for good
    UNCONFIRMED = "unconfirmed"  # it may have been taken: never sent again by itself
    NOT_TAKEN = "not_taken"  # certainly not taken: safe to try again


Segments = tuple[str | int, ...]
"""Static text and slot numbers, in order."""


@dataclass(frozen=True, slots=True)
class EmailTemplate:
    """The parts of a message. Slot numbers count through subject, html and text."""

    subject: Segments
    html: Segments
    text: Segments


@dataclass(frozen=True, slots=True)
class Envelope:
    """What all messages of a batch share. `automatic`: no person decided to send it (RFC 3834)."""

    from_address: str
    from_name: str
    list_id: str
    feedback_id: str
    automatic: bool = False


class OutgoingEmail(NamedTuple):
    """One message: to whom, the texts of its slots, and the addresses that lead back to it.

    `token` is the same whichever account the message leaves through, and so is the Message-ID that is made of it.
    `return_path` is where a bounce goes; without one it goes to the sender. `in_reply_to` is the Message-ID, in its
    brackets, of what this answers.
    """

    message_id: int
    token: str
    recipient: str
    slots: Sequence[str]
    reply_to: str
    unsubscribe_url: str
    unsubscribe_address: str
    return_path: str = ""
    in_reply_to: str = ""

    def message_id_header(self, envelope: Envelope) -> str:
        """Stable for a message: sending it again could not make a second one in the reader's eyes."""
        return f"<{self.token}@{envelope.from_address.partition('@')[2]}>"

    def fill(self, segments: Segments) -> str:
        """A part of the template with this message's slots filled in."""
        return "".join(piece if isinstance(piece, str) else self.slots[piece] for piece in segments)


@dataclass(frozen=True, slots=True)
class EmailBatch:
    """What all e-mails of a batch share: the words and the envelope."""

    template: EmailTemplate
    envelope: Envelope


class Result(NamedTuple):
    """The outcome of one message: the vendor's reference, or the reason it failed.

    `account_at_fault`: the account is in trouble (unreachable, over its rate, its key refused), so that it is left
    alone for a while and what was certainly not taken may go through another one; until `again_at` where the vendor
    said so. Without it, NOT_TAKEN means that this message alone has to wait.
    """

    message_id: int
    outcome: Outcome
    reference: str | None = None
    reason: str | None = None
    account_at_fault: bool = False
    again_at: datetime | None = None

    def to_wait_too(self, message_id: int) -> "Result":
        """Of a message that was not offered any more, because this one told of the account's trouble."""
        return Result(message_id, Outcome.NOT_TAKEN, None, self.reason, True, self.again_at)


class Channel(Protocol):
    """One account of a vendor. `window` is how many messages are handed over in one commit."""

    window: int

    def send(self, batch: Any, messages: Sequence[Any]) -> list[Result]:
        """Hand over every message and say what became of each. Never raises for the transport's troubles.

        `batch` holds what the messages share, in the form of the vendor's kind: `EmailBatch` with `OutgoingEmail`
        for e-mail.
        """
        ...


@dataclass(frozen=True, slots=True)
class Setting:
    """A thing that an account of a vendor has to say: `kind` is how it is asked for."""

    name: str
    label: object
    kind: Literal["text", "number", "choice", "long_text", "yesno"] = "text"
    default: Any = ""
    required: bool = False
    choices: Sequence[tuple[str, object]] = ()
    description: object = ""


@dataclass(frozen=True, slots=True)
class Vendor:
    """A transport that accounts can be made of.

    `build(settings, secret, config)` makes an account's channel; `secret` is the value of the environment variable that
    the account names, None for the account that the configuration itself describes. It raises ValueError with a
    sentence where a setting is wrong. `secret_label` None: the vendor needs no secret. `abroad(settings, config)`: such
    an account hands clients' data over to another country.
    """

    name: str
    channel: str
    label: object
    build: Callable[[Mapping[str, Any], str | None, Config], Channel]
    settings: Sequence[Setting] = field(default=())
    secret_label: object | None = None
    abroad: Callable[[Mapping[str, Any], Config], bool] = lambda _settings, _config: False
