"""The sentences of the page that answers why a client did, or did not, get a campaign."""

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.campaigns.models import Campaign
from app.core.web import moment
from app.reports.why.queries import Why
from app.reports.why.verdicts import Verdict
from app.reports.words import reason_label

CHANNELS = {"email": _l("E-mail"), "sms": _l("SMS"), "call": _l("Call"), "webhook": _l("Webhook")}
STATES = {
    "planned": _l("Planned"),
    "handing": _l("Being handed over"),
    "sent": _l("Sent"),
    "failed": _l("Refused"),
    "unconfirmed": _l("Awaiting receipt"),
    "skipped": _l("Skipped"),
    "cancelled": _l("Cancelled"),
}
STATE_TONES = {"sent": "success", "failed": "danger", "skipped": "warning", "unconfirmed": "warning"}
ROLES = {
    "include": _l("Sent to"),
    "exclude": _l("Not sent to"),
    "report": _l("Only reported by"),
}
EVENTS = {
    "open": _l("Opened"),
    "click": _l("Clicked"),
    "unsubscribe": _l("Unsubscribed"),
    "accepted": _l("Accepted by the provider"),
    "delivered": _l("Delivered"),
    "bounce": _l("Bounced"),
    "blocked": _l("Blocked"),
    "deferred": _l("Deferred by the receiver"),
    "dropped": _l("Dropped by the provider"),
    "complaint": _l("Reported as spam"),
    "reply": _l("Replied"),
    "other": _l("Other report"),
}
MACHINE_REASONS = {
    "head": _l("asked for the address only"),
    "agent": _l("a program of the list"),
    "network": _l("a network of the list"),
    "sg_machine_open": _l("reported as a machine's by SendGrid"),
    "too fast": _l("too fast for a person"),
    "trap": _l("followed the link that people do not see"),
    "all links": _l("all links within seconds"),
    "image proxy": _l("picture fetched for a person by their mail service"),
}
REPLIES = {"reply": _l("Reply"), "auto_reply": _l("Automatic reply"), "opt_out": _l("Opt-out")}
_TONES = {
    Verdict.SENT: "success",
    Verdict.CONTROL: "info",
    Verdict.WAITING: "info",
    Verdict.PLANNED: "info",
    Verdict.NOT_LAUNCHED: "info",
    Verdict.FAILED: "danger",
}
_FIXED = {
    Verdict.UNCONFIRMED: _l("It may have left: nobody said what became of it. It is never sent again by itself."),
    Verdict.WAITING: _l("Not yet: the message is planned and waits for its turn."),
    Verdict.CANCELLED: _l("No: the campaign was cancelled before the message left."),
    Verdict.CONTROL: _l("No, on purpose: drawn for the control group, which the campaign never contacts."),
    Verdict.PLANNED: _l("Not yet: the client is in the frozen audience, and no message is planned so far."),
    Verdict.NOT_LAUNCHED: _l("Not yet: the campaign has not been launched. As things are, the client would get it."),
    Verdict.NEW: _l("No: the client came into the book after the audience was frozen."),
    Verdict.OTHER_PART: _l("No: the client is not of the part of the firm that the campaign's owner works for."),
    Verdict.NO_SEGMENT: _l("No: the client is in none of the segments that it is sent to."),
    Verdict.EXCLUDED_SEGMENT: _l("No: the client is in a segment that it is not sent to."),
    Verdict.CHANGED: _l(
        "No: the client was not in the audience when it was frozen. Nothing would keep them out today, so something "
        "about them has changed since."
    ),
}  # fmt: skip


def sentence(found: Why) -> str:
    """The answer in one sentence."""
    answer = found.answer
    message = answer.message
    if answer.verdict is Verdict.SENT and message is not None:
        channel = CHANNELS.get(message.channel, message.channel)
        words = _("Yes: sent by %(channel)s on %(time)s.", channel=channel, time=moment(message.sent_at))
        return f"{words} {_('It was returned as undeliverable.')}" if message.bounced_at else words
    if answer.verdict is Verdict.SKIPPED and message is not None:
        return str(_("No: left out at the last moment. %(reason)s.", reason=reason_label(message.reason or "")))
    if answer.verdict is Verdict.FAILED and message is not None:
        return str(_("No: refused when it was sent. %(reason)s.", reason=reason_label(message.reason or "")))
    if answer.verdict is Verdict.EXCLUDED:
        reasons = str(_(", ")).join(reason_label(reason) for reason in answer.reasons)
        return str(_("No: the client may not be contacted. %(reasons)s.", reasons=reasons))
    return str(_FIXED[answer.verdict])


def note(found: Why, campaign: Campaign) -> str | None:
    """What has to be known of how far the answer goes."""
    if not found.answer.as_of_now:
        return None
    if campaign.launched_at is None:
        return str(_("That is how things are now; what counts is how they are at the launch."))
    return str(
        _(
            "At the launch the reasons were counted and not kept by client: this is what rules and data say today. The "
            "evidence below has its own times."
        )
    )


def tone(found: Why) -> str:
    """How the answer is coloured; its words say the same."""
    return _TONES.get(found.answer.verdict, "warning")
