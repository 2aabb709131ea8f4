"""The clients of a campaign by branch, adviser, tier or variant: as they were at the launch, or as they are today."""

from collections.abc import Sequence

from pyroaring import BitMap64
from sqlalchemy import Text, cast, select

from app.audiences.snapshots import packed, read_sets
from app.campaigns.models import Campaign
from app.campaigns.step_kinds import step_name
from app.clients.classes.models import ClientClass
from app.clients.models import Client
from app.core.extensions import db
from app.delivery.experiments.splitting import REST, variant_dimension
from app.delivery.models import Run, RunGroup
from app.users.models import Branch, User

DIMENSIONS = ("branch", "adviser", "tier", "variant")

Groups = list[tuple[str, str, BitMap64]]
"""(key, name, clients), the largest first; the name is empty for those without."""


def groups_at_launch(campaign: Campaign, runs: Sequence[Run], dimension: str) -> Groups:
    """By what the clients were when they were drawn; several runs are united. Variants of every tested step, in their
    order, by the key "step id:letter"; where several steps were tested, the step is named."""
    if dimension != "variant":
        return _largest_first(_united(runs, dimension))
    tested = [(step, found) for step in campaign.steps if (found := _united(runs, variant_dimension(step.id)))]
    return [
        (f"{step.id}:{key}", name if len(tested) == 1 else f"{step_name(step)}: {name}", ids)
        for step, found in tested
        for key, name, ids in found
        if key != REST
    ]


def _united(runs: Sequence[Run], dimension: str) -> Groups:
    rows = db.session.scalars(
        select(RunGroup)
        .where(RunGroup.run_id.in_([run.id for run in runs]), RunGroup.dimension == dimension)
        .order_by(RunGroup.key, RunGroup.run_id)
    )
    found: dict[str, tuple[str, BitMap64]] = {}
    for row in rows:
        found[row.key] = (row.name, found.get(row.key, ("", BitMap64()))[1] | row.client_ids)
    return [(key, name, ids) for key, (name, ids) in found.items()]


def groups_today(dimension: str, among: BitMap64) -> Groups:
    """The same clients by what they are today. Variants stay what they were."""
    if dimension == "tier":
        query = select(ClientClass.aum_tier, ClientClass.aum_tier, packed(ClientClass.client_id.expression)).group_by(
            ClientClass.aum_tier
        )
    elif dimension == "branch":
        query = (
            select(cast(Branch.id, Text), Branch.name, packed(Client.id.expression))
            .join(Client, Client.branch_id == Branch.id)
            .group_by(Branch.id)
        )
    else:
        query = (
            select(cast(User.id, Text), User.name, packed(Client.id.expression))
            .select_from(Client)
            .outerjoin(User, User.id == Client.adviser_id)
            .group_by(User.id)
        )
    groups = [(key or "", name or "", ids & among) for (key, name), [ids] in read_sets(query, keys=2).items()]
    return _largest_first([group for group in groups if group[2]])


def _largest_first(groups: Groups) -> Groups:
    return sorted(groups, key=lambda group: (-len(group[2]), group[1]))
