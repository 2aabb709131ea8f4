"""The firm's rules of sending: how often, when, and how far an audience may have moved since its approval.

They begin as the market profile gives them and are changed on a page. Marketing is capped per client and channel; a
day is a day of the firm's time zone, a week today and the six days before it, a month today and the 29 before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from typing import Any

from flask_babel import lazy_gettext as _l

from app.audit.service import record
from app.campaigns.market_profiles import MARKET_PROFILES
from app.campaigns.models import Campaign, SendingRules
from app.campaigns.step_kinds import contacts_of
from app.core.errors import AppError
from app.core.extensions import db, settings
from app.core.permissions import Actor, Permission, require

CHANNEL_LABELS = {"email": _l("E-mail"), "sms": _l("SMS"), "call": _l("Call")}
PERIOD_DAYS = {"day": 1, "week": 7, "month": 30}
PERIOD_LABELS = {"day": _l("in a day"), "week": _l("in a week"), "month": _l("in a month")}
MOST = 1000
MIDNIGHT = time()


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds now. `caps` are {channel: {period: messages}}; a channel or period without any has no cap.

    A channel is one of contact here: an SMS that leaves by a webhook is an SMS to the client.

    Nothing leaves by `quiet_channels` from `quiet_from` to `quiet_until` of the client's clock.
    """

    caps: Mapping[str, Mapping[str, int]]
    quiet_from: time
    quiet_until: time
    quiet_channels: frozenset[str]
    launch_tolerance: float

    @property
    def awake(self) -> tuple[time, time]:
        """From when to when messages may leave; an end at midnight is the end of the day."""
        return self.quiet_until, self.quiet_from


def rules_in_force() -> Rules:
    """The firm's own rules, or the market profile's."""
    own = db.session.get(SendingRules, 1)
    if own is not None:
        return Rules(own.caps, own.quiet_from, own.quiet_until, frozenset(own.quiet_channels), own.launch_tolerance)
    profile = MARKET_PROFILES[settings().market_profile]
    return Rules(profile.caps, *profile.quiet_hours, frozenset(profile.quiet_channels), profile.launch_tolerance)


def change_rules(
    *,
    caps: Mapping[str, Mapping[str, int]],
    quiet_from: time,
    quiet_until: time,
    quiet_channels: Sequence[str],
    launch_tolerance: float,
    actor: Actor,
) -> None:
    """Put other rules in force, from the next window of messages on. Raises AppError for rules that make no sense."""
    require(actor, Permission.ADMINISTER)
    if quiet_from != MIDNIGHT and quiet_from <= quiet_until:
        raise AppError(_l("Quiet hours run over the night: they begin in the evening and end in the morning."))
    if not 0 <= launch_tolerance <= 100:
        raise AppError(_l("The tolerance is 0 to 100 percent."))
    for channel, periods in caps.items():
        if channel not in CHANNEL_LABELS or not periods.keys() <= PERIOD_DAYS.keys():
            raise AppError(_l("A cap is for e-mail, SMS or calls, and for a day, a week or a month."))
        if not all(1 <= limit <= MOST for limit in periods.values()):
            raise AppError(_l("A cap is 1 to %(most)s messages.", most=MOST))
    before = rules_in_force()
    own = db.session.get(SendingRules, 1, with_for_update=True)
    if own is None:
        own = SendingRules(id=1)
        db.session.add(own)
    own.caps = {channel: dict(periods) for channel, periods in caps.items() if periods}
    own.quiet_from, own.quiet_until = quiet_from, quiet_until
    own.quiet_channels = [channel for channel in CHANNEL_LABELS if channel in quiet_channels]
    own.launch_tolerance = launch_tolerance
    own.changed_by_id = actor.id
    db.session.flush()
    old, new = _plain(before), _plain(rules_in_force())
    changes = {key: [old[key], new[key]] for key in new if old[key] != new[key]}
    if changes:
        record(actor=actor, action="sending_rules.edit", subject="settings", subject_id=None, changes=changes)


def _plain(rules: Rules) -> dict[str, Any]:
    return {
        "caps": {channel: dict(periods) for channel, periods in sorted(rules.caps.items()) if periods},
        "quiet_from": rules.quiet_from.isoformat("minutes"),
        "quiet_until": rules.quiet_until.isoformat("minutes"),
        "quiet_channels": sorted(rules.quiet_channels),
        "launch_tolerance": rules.launch_tolerance,
    }


def open_hours(campaign: Campaign, *, channel: str, rules: Rules) -> tuple[time, time]:
    """From when to when (midnight: the end of the day) messages may leave, by the client's clock; `channel` is the one
    of contact (`step_kinds.contacts_of`), by whatever way they go.

    The send window of the campaign without the quiet hours; nothing is left where the end is not after the beginning.
    """
    opens, closes = campaign.send_from or MIDNIGHT, campaign.send_until or MIDNIGHT
    if campaign.purpose != "statutory" and channel in rules.quiet_channels:
        awake_from, awake_until = rules.awake
        opens = max(opens, awake_from)
        closes = min(closes, awake_until, key=lambda end: (end == MIDNIGHT, end))
    return opens, closes


def shut_channels(campaign: Campaign, rules: Rules) -> list[str]:
    """The channels of contact on which the send window and the quiet hours leave no time at all."""
    hours = {channel: open_hours(campaign, channel=channel, rules=rules) for channel in contacts_of(campaign)}
    return [channel for channel, (opens, closes) in hours.items() if closes != MIDNIGHT and opens >= closes]
