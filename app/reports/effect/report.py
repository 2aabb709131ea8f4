"""Everything the campaign report shows besides counts: both arms, segments, cost, assets and the verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from app.campaigns.models import Campaign
from app.clients.queries import sees_whole_book
from app.core.clock import now
from app.delivery.models import Run
from app.reports.effect.costs import Costs, costs_of
from app.reports.effect.effects import Assets, Effect, assets_of, effect_of, effects_of, split_of
from app.reports.effect.strata import Strata, strata_of
from app.reports.effect.verdict import Verdict, verdict_on
from app.reports.response import Frozen, campaign_runs, frozen_segments
from app.reports.scope import run_scopes
from app.statistics.split import SplitCheck
from app.users.models import User


@dataclass(frozen=True, slots=True)
class CampaignEffect:
    """What a campaign caused. `segments` are in the campaign's order, each with its id as key.

    Costs are in the firm's currency; None where none is known, and for those who see a part of the firm only.
    """

    whole: Effect
    segments: list[Effect]
    split: SplitCheck | None
    verdict: Verdict
    assets: Assets
    strata: Strata

    @property
    def cost(self) -> Decimal | None:
        """The fixed cost and what the messages cost that were sent so far."""
        return self.whole.cost

    @property
    def cost_per_account(self) -> Decimal | None:
        """Cost over accounts that the treated opened."""
        return self.whole.cost_per_account

    @property
    def cost_per_incremental(self) -> Decimal | None:
        """Cost over accounts that would not have been opened without it; None where that is not above zero."""
        lift = self.whole.lift
        if self.cost is None or lift is None or lift.incremental <= 0:
            return None
        return self.cost / Decimal(lift.incremental)

    def segment(self, segment_id: int) -> Effect | None:
        return next((one for one in self.segments if one.key == str(segment_id)), None)


def campaign_effect(
    campaign: Campaign, viewer: User | None = None, *, frozen: Frozen | None = None
) -> CampaignEffect | None:
    """Both arms of a campaign over all its runs, as far as the viewer sees the clients; None before the launch.

    `frozen` are its `frozen_segments`, of whoever has read them already.
    """
    runs = campaign_runs(campaign)
    if not runs:
        return None
    strata = strata_of(campaign, runs, run_scopes(runs, viewer))
    costs = visible_costs(campaign, runs, strata, viewer)
    whole = effect_of(strata, name=campaign.name, costs=costs)
    sets = [(str(key), name, ids) for key, name, ids in (frozen_segments(runs) if frozen is None else frozen)]
    segments = effects_of(strata, sets, costs=costs)
    split = split_of(strata)
    at = now()
    return CampaignEffect(
        whole=whole,
        segments=segments,
        split=split,
        verdict=verdict_on(whole, segments, split=split, closes_at=strata.closes_at or at, at=at),
        assets=assets_of(strata),
        strata=strata,
    )


def visible_costs(campaign: Campaign, runs: Sequence[Run], strata: Strata, viewer: User | None) -> Costs | None:
    """What the campaign cost; None where that is not known, and for those who see a part of the firm only."""
    if viewer is not None and not sees_whole_book(viewer):
        return None
    return costs_of(campaign, runs, treated=sum(len(part.treated) for part in strata.strata))
