"""The report broken down by branch, adviser, tier or variant: counts and the comparison of both arms side by side."""

from collections.abc import Sequence
from typing import NamedTuple

from flask_babel import gettext as _
from pyroaring import BitMap64

from app.campaigns.models import Campaign
from app.delivery.experiments.comparing import Comparison, comparisons
from app.reports.effect.effects import Effect, effects_of
from app.reports.effect.groups import Groups, groups_at_launch, groups_today
from app.reports.effect.report import visible_costs
from app.reports.effect.strata import strata_of
from app.reports.response import Row, campaign_runs, rows_of
from app.reports.scope import run_scopes
from app.users.models import User

SHOWN = 50


class Breakdown(NamedTuple):
    """The rows, the largest group first, each with the comparison (without one, it says so); how many are left out;
    the tests of variants with their verdicts."""

    lines: list[tuple[Row, Effect]]
    left_out: int
    tests: Sequence[Comparison]
    has_control: bool


def breakdown(
    campaign: Campaign, dimension: str, *, today: bool = False, viewer: User | None = None, shown: int | None = SHOWN
) -> Breakdown:
    """`today`: by what the clients are now instead of when they were drawn. `shown` None: every group."""
    runs = campaign_runs(campaign)
    scopes = run_scopes(runs, viewer)
    strata = strata_of(campaign, runs, scopes)
    among = strata.assigned
    groups = groups_today(dimension, among) if today else groups_at_launch(campaign, runs, dimension)
    mine = [(key, name or str(_("None")), ids) for key, name, ids in groups if not ids.isdisjoint(among)]
    kept = mine if shown is None else mine[:shown]
    effects = effects_of(strata, kept, costs=visible_costs(campaign, runs, strata, viewer))
    tests: Sequence[Comparison] = ()
    if dimension == "variant" and runs:
        tests = comparisons(runs[-1], campaign, visible=None if scopes is None else scopes[runs[-1].id])
    rows = rows_of(campaign, kept, viewer)
    return Breakdown(list(zip(rows, effects, strict=True)), len(mine) - len(kept), tests, strata.has_control)


def group_clients(campaign: Campaign, dimension: str, key: str, *, today: bool) -> BitMap64 | None:
    """The clients of one group, for the list behind its figures; None where there is no such group."""
    runs = campaign_runs(campaign)
    groups: Groups
    if today:
        everybody = BitMap64().union(*(run.audience.client_ids for run in runs if run.audience))
        groups = groups_today(dimension, everybody)
    else:
        groups = groups_at_launch(campaign, runs, dimension)
    return next((ids for known, _name, ids in groups if known == key), None)
