"""From the words of an SMS to what each client gets."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from app.channels.sms.message import SmsBatch
from app.content.liquid import TEXT, parse
from app.content.sms.models import SmsContent

Values = Mapping[str, Any]


class CompiledSms:
    """An SMS parsed once: the merge fields it needs, and its text for the values of a client.

    Raises ContentInvalid where its merge fields cannot be read.
    """

    def __init__(self, text: str, signature: str) -> None:
        self._template = parse(TEXT, text, "SMS")
        self._lead = f"【{signature}】" if signature else ""
        self.keys = merge_keys(text)
        static = "{{" not in text and "{%" not in text
        self._render: Callable[[Values], str] = (lambda _values: text) if static else self._fill

    def _fill(self, values: Values) -> str:
        return self._template.render(**values)

    def body(self, values: Values) -> str:
        """The text without the signature. Raises LiquidError."""
        return self._render(values).strip()

    def whole(self, body: str) -> str:
        """The text with the signature before it."""
        return self._lead + body


@lru_cache(maxsize=256)
def compile_sms(text: str, signature: str) -> CompiledSms:
    """The SMS, once per process and wording."""
    return CompiledSms(text, signature)


def merge_keys(text: str) -> Sequence[str]:
    """The merge fields of a text, such as `client.first_name`, each once, in order."""
    found = parse(TEXT, text, "SMS").analyze().globals
    keys = (".".join(str(part) for part in variable.segments) for spans in found.values() for variable in spans)
    return list(dict.fromkeys(keys))


def batch_of(content: SmsContent) -> SmsBatch:
    """What the vendor has on record for the wording."""
    return SmsBatch(
        signature=content.signature.name if content.signature else "",
        signature_reference=(content.signature.vendor_reference or "") if content.signature else "",
        template_reference=(content.template.vendor_reference or "") if content.template else "",
    )
