"""What a campaign has reached, day by day, for the whole and for each branch, adviser and tier.

Accounts are openings that the campaign claims, each once; they belong to the branch, adviser and tier that the client
had when the message was sent. Effective ones count on the day on which they became so, assets on the day of the
client's first opening, contacts on the day of the first try.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from pyroaring import BitMap64
from sqlalchemy import Date, cast, func, select
from sqlalchemy.dialects.postgresql import distinct_on

from app.advising.models import AdviserTask
from app.campaigns.models import Campaign
from app.core.extensions import db, settings
from app.delivery.models import Message, Run, RunGroup
from app.reports.scope import message_scope
from app.reports.targets.models import Measure
from app.tracking.models import AccountOpening, Attribution
from app.tracking.openings.models import CountedOpening
from app.users.models import Branch, User

Key = tuple[str, str]  # ("whole", ""), ("branch", id), ("adviser", id) or ("tier", code)
WHOLE: Key = ("whole", "")


Items = dict[int, tuple[date, Decimal]]
"""What was counted, with its day and amount, by id: account openings, and clients where contacts are counted."""


@dataclass(slots=True)
class Results:
    """{measure: {key: items}}. A branch has what the branches below it have, too."""

    items: dict[Measure, dict[Key, Items]] = field(
        default_factory=lambda: {measure: defaultdict(dict) for measure in Measure}
    )

    def add(self, measure: Measure, keys: Iterable[Key], item: int, day: date, amount: Decimal = Decimal(1)) -> None:
        for key in keys:
            self.items[measure][key][item] = (day, amount)

    def counted(self, measure: Measure, key: Key, first: date, last: date) -> dict[int, Decimal]:
        """What came from the first day to the last, both included: amounts by id."""
        found = self.items[measure].get(key, {})
        return {item: amount for item, (day, amount) in found.items() if first <= day <= last}

    def between(self, measure: Measure, key: Key, first: date, last: date) -> Decimal:
        """What that comes to."""
        return sum(self.counted(measure, key, first, last).values(), Decimal())

    def daily(self, measure: Measure, key: Key, first: date, last: date) -> list[float]:
        """What each day brought, zeros too."""
        by_day: dict[date, Decimal] = defaultdict(Decimal)
        for day, amount in self.items[measure].get(key, {}).values():
            by_day[day] += amount
        days = (first + timedelta(days=after) for after in range((last - first).days + 1))
        return [float(by_day[day]) for day in days]


def results(campaign: Campaign, *, viewer: User | None) -> Results:
    """The results of a campaign, of the clients the viewer may count."""
    found = Results()
    keys = _Keys(campaign)
    _add_openings(found, campaign, keys, viewer)
    _add_contacts(found, campaign, keys, viewer)
    return found


class _Keys:
    """To whom a result belongs."""

    def __init__(self, campaign: Campaign) -> None:
        branches = db.session.execute(select(Branch.id, Branch.path))
        self._above = {row.id: row.path.strip("/").split("/") for row in branches}
        self._tiers: list[tuple[str, BitMap64]] = [
            (group.key, group.client_ids)
            for group in db.session.scalars(
                select(RunGroup)
                .join(Run, Run.id == RunGroup.run_id)
                .where(Run.campaign_id == campaign.id, RunGroup.dimension == "tier", RunGroup.key != "")
            )
        ]

    def of(self, client_id: int, branch_id: int | None, adviser_id: int | None) -> list[Key]:
        keys: list[Key] = [WHOLE]
        keys += [("branch", above) for above in self._above.get(branch_id or 0, ())]
        if adviser_id is not None:
            keys.append(("adviser", str(adviser_id)))
        tier = next((tier for tier, ids in self._tiers if client_id in ids), None)
        if tier is not None:
            keys.append(("tier", tier))
        return keys


def local_day(moment: Any) -> Any:
    """The day of the firm's time zone on which something was."""
    return cast(func.timezone(settings().time_zone, moment), Date)


def _add_openings(found: Results, campaign: Campaign, keys: _Keys, viewer: User | None) -> None:
    rows = db.session.execute(
        select(
            Attribution.opening_id,
            AccountOpening.opened_at,
            local_day(AccountOpening.opened_at).label("day"),
            CountedOpening.effective_on,
            CountedOpening.brought_in,
            Message.client_id,
            Message.branch_id,
            Message.adviser_id,
        )
        .join(AccountOpening, AccountOpening.id == Attribution.opening_id)
        .join(Message, Message.id == Attribution.message_id)
        .outerjoin(
            CountedOpening,
            (CountedOpening.opening_id == Attribution.opening_id)
            & (CountedOpening.campaign_id == Attribution.campaign_id),
        )
        .where(Attribution.campaign_id == campaign.id, *message_scope(viewer))
        .ext(distinct_on(Attribution.opening_id))
        .order_by(Attribution.opening_id, Attribution.weight.desc(), Attribution.message_id.desc())
    ).all()
    brought: set[int] = set()
    for row in sorted(rows, key=lambda row: (row.opened_at, row.opening_id)):
        belongs = keys.of(row.client_id, row.branch_id, row.adviser_id)
        found.add(Measure.ACCOUNTS, belongs, row.opening_id, row.day)
        if row.effective_on is not None:
            found.add(Measure.EFFECTIVE, belongs, row.opening_id, row.effective_on)
        if row.brought_in is not None and row.client_id not in brought:
            brought.add(row.client_id)
            found.add(Measure.ASSETS, belongs, row.opening_id, row.day, row.brought_in)


def _add_contacts(found: Results, campaign: Campaign, keys: _Keys, viewer: User | None) -> None:
    rows = db.session.execute(
        select(AdviserTask.client_id, AdviserTask.branch_id, AdviserTask.adviser_id, local_day(AdviserTask.tried_at))
        .join(Message, Message.id == AdviserTask.message_id)
        .where(AdviserTask.campaign_id == campaign.id, AdviserTask.tried_at.is_not(None), *message_scope(viewer))
        .ext(distinct_on(AdviserTask.client_id))
        .order_by(AdviserTask.client_id, AdviserTask.tried_at)
    )
    for client_id, branch_id, adviser_id, day in rows:
        found.add(Measure.CONTACTS, keys.of(client_id, branch_id, adviser_id), client_id, day)
