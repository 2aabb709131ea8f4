"""Contact data as it is shown where nobody has asked, with a reason, to see all of it."""

_SHOWN_START = 3
_SHOWN_END = 4


def mask_email(address: str | None) -> str | None:
    """`wang.fang@example.com` becomes `w•••@example.com`."""
    if not address:
        return None
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}•••{at}{domain}" if at else _mask_middle(address)


def mask_mobile(number: str | None) -> str | None:
    """`+8613812345678` becomes `+86 138****5678`; other numbers keep their first three and last two digits."""
    if not number:
        return None
    if number.startswith("+86") and len(number) == 14:
        return f"+86 {number[3:6]}****{number[-4:]}"
    return _mask_middle(number)


def mask_name(name: str | None) -> str | None:
    """`Wang Fang` becomes `W••• F•••`, `王芳` becomes `王•`: enough for who knows the client, too little for others."""
    if not name:
        return None
    return " ".join(word[:1] + ("•••" if word.isascii() else "•" * max(1, len(word) - 1)) for word in name.split())


def mask_account(number: str | None) -> str | None:
    """An account or identity number keeps its last four signs; short ones keep none."""
    if not number:
        return None
    return f"****{number[-_SHOWN_END:]}" if len(number) > 2 * _SHOWN_END else "****"


def mask_address(channel: str, address: str | None) -> str | None:
    """The address of a channel ("email", "sms", "call"), masked."""
    return mask_email(address) if channel == "email" else mask_mobile(address)


def _mask_middle(text: str) -> str:
    if len(text) <= 2 * _SHOWN_START:
        return "****"
    return f"{text[:_SHOWN_START]}****{text[-2:]}"
