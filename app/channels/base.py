"""What every channel of e-mail is given and gives back.

A template is compiled once into static text and slots; a recipient brings only the texts of the slots. A
channel turns both into what its transport needs (MIME bytes, or a vendor's substitutions).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


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
    """What all messages of a batch share."""

    from_address: str
    from_name: str
    list_id: str
    feedback_id: str


@dataclass(frozen=True, slots=True)
class OutgoingEmail:
    """One message: to whom, the texts of its slots, and the addresses that lead back to it."""

    message_id: int
    token: str
    recipient: str
    slots: Sequence[str]
    reply_to: str
    unsubscribe_url: str
    unsubscribe_address: str

    def fill(self, segments: Segments) -> str:
        """A part of the template with this message's slots filled in."""
        return "".join(piece if isinstance(piece, str) else self.slots[piece] for piece in segments)


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one message: the vendor's reference, or the reason it failed."""

    message_id: int
    outcome: Outcome
    reference: str | None = None
    reason: str | None = None


class EmailChannel(Protocol):
    """A way to send e-mail. `window` is how many messages are handed over in one commit."""

    name: str
    window: int

    def send(self, template: EmailTemplate, envelope: Envelope, emails: Sequence[OutgoingEmail]) -> list[Result]:
        """Hand over every e-mail and say what became of each. Never raises for the transport's troubles."""
        ...
