"""How large a campaign's control group will be, and what is to be known about it before it is submitted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flask_babel import lazy_gettext as _l

from app.campaigns.experiments.global_control import global_control
from app.campaigns.models import Campaign
from app.campaigns.step_kinds import Finding


def combined_share(campaign: float, firm: float) -> float:
    """The chance to be in the control group where the campaign draws one share and the firm, apart from it, another."""
    return 1 - (1 - campaign) * (1 - firm)


def firm_share() -> float:
    """The share (0 to 1) of the firm's control group over all marketing campaigns."""
    firm = global_control()
    return firm.percent / 100 if firm else 0.0


@dataclass(frozen=True, slots=True)
class Shares:
    """The percentage drawn of a campaign's clients, and of some included segments (by id) another one."""

    percent: float
    segments: Mapping[int, float | None]


def shares_of(campaign: Campaign) -> Shares:
    """What is chosen for the campaign."""
    included = [link for link in campaign.segments if link.role == "include"]
    return Shares(campaign.control_percent, {link.segment_id: link.control_percent for link in included})


@dataclass(frozen=True, slots=True)
class Split:
    """About how many clients a launch now would contact, and how many not; `firm` of these in any case.

    `exact`: the same share is drawn everywhere, so that the numbers are off by chance only.
    """

    treated: int
    control: int
    firm: int
    exact: bool

    @property
    def eligible(self) -> int:
        return self.treated + self.control

    @property
    def share(self) -> float:
        return self.control / self.eligible if self.eligible else 0.0


def expected_split(campaign: Campaign, eligible: int, shares: Shares | None = None) -> Split:
    """What is to be expected of so many eligible clients: where the segments' shares differ, weighed by their sizes."""
    if campaign.purpose != "marketing":
        return Split(eligible, 0, 0, exact=True)
    chosen, firm = shares or shares_of(campaign), firm_share()
    own = {one: chosen.percent if share is None else share for one, share in chosen.segments.items()}
    sizes = {link.segment_id: link.segment.last_count or 0 for link in campaign.segments if link.segment_id in own}
    exact, total = len(set(own.values())) <= 1, sum(sizes.values())
    if exact or not total:
        drawn = next(iter(own.values()), chosen.percent)
    else:
        drawn = sum(own[one] * size for one, size in sizes.items()) / total
    control = round(eligible * combined_share(drawn / 100, firm))
    return Split(eligible - control, control, round(eligible * firm), exact)


def control_findings(campaign: Campaign) -> Iterator[Finding]:
    """What the check says about the control group. Whether it is large enough depends on the size of the audience,
    which is counted apart."""
    if campaign.purpose != "marketing" or not any(link.role == "include" for link in campaign.segments):
        return
    chosen = shares_of(campaign)
    if not firm_share() and not any(chosen.percent if share is None else share for share in chosen.segments.values()):
        yield Finding(
            "note",
            "control",
            _l("There is no control group: what this campaign causes will not be told from what happens anyway."),
        )
