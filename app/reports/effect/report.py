"""Everything the campaign report shows besides counts: both arms, segments, cost, assets and the verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import select

from app.campaigns.models import Campaign, Step
from app.clients.queries import sees_whole_book
from app.core.clock import now
from app.core.extensions import db
from app.delivery.models import Run
from app.reports.effect.effects import Assets, Effect, assets_of, effect_of, effects_of, split_of
from app.reports.effect.strata import Strata, strata_of
from app.reports.effect.verdict import Verdict, verdict_on
from app.reports.outcomes.models import Fact, OutcomeSet
from app.reports.response import campaign_runs, frozen_segments
from app.reports.scope import run_scopes
from app.statistics.split import SplitCheck
from app.users.models import User


@dataclass(frozen=True, slots=True)
class CampaignEffect:
    """What a campaign caused. `segments` are in the campaign's order, each with its id as key.

    `cost` is in the firm's currency; None where none is known, and for those who see a part of the firm only.
    """

    whole: Effect
    segments: list[Effect]
    split: SplitCheck | None
    verdict: Verdict
    assets: Assets
    cost: Decimal | None
    strata: Strata

    @property
    def cost_per_account(self) -> Decimal | None:
        """Cost over accounts that the treated opened."""
        return self.cost / self.whole.opened if self.cost is not None and self.whole.opened else None

    @property
    def cost_per_incremental(self) -> Decimal | None:
        """Cost over accounts that would not have been opened without it; None where that is not above zero."""
        lift = self.whole.lift
        if self.cost is None or lift is None or lift.incremental <= 0:
            return None
        return self.cost / Decimal(lift.incremental)

    def segment(self, segment_id: int) -> Effect | None:
        return next((one for one in self.segments if one.key == str(segment_id)), None)


def campaign_effect(campaign: Campaign, viewer: User | None = None) -> CampaignEffect | None:
    """Both arms of a campaign over all its runs, as far as the viewer sees the clients; None before the launch."""
    runs = campaign_runs(campaign)
    if not runs:
        return None
    strata = strata_of(campaign, runs, run_scopes(runs, viewer))
    whole = effect_of(strata, name=campaign.name)
    segments = effects_of(strata, [(str(key), name, ids) for key, name, ids in frozen_segments(runs)])
    split = split_of(strata)
    at = now()
    return CampaignEffect(
        whole=whole,
        segments=segments,
        split=split,
        verdict=verdict_on(whole, segments, split=split, closes_at=strata.closes_at or at, at=at),
        assets=assets_of(strata),
        cost=cost_of(campaign, runs) if viewer is None or sees_whole_book(viewer) else None,
        strata=strata,
    )


def cost_of(campaign: Campaign, runs: Sequence[Run]) -> Decimal | None:
    """The fixed cost and what the messages cost that were sent so far; None where neither is known."""
    rows = db.session.execute(
        select(Step.unit_cost, OutcomeSet.size)
        .join(Step, Step.id == OutcomeSet.step_id)
        .where(OutcomeSet.run_id.in_([run.id for run in runs]), OutcomeSet.fact == Fact.SENT.value)
    ).all()
    if campaign.fixed_cost is None and all(step.unit_cost is None for step in campaign.steps):
        return None
    return (campaign.fixed_cost or Decimal()) + sum((size * (cost or 0) for cost, size in rows), Decimal())
