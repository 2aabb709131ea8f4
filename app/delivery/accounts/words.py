"""The words of accounts as people read them."""

from flask_babel import lazy_gettext as _l

STATES = {
    "active": (_l("Active"), "success"),
    "resting": (_l("Resting after trouble"), "warning"),
    "marketing_paused": (_l("Marketing paused"), "danger"),
    "paused": (_l("Paused"), "warning"),
    "unused": (_l("Not used (weight 0)"), "neutral"),
    "barred": (_l("Waits for a legal basis"), "warning"),
    "archived": (_l("Archived"), "neutral"),
}
LOCATION_LABELS = {"domestic": _l("It stays in the country"), "foreign": _l("It goes abroad")}
CHANNEL_LABELS = {
    "email": _l("E-mail"),
    "sms": _l("SMS"),
    "call": _l("Adviser call or visit"),
    "webhook": _l("Webhook"),
}


def channel_label(channel: str) -> str:
    """A channel in words; one of an outside package by its own name."""
    return str(CHANNEL_LABELS.get(channel, channel))


ACTIONS = {
    "create": _l("Created"),
    "edit": _l("Changed"),
    "pause": _l("Paused"),
    "resume": _l("Resumed"),
    "pause_marketing": _l("Marketing paused: too many complaints"),
    "resume_marketing": _l("Marketing resumed"),
    "archive": _l("Archived"),
    "restore": _l("Taken out of the archive"),
    "legal_basis": _l("Legal basis changed"),
    "test": _l("Tested"),
}
