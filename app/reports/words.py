"""The names of the figures and what each of them counts, in the reader's language."""

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.audiences.snapshots import REASON_LABELS
from app.reports.response import DENOMINATORS, Outcome

OUTCOME_LABELS = {
    Outcome.TARGETED: _l("Targeted"),
    Outcome.SENT: _l("Sent"),
    Outcome.DELIVERED: _l("Delivered"),
    Outcome.OPENED: _l("Opened"),
    Outcome.CLICKED: _l("Clicked"),
    Outcome.REPLIED: _l("Replied"),
    Outcome.CONTACT_RESULTS: _l("Contact results"),
    Outcome.UNSUBSCRIBED: _l("Unsubscribed"),
    Outcome.BOUNCED: _l("Bounced"),
    Outcome.COMPLAINED: _l("Spam reports"),
    Outcome.MACHINE_OPENED: _l("Opened by machines"),
    Outcome.MACHINE_CLICKED: _l("Clicked by machines"),
    Outcome.ACCOUNTS_OPENED: _l("Accounts opened"),
    Outcome.WAITING: _l("Still to be sent"),
    Outcome.SKIPPED: _l("Skipped"),
    Outcome.FAILED: _l("Refused"),
    Outcome.UNCONFIRMED: _l("Awaiting receipt"),
    Outcome.CANCELLED: _l("Cancelled"),
}
_DEFINITIONS = {
    Outcome.TARGETED: _l("Clients of the frozen audience who may be contacted."),
    Outcome.SENT: _l("Handed over to the mail system, or proved to have left by something that came back."),
    Outcome.OPENED: _l("Opened the message at least once. A click proves an open."),
    Outcome.CLICKED: _l("Followed at least one link."),
    Outcome.REPLIED: _l("Wrote back; automatic replies do not count."),
    Outcome.CONTACT_RESULTS: _l("An adviser called or visited them and noted what came of it."),
    Outcome.UNSUBSCRIBED: _l("Unsubscribed through this message."),
    Outcome.BOUNCED: _l("Returned as undeliverable after it was sent."),
    Outcome.COMPLAINED: _l("Reported the message as spam."),
    Outcome.MACHINE_OPENED: _l("Mail scanners and privacy services fetched the pictures; never counted as opened."),
    Outcome.MACHINE_CLICKED: _l("Mail scanners followed links; never counted as clicked."),
    Outcome.ACCOUNTS_OPENED: _l(
        "Clients with at least one account opening credited to this campaign: it was their last message within the "
        "attribution window."
    ),
    Outcome.WAITING: _l("Planned and not yet handed over."),
    Outcome.SKIPPED: _l("Left out at the last moment, for the reason given."),
    Outcome.FAILED: _l("Refused by the mail system for good."),
    Outcome.UNCONFIRMED: _l("May have left; it is never sent again by itself."),
    Outcome.CANCELLED: _l("Not sent because the campaign was cancelled."),
}
_BY_RECEIPT = _l("Confirmed by the mail provider, or proved by an open, a click or a reply.")
_BY_ACCEPTANCE = _l("Accepted by the mail system and not bounced: this channel reports no receipts.")
REASONS: dict[str, object] = {
    **REASON_LABELS,
    "": _l("No reason recorded"),
    "the message could not be filled in": _l("The message could not be filled in"),
    "given up after many attempts": _l("Given up after many attempts"),
    "no answer from the provider": _l("No answer from the provider"),
}


def definition(outcome: Outcome, *, receipts: bool) -> str:
    """What the figure counts; for delivered, by which of the two ways it is known."""
    if outcome is Outcome.DELIVERED:
        return str(_BY_RECEIPT if receipts else _BY_ACCEPTANCE)
    return str(_DEFINITIONS[outcome])


def denominator(outcome: Outcome) -> str | None:
    """ "of delivered", or None for the figure that all others are a part of."""
    whole = DENOMINATORS.get(outcome)
    return None if whole is None else _("of %(figure)s", figure=str(OUTCOME_LABELS[whole]).lower())


def reason_label(reason: str) -> str:
    """A reason in words; a mail system's own text is shown as it came."""
    return str(REASONS.get(reason, reason))
