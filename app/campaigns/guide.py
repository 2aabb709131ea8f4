"""Where a campaign stands, as five steps, and what is to be done next and by whom."""

from dataclasses import dataclass

from flask_babel import lazy_gettext as _l

from app.campaigns.models import Campaign, State
from app.campaigns.step_kinds import is_written
from app.core.permissions import Permission, allows
from app.users.models import User

LABELS = {
    "setup": _l("Setup"),
    "audience": _l("Audience"),
    "message": _l("Message"),
    "review": _l("Check & approve"),
    "send": _l("Send & follow"),
}
_APPROVED = (State.APPROVED, State.SCHEDULED, State.RUNNING, State.HELD, State.PAUSED, State.COMPLETE)


@dataclass(frozen=True, slots=True)
class StepLine:
    """One of the five steps; `key` is also the end of its page's endpoint."""

    key: str
    label: object
    done: bool

    @property
    def endpoint(self) -> str:
        return f"campaigns.{self.key}"


@dataclass(frozen=True, slots=True)
class NextAction:
    """What is to be done now. `label` None: this reader has nothing to do but to wait or read."""

    sentence: object
    endpoint: str
    label: object | None = None


def steps(campaign: Campaign) -> list[StepLine]:
    """The five steps with what is done."""
    state = State(campaign.state)
    done = {
        "setup": True,
        "audience": _has_audience(campaign),
        "message": is_written(campaign),
        "review": state in _APPROVED,
        "send": state == State.COMPLETE,
    }
    return [StepLine(key, label, done[key]) for key, label in LABELS.items()]


def next_action(campaign: Campaign, reader: User) -> NextAction:
    """What this reader (or, where it is not for them, somebody else) does next."""
    edits, approves, runs = (
        allows(reader, permission)
        for permission in (Permission.EDIT_CAMPAIGNS, Permission.APPROVE_CAMPAIGNS, Permission.RUN_CAMPAIGNS)
    )
    state = State(campaign.state)
    if state == State.DRAFT:
        if not edits:
            return NextAction(_l("The author is still preparing this campaign."), "campaigns.review")
        if not _has_audience(campaign):
            return NextAction(_l("Choose who will get it."), "campaigns.audience", _l("Choose the audience"))
        if not is_written(campaign):
            return NextAction(_l("Write what it says."), "campaigns.message", _l("Write the message"))
        return NextAction(
            _l("Check what was found and hand it to compliance."), "campaigns.review", _l("Check and submit")
        )
    if state == State.IN_REVIEW:
        if approves and campaign.submitted_by_id != reader.id:
            return NextAction(
                _l("Look at exactly what will be sent to whom, then decide."), "campaigns.review", _l("Check it")
            )
        return NextAction(_l("It waits for a compliance checker."), "campaigns.review")
    if state == State.REVISING:
        sentence = _l("What is unsent is being revised. Submit it, so that compliance can approve it anew.")
        return NextAction(sentence, "campaigns.review", _l("Check and submit") if edits else None)
    if state == State.HELD:
        sentence = _l("The audience differs from the one that was approved. Somebody has to decide.")
        decides = approves and campaign.submitted_by_id != reader.id
        return NextAction(sentence, "campaigns.send", _l("Decide") if decides or edits else None)
    if state == State.APPROVED and campaign.launched_at is not None:
        sentence = _l("The revision is approved: what is unsent leaves once it is resumed.")
        return NextAction(sentence, "campaigns.send", _l("Resume or cancel") if runs else None)
    if state == State.APPROVED:
        sentence = _l("It is approved: launch it or choose a time.")
        return NextAction(sentence, "campaigns.send", _l("Send it") if runs else None)
    if state == State.SCHEDULED:
        return NextAction(_l("It leaves by itself at the chosen time."), "campaigns.send")
    if state == State.RUNNING:
        return NextAction(_l("Messages are on their way."), "campaigns.send")
    if state == State.PAUSED:
        sentence = _l("It is paused: nothing leaves until it is resumed.")
        return NextAction(sentence, "campaigns.send", _l("Resume or cancel") if runs else None)
    if state == State.CANCELLED:
        return NextAction(_l("It was cancelled. What had been sent stays sent."), "campaigns.send")
    return NextAction(_l("Everything is sent. Responses keep coming in."), "campaigns.send")


def _has_audience(campaign: Campaign) -> bool:
    return any(link.role == "include" for link in campaign.segments)
