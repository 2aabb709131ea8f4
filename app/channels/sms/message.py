"""What SMS channels are given: what the messages of a step share, and one message."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SmsBatch:
    """What a vendor has on record for the wording: ids of the signature and of the template, where there are any."""

    signature: str = ""
    signature_reference: str = ""
    template_reference: str = ""


@dataclass(frozen=True, slots=True)
class OutgoingSms:
    """One SMS: `text` is all of it, signature included; `body` is without. `variables` are the values that fill the
    registered template, in the order agreed with the vendor. `token` leads back to the message."""

    message_id: int
    token: str
    recipient: str
    text: str
    body: str
    variables: Sequence[tuple[str, str]] = ()
