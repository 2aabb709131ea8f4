"""An SMS as a phone shows it, with its length, its parts and what they cost."""

from dataclasses import dataclass
from decimal import Decimal

from app.channels.sms.length import SmsLength, outside_gsm7, sms_length
from app.clients.models import Client
from app.content.personalisation import client_values, example_values
from app.content.sms.models import SmsContent, SmsSignature
from app.content.sms.queries import Price, price_of_a_part
from app.content.sms.rendering import compile_sms
from app.core.extensions import db


@dataclass(frozen=True, slots=True)
class Measured:
    """`text` is the whole SMS with a client's values (or examples); `varies`: it is longer or shorter for others.

    `strange` are the few characters that make a text of Latin letters a UCS-2 one.
    """

    text: str
    length: SmsLength
    varies: bool
    strange: list[str]
    price: Price | None

    @property
    def cost(self) -> Decimal | None:
        """What one SMS of this length costs."""
        return self.price.amount * self.length.parts if self.price else None


def measure(content: SmsContent, *, client: Client | None = None) -> Measured:
    """Raises ContentInvalid, and LiquidError where the values cannot be filled in."""
    signature = db.session.get(SmsSignature, content.signature_id) if content.signature_id else None
    sms = compile_sms(content.text, signature.name if signature else "")
    text = sms.whole(sms.body(client_values(client) if client else example_values()))
    length = sms_length(text)
    return Measured(text, length, bool(sms.keys), strange_characters(text), price_of_a_part())


def strange_characters(text: str) -> list[str]:
    """The few characters that make a text of Latin letters a UCS-2 one; none where most of it is outside GSM-7."""
    strange = outside_gsm7(text)
    return strange[:12] if sum(character in strange for character in text) * 5 < len(text) else []
