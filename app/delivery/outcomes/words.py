"""Reasons of our own in the reader's language; a vendor's words stay as they are."""

from flask_babel import lazy_gettext as _l

OWN = {
    "": _l("No reason was given"),
    "the worker stopped while sending": _l("The worker stopped while sending"),
    "found on its way without a worker": _l("Found on its way without a worker"),
    "settled by hand as sent": _l("Settled by hand as sent"),
    "settled by hand as not sent": _l("Settled by hand as not sent"),
    "given up after many attempts": _l("Given up after many attempts"),
    "the message could not be filled in": _l("The message could not be filled in"),
    "no answer from the provider": _l("No answer from the provider"),
}


def reason_words(reason: str | None) -> str:
    """A reason as people read it."""
    return str(OWN.get(reason or "", reason))
