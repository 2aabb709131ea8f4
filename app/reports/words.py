"""The names of the figures and what each of them counts, in the reader's language."""

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext

from app.audiences.obstacles import REASON_LABELS
from app.campaigns.models import Campaign
from app.reports.response import DENOMINATORS, Delivery, Outcome

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
    Outcome.WAITING: _l("Planned and not yet handed over."),
    Outcome.SKIPPED: _l("Left out at the last moment, for the reason given."),
    Outcome.FAILED: _l("Refused by the mail system for good."),
    Outcome.UNCONFIRMED: _l("May have left; it is never sent again by itself."),
    Outcome.CANCELLED: _l("Not sent because the campaign was cancelled."),
}
_DELIVERED = {
    Delivery.RECEIPTS: _l("Confirmed by the mail provider, or proved by an open, a click or a reply."),
    Delivery.ACCEPTANCE: _l("Accepted by the mail system and not bounced: this channel reports no receipts."),
    Delivery.BOTH: _l(
        "Confirmed by the provider or proved by an open, a click or a reply; where an account reports no receipts, "
        "accepted and not bounced."
    ),
}
_CREDITED = {
    "last_touch": _l("Clients with an account opening for which the campaign's last message before it is credited."),
    "first_touch": _l("Clients with an account opening for which the campaign's first message before it is credited."),
    "last_click": _l("Clients with an account opening for which the campaign's message they clicked last is credited."),
    "even": _l("Clients with an account opening for which all messages of the campaign before it are credited alike."),
}
REASONS: dict[str, object] = {
    **REASON_LABELS,
    "": _l("No reason recorded"),
    "the message could not be filled in": _l("The message could not be filled in"),
    "given up after many attempts": _l("Given up after many attempts"),
    "no answer from the provider": _l("No answer from the provider"),
}


def definition(outcome: Outcome, *, campaign: Campaign | None = None, delivery: Delivery = Delivery.BOTH) -> str:
    """What the figure counts; for delivered, by which way it is known (`BOTH` is true of any mixture).

    Without a campaign: where several stand together.
    """
    if outcome is Outcome.DELIVERED:
        return str(_DELIVERED[delivery])
    if outcome is Outcome.ACCOUNTS_OPENED and campaign is None:
        return str(_("Clients with an account opening that the campaign claims by its own model and window."))
    if outcome is Outcome.ACCOUNTS_OPENED and campaign is not None:
        window = ngettext(
            "Within the attribution window of %(num)s day.",
            "Within the attribution window of %(num)s days.",
            campaign.window_days,
        )
        return f"{_CREDITED[campaign.attribution_model]} {window}"
    return str(_DEFINITIONS[outcome])


def explanation(outcome: Outcome, *, campaign: Campaign, delivery: Delivery = Delivery.BOTH) -> str:
    """What the figure counts, what its rate is of, and how the interval of the rate is made."""
    counts = definition(outcome, campaign=campaign, delivery=delivery)
    of = denominator(outcome)
    if of is None:
        return counts
    method = _("Rate: share %(denominator)s, with its 95 %% confidence interval (Wilson).", denominator=of)
    return f"{counts} {method}"


def denominator(outcome: Outcome) -> str | None:
    """ "of delivered", or None for the figure that all others are a part of."""
    whole = DENOMINATORS.get(outcome)
    return None if whole is None else _("of %(figure)s", figure=str(OUTCOME_LABELS[whole]).lower())


def reason_label(reason: str) -> str:
    """A reason in words; a mail system's own text is shown as it came."""
    return str(REASONS.get(reason, reason))
