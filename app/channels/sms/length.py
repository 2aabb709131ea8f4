"""How long an SMS is to a network: its alphabet, its units and its parts.

Sources: 3GPP TS 23.038 (the GSM 7-bit default alphabet and its extension table), TS 23.040 9.2.3.24.1 (concatenation:
a header of 6 octets leaves 153 septets or 67 UCS-2 units of a part).
"""

from dataclasses import dataclass

GSM7, UCS2 = "GSM-7", "UCS-2"
ONE_PART = {GSM7: 160, UCS2: 70}
PART_OF_MANY = {GSM7: 153, UCS2: 67}

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("\f^{}\\[~]|€")  # an escape and a septet each


@dataclass(frozen=True, slots=True)
class SmsLength:
    """`units` are septets (GSM-7) or 16-bit units (UCS-2); `left` is how many fit before another part is needed."""

    alphabet: str
    characters: int
    units: int
    parts: int
    left: int


def sms_length(text: str) -> SmsLength:
    """The length of a text as it is sent, signature included. An empty text has no part.

    What takes two units (an extension character, a surrogate pair) is never split over two parts, so a long text may
    need one part more than its units say.
    """
    gsm = all(character in _BASIC or character in _EXTENSION for character in text)
    alphabet = GSM7 if gsm else UCS2
    sizes = [_size(character, gsm) for character in text]
    units = sum(sizes)
    if units <= ONE_PART[alphabet]:
        return SmsLength(alphabet, len(text), units, min(len(text), 1), ONE_PART[alphabet] - units)
    room = PART_OF_MANY[alphabet]
    parts, used = 1, 0
    for size in sizes:
        if used + size > room:
            parts, used = parts + 1, 0
        used += size
    return SmsLength(alphabet, len(text), units, parts, room - used)


def outside_gsm7(text: str) -> list[str]:
    """The characters that make a text UCS-2, each once, in order."""
    return list(dict.fromkeys(character for character in text if character not in _BASIC | _EXTENSION))


def _size(character: str, gsm: bool) -> int:
    if gsm:
        return 2 if character in _EXTENSION else 1
    return 2 if ord(character) > 0xFFFF else 1
