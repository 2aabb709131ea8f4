"""The report of a joint campaign as its partner may see it: counts by branch and by tier, small ones withheld."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from operator import itemgetter

from pyroaring import BitMap64
from sqlalchemy import select

from app.audit.models import AuditEntry
from app.campaigns.models import Campaign
from app.core.clock import now
from app.core.extensions import db
from app.delivery.models import Run
from app.reports.effect.groups import groups_at_launch
from app.reports.effect.strata import Strata, strata_of
from app.reports.partner.suppression import THRESHOLD, published
from app.reports.response import campaign_runs
from app.users.models import User

EXPORTED = "partner_report_exported"


class Category(StrEnum):
    """What became of a client: each is in exactly one of those that a report has."""

    EFFECTIVE = "effective"
    OPENED = "opened"
    NONE = "none"


class Dimension(StrEnum):
    BRANCH = "branch"
    TIER = "tier"


@dataclass(frozen=True, slots=True)
class PartnerTable:
    """Groups by what became of their clients: a list of counts each, the last of them its total. None: withheld.

    In the order of their names: by size, the order would tell of what is withheld.

    `total` is over all groups and never withheld, so it is the same in every table of a report.
    """

    dimension: Dimension
    lines: list[tuple[str, list[int | None]]]
    total: list[int]

    @property
    def withheld(self) -> int:
        return sum(count is None for _name, counts in self.lines for count in counts)


@dataclass(frozen=True, slots=True)
class PartnerReport:
    """What leaves. Where effective accounts are too few to be told apart, or telling would withhold most of the rest,
    `categories` holds two; where too few were opened, there is nothing to report: `tables` is empty. `open_until`: the
    window has not ended yet."""

    categories: tuple[Category, ...]
    tables: list[PartnerTable]
    open_until: datetime | None

    @property
    def withheld(self) -> int:
        return sum(table.withheld for table in self.tables)

    @property
    def tells_enough(self) -> bool:
        """At least half of the counts can be published."""
        return 2 * self.withheld <= sum(len(counts) for table in self.tables for _name, counts in table.lines)


def partner_report(campaign: Campaign) -> PartnerReport:
    """Over all clients of the treated group, as they were at the launch."""
    runs = campaign_runs(campaign)
    strata = strata_of(campaign, runs, None)
    ends = strata.closes_at
    open_until = ends if ends is not None and ends > now() else None
    clients = _clients(strata)
    for categories in _choices(clients):
        tables = [_table(campaign, runs, dimension, categories) for dimension in Dimension]
        telling = [table for table in tables if len(table.lines) > 1] or tables[:1]
        report = PartnerReport(tuple(categories), telling, open_until)
        if categories is not clients or report.tells_enough:
            return report
    return PartnerReport((), [], open_until)


def earlier_exports(campaign: Campaign) -> Sequence[tuple[AuditEntry, str | None]]:
    """What was given out before and by whom, the newest first."""
    rows = db.session.execute(
        select(AuditEntry, User.name)
        .outerjoin(User, User.id == AuditEntry.actor_id)
        .where(
            AuditEntry.subject == "campaign",
            AuditEntry.subject_id == campaign.id,
            AuditEntry.action == EXPORTED,
        )
        .order_by(AuditEntry.id.desc())
        .limit(20)
    )
    return [(entry, name) for entry, name in rows]


def _clients(strata: Strata) -> dict[Category, BitMap64]:
    treated = BitMap64().union(*(part.treated for part in strata.strata))
    opened = BitMap64().union(*(part.opened for part in strata.strata)) & treated
    effective = BitMap64().union(*(part.effective for part in strata.strata)) & opened
    return {
        Category.EFFECTIVE: effective,
        Category.OPENED: opened - effective,
        Category.NONE: treated - opened,
    }


def _choices(clients: dict[Category, BitMap64]) -> list[dict[Category, BitMap64]]:
    """What may be told apart, the finest first: each total reaches the threshold, as totals are always published."""
    opened = clients[Category.OPENED] | clients[Category.EFFECTIVE]
    coarse = {Category.OPENED: opened, Category.NONE: clients[Category.NONE]}
    return [found for found in (clients, coarse) if all(len(ids) >= THRESHOLD for ids in found.values())]


def _table(
    campaign: Campaign, runs: Sequence[Run], dimension: Dimension, categories: dict[Category, BitMap64]
) -> PartnerTable:
    columns = list(categories.values())
    left = BitMap64().union(*columns)
    names, counts = [], []
    # Each client in one line: who was launched twice and has moved between counts where they were first.
    for _key, name, ids in [*groups_at_launch(campaign, runs, dimension.value), ("", "", left.copy())]:
        mine = ids & left
        left -= mine
        if mine:
            names.append(name)
            counts.append([mine.intersection_cardinality(column) for column in columns])
    shown = published(counts)
    lines = sorted(zip(names, shown[:-1], strict=True), key=itemgetter(0))
    return PartnerTable(dimension, lines, [count or 0 for count in shown[-1]])
