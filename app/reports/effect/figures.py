"""The figures of a report as sets of clients, for the lists behind them."""

from dataclasses import dataclass
from enum import StrEnum

from flask_babel import lazy_gettext as _l
from pyroaring import BitMap64

from app.audiences.queries import find_segment
from app.campaigns.models import Campaign
from app.delivery.accounts.words import channel_label
from app.reports.effect.breakdown import group_clients
from app.reports.effect.groups import DIMENSIONS
from app.reports.effect.later import segment_clients
from app.reports.effect.strata import strata_of
from app.reports.response import Outcome, campaign_runs, frozen_segments, outcome_clients, segment_name
from app.reports.scope import run_scopes
from app.reports.words import OUTCOME_LABELS
from app.users.models import User

BY_CHANNEL = "channel:"


class ArmFigure(StrEnum):
    """What an address may name besides the outcomes of messages."""

    TREATED = "treated"
    CONTROL = "control"
    OPENED_TREATED = "opened_treated"
    OPENED_CONTROL = "opened_control"
    EFFECTIVE = "effective"


ARM_LABELS = {
    ArmFigure.TREATED: _l("Treated group"),
    ArmFigure.CONTROL: _l("Control group"),
    ArmFigure.OPENED_TREATED: _l("Treated clients who opened an account"),
    ArmFigure.OPENED_CONTROL: _l("Control clients who opened an account"),
    ArmFigure.EFFECTIVE: _l("Treated clients with an effective account"),
}


def arm_clients(
    campaign: Campaign, figure: ArmFigure, *, within: BitMap64 | None = None, viewer: User | None = None
) -> BitMap64:
    """The clients that a figure of the comparison counts."""
    runs = campaign_runs(campaign)
    strata = strata_of(campaign, runs, run_scopes(runs, viewer)).strata
    found = BitMap64()
    for part in strata:
        found |= {
            ArmFigure.TREATED: part.treated,
            ArmFigure.CONTROL: part.control,
            ArmFigure.OPENED_TREATED: part.opened & part.treated,
            ArmFigure.OPENED_CONTROL: part.opened & part.control,
            ArmFigure.EFFECTIVE: part.effective & part.treated,
        }[figure]
    return found if within is None else found & within


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a campaign, over a segment or a group where one is named, as the viewer may count it."""

    campaign: Campaign
    of: Outcome | ArmFigure
    segment_id: int | None = None
    part: str | None = None
    within: BitMap64 | None = None
    group: str = ""
    today: bool = False
    viewer: User | None = None

    @property
    def channel(self) -> str | None:
        """The one that it is cut down to."""
        return self.group.removeprefix(BY_CHANNEL) if self.group.startswith(BY_CHANNEL) else None

    @property
    def name(self) -> str:
        return self.of.value

    @property
    def label(self) -> str:
        return str(ARM_LABELS[self.of] if isinstance(self.of, ArmFigure) else OUTCOME_LABELS[self.of])

    @property
    def address(self) -> dict[str, str | int | None]:
        """The query of its page."""
        named = {"group": self.group, "today": "1" if self.today else None} if self.group else {}
        return {"outcome": self.name, "segment": self.segment_id, **named}

    def clients(self) -> BitMap64:
        """The clients that it counts."""
        if isinstance(self.of, ArmFigure):
            return arm_clients(self.campaign, self.of, within=self.within, viewer=self.viewer)
        return outcome_clients(self.campaign, self.of, channel=self.channel, within=self.within, viewer=self.viewer)


def _group_clients(campaign: Campaign, group: str, *, today: bool) -> BitMap64 | None:
    dimension, _colon, key = group.partition(":")
    if dimension in DIMENSIONS:
        return group_clients(campaign, dimension, key, today=today)
    segment = find_segment(int(key)) if dimension == "segment" and key.isdecimal() and int(key) < 1 << 62 else None
    return segment_clients(segment) if segment else None


def figure_named(
    campaign: Campaign, name: str, *, segment_id: int | None, group: str, today: bool, viewer: User | None
) -> Figure | None:
    """The figure by the words of an address; None where there is no such figure.

    `group` is "dimension:key", "channel:name", or "segment:id" for a segment that was put on the report afterwards.
    """
    of: Outcome | ArmFigure
    if name in set(Outcome):
        of = Outcome(name)
    elif name in set(ArmFigure):
        of = ArmFigure(name)
    else:
        return None
    if group.startswith(BY_CHANNEL) and isinstance(of, Outcome):
        return Figure(campaign, of, None, channel_label(group.removeprefix(BY_CHANNEL)), None, group, viewer=viewer)
    if group:
        ids = _group_clients(campaign, group, today=today)
        return None if ids is None else Figure(campaign, of, None, None, ids, group, today, viewer)
    if segment_id is None:
        return Figure(campaign, of, viewer=viewer)
    part = segment_name(campaign, segment_id) if abs(segment_id) < 1 << 62 else None
    if part is None:
        return None
    within = {known: ids for known, _name, ids in frozen_segments(campaign_runs(campaign))}.get(segment_id)
    return Figure(campaign, of, segment_id, part, within if within is not None else BitMap64(), viewer=viewer)
