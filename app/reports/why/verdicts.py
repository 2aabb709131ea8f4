"""The one answer at the top of the page: which of all the rules decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.campaigns.models import Campaign
from app.clients.models import Client
from app.delivery.models import Message, MessageState, Run
from app.reports.why.standing import ReasonLine, SegmentLine


class Verdict(StrEnum):
    """What decided, in the order in which it is looked at."""

    SENT = "sent"
    UNCONFIRMED = "unconfirmed"
    WAITING = "waiting"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    CONTROL = "control"
    PLANNED = "planned"  # in the audience and without a message (yet)
    NOT_LAUNCHED = "not_launched"
    NEW = "new"  # came into the book after the launch
    OTHER_PART = "other_part"
    NO_SEGMENT = "no_segment"
    EXCLUDED_SEGMENT = "excluded_segment"
    EXCLUDED = "excluded"
    CHANGED = "changed"  # left out at the launch, and nothing would keep them out today


# A campaign may have several messages for a client: the best of what became of them is the answer.
_STATES = (
    ({MessageState.SENT}, Verdict.SENT),
    ({MessageState.UNCONFIRMED}, Verdict.UNCONFIRMED),
    ({MessageState.PLANNED, MessageState.HANDING}, Verdict.WAITING),
    ({MessageState.FAILED}, Verdict.FAILED),
    ({MessageState.SKIPPED}, Verdict.SKIPPED),
    ({MessageState.CANCELLED}, Verdict.CANCELLED),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """The verdict, the message it is about (None: none), and the reasons that apply now, where those decided.

    Which rule left somebody out at the launch is not kept by client, only counted: `as_of_now` says that the answer is
    that of today's rules and data.
    """

    verdict: Verdict
    message: Message | None = None
    reasons: tuple[str, ...] = ()
    as_of_now: bool = False


def answer(
    campaign: Campaign,
    client: Client,
    *,
    run: Run | None,
    messages: Sequence[Message],
    in_audience: bool,
    in_control: bool,
    in_part: bool,
    segments: Sequence[SegmentLine],
    reasons: Sequence[ReasonLine],
    channels: int,
) -> Answer:
    """See the module. `channels`: on how many the campaign contacts; a reason counts where it shuts them all."""
    for states, verdict in _STATES:
        for message in messages:
            if message.state in states:
                return Answer(verdict, message)
    if in_control:
        return Answer(Verdict.CONTROL)
    if in_audience:
        return Answer(Verdict.PLANNED)
    today = _today(in_part, segments, reasons, channels)
    if run is None and today is None:
        return Answer(Verdict.NOT_LAUNCHED)
    if run is not None and client.created_at > run.created_at:
        return Answer(Verdict.NEW)
    return today or Answer(Verdict.CHANGED, as_of_now=True)


def _today(
    in_part: bool, segments: Sequence[SegmentLine], reasons: Sequence[ReasonLine], channels: int
) -> Answer | None:
    """What keeps the client out now; None where nothing does."""
    if not in_part:
        return Answer(Verdict.OTHER_PART, as_of_now=True)
    included = [line for line in segments if line.role == "include"]
    if not any(line.now.holds for line in included):
        return Answer(Verdict.NO_SEGMENT, as_of_now=True)
    if any(line.role == "exclude" and line.now.holds for line in segments):
        return Answer(Verdict.EXCLUDED_SEGMENT, as_of_now=True)
    shut = {channel for line in reasons for channel in line.channels}
    if channels and len(shut) == channels:
        return Answer(Verdict.EXCLUDED, reasons=tuple(line.reason for line in reasons if line.channels), as_of_now=True)
    return None
