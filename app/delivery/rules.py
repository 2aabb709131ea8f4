"""The rules that are looked at once more at the last moment, in the statement that hands a window over.

Each is an SQL expression over the message's client: why it must not leave at all, and until when it has to wait.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, String, cast, exists, literal, null, or_, select

from app.campaigns.gates import Gate, gates, reason_against
from app.campaigns.models import Campaign, State, Step
from app.campaigns.sending_rules import rules_in_force
from app.campaigns.step_kinds import step_kind
from app.core.extensions import Timestamp, db
from app.delivery.caps import cap_reason, keep_caps_strict, steps_of_other_channels
from app.delivery.material import Material
from app.delivery.models import Batch, MarketingStop, Run
from app.delivery.timing import Timing, timing_of


@dataclass(frozen=True)
class Rules:
    """What holds for the messages of a batch, read when it is claimed. Rules that are not used cost nothing.

    `contact` is the channel that clients are contacted by, whose quiet hours and caps hold; `other_steps` are those of
    other channels, such as webhooks, that contact them by it too and count for the caps.
    """

    purpose: str
    contact: str
    other_steps: frozenset[int]
    priority: int
    gates: Sequence[Gate]
    caps: Mapping[str, int]
    timing: Timing | None

    @property
    def plain(self) -> bool:
        """Nothing but consent, suppressions and flags is to be looked at."""
        return not self.caps and self.timing is None


def rules_of(campaign: Campaign, *, step: Step, run: Run) -> Rules:
    """The rules for the messages of a campaign's step."""
    firm, contact = rules_in_force(), step_kind(step.channel).contact_of(step)
    capped = firm.caps.get(contact, {}) if campaign.purpose == "marketing" else {}
    return Rules(
        purpose=campaign.purpose,
        contact=contact,
        other_steps=steps_of_other_channels(contact) if capped else frozenset(),
        priority=campaign.priority,
        gates=gates(campaign),
        caps=capped,
        timing=timing_of(campaign, channel=contact, rules=firm, started_at=run.created_at, salt=run.id),
    )


def take_turns(rules: Rules) -> None:
    """Before a window is handed over, in its transaction: what makes the caps hold while others send too."""
    if rules.caps:
        keep_caps_strict(rules.contact, rules.other_steps)


def skip_reason(rules: Rules, *, material: Material) -> ColumnElement[str | None]:
    """The first reason for which the message is skipped for good, or NULL."""
    return reason_against(rules.gates, channel=material.contact, purpose=rules.purpose)


def wait_until(rules: Rules, *, at: datetime) -> ColumnElement[datetime | None]:
    """When the message may leave, where that is later than now; else NULL."""
    return cast(null(), Timestamp) if rules.timing is None else rules.timing.wait_until(at)


def skip_if_leaving(rules: Rules, *, at: datetime) -> ColumnElement[str | None]:
    """A reason to skip a message that would leave now; one that waits is asked again when its time has come."""
    if not rules.caps:
        return cast(null(), String)
    return cap_reason(
        contact=rules.contact, other_steps=rules.other_steps, caps=rules.caps, priority=rules.priority, at=at
    )


def may_send() -> ColumnElement[bool]:
    """For WHERE on batch: its campaign runs, and marketing is not stopped."""
    running = (
        select(literal(1))
        .select_from(Run)
        .join(Campaign, Campaign.id == Run.campaign_id)
        .where(
            Run.id == Batch.run_id,
            Campaign.state == State.RUNNING,
            or_(Campaign.purpose != "marketing", ~_marketing_is_stopped()),
        )
        .correlate(Batch)
    )
    return exists(running)


def marketing_is_stopped() -> bool:
    """Whether somebody stopped all marketing and nobody started it again."""
    return bool(db.session.scalar(select(_marketing_is_stopped())))


def _marketing_is_stopped() -> ColumnElement[bool]:
    return exists(select(literal(1)).select_from(MarketingStop).where(MarketingStop.restarted_at.is_(None)))
