"""What the campaigns of a period brought together, and a few of them side by side."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo
from enum import StrEnum

from pyroaring import BitMap64
from sqlalchemy import func, or_, select
from sqlalchemy.orm import joinedload

from app.audiences.snapshots import packed, unpacked
from app.campaigns.models import Campaign
from app.campaigns.queries import visible_to
from app.core.extensions import db
from app.delivery.models import Message, Run
from app.reports.effect.report import CampaignEffect, campaign_effect
from app.reports.response import Ledger, Ledgers, Outcome, Row, headlines, ledgers
from app.reports.scope import message_scope
from app.tracking.models import Attribution
from app.users.models import User

MOST_CAMPAIGNS = 500
FEWEST_COMPARED, MOST_COMPARED = 2, 8
CHOICES = 24
COUNTED = (Outcome.TARGETED, Outcome.DELIVERED, Outcome.OPENED, Outcome.CLICKED, Outcome.REPLIED, Outcome.UNSUBSCRIBED)


class Grouping(StrEnum):
    """What the programme is broken down by."""

    MONTH = "month"
    PURPOSE = "purpose"
    CHANNEL = "channel"
    TAG = "tag"


@dataclass(frozen=True, slots=True)
class Period:
    """From the first to the last day, both included, in a time zone."""

    first: date
    last: date
    zone: tzinfo

    @property
    def starts(self) -> datetime:
        return datetime.combine(self.first, time(), self.zone)

    @property
    def ends(self) -> datetime:
        return datetime.combine(self.last + timedelta(days=1), time(), self.zone)


@dataclass(slots=True)
class Part:
    """Campaigns taken together: clients by outcome and account openings, each of both counted once.

    `shared` are the openings that more than one of these campaigns claims.
    """

    key: str
    campaigns: set[int] = field(default_factory=set)
    clients: dict[Outcome, BitMap64] = field(default_factory=lambda: {outcome: BitMap64() for outcome in COUNTED})
    openings: BitMap64 = field(default_factory=BitMap64)
    shared: BitMap64 = field(default_factory=BitMap64)

    def count(self, outcome: Outcome) -> int:
        return len(self.clients[outcome])

    def add(self, campaign_id: int, ledger: Ledger, openings: BitMap64) -> None:
        self.campaigns.add(campaign_id)
        for outcome in COUNTED:
            self.clients[outcome] |= ledger.clients[outcome]
        self.shared |= self.openings & openings
        self.openings |= openings


@dataclass(frozen=True, slots=True)
class Programme:
    """A period's campaigns: all together, broken down, and one by one (the newest first).

    `cut` says that there were more than `MOST_CAMPAIGNS`; the newest are counted.
    """

    total: Part
    parts: list[Part]
    lines: list[tuple[Campaign, Part]]
    cut: bool


def programme(period: Period, grouping: Grouping, *, viewer: User | None) -> Programme:
    """What the campaigns that were launched in the period brought, as far as the viewer may see them."""
    found = _launched(period, viewer)
    campaigns = {campaign.id: campaign for campaign in found[:MOST_CAMPAIGNS]}
    counted = ledgers(_runs(campaigns), viewer=viewer)
    openings = _openings(campaigns, viewer)
    total, alone = Part(""), {}
    for campaign_id in campaigns:
        facts = counted.campaigns.get(campaign_id, Ledger()), openings.of_campaign(campaign_id)
        alone[campaign_id] = Part(campaigns[campaign_id].code)
        for part in (total, alone[campaign_id]):
            part.add(campaign_id, *facts)
    return Programme(
        total=total,
        parts=_BREAKDOWNS[grouping](campaigns, counted, openings, period.zone),
        lines=[(campaign, alone[campaign.id]) for campaign in campaigns.values()],
        cut=len(found) > MOST_CAMPAIGNS,
    )


def _launched(period: Period, viewer: User | None) -> Sequence[Campaign]:
    query = select(Campaign).where(Campaign.launched_at >= period.starts, Campaign.launched_at < period.ends)
    if viewer is not None:
        query = query.where(visible_to(viewer))
    return db.session.scalars(query.order_by(Campaign.launched_at.desc(), Campaign.id).limit(MOST_CAMPAIGNS + 1)).all()


def _runs(campaign_ids: Iterable[int]) -> Sequence[Run]:
    query = select(Run).options(joinedload(Run.audience), joinedload(Run.control))
    return db.session.scalars(query.where(Run.campaign_id.in_(list(campaign_ids))).order_by(Run.id)).all()


# ---- Breaking down ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Openings:
    """The openings (ids) that are claimed, by campaign and the channel of the message they are claimed for."""

    by_channel: dict[tuple[int, str], BitMap64]

    def of_campaign(self, campaign_id: int) -> BitMap64:
        return BitMap64().union(*(ids for (known, _channel), ids in self.by_channel.items() if known == campaign_id))


def _openings(campaign_ids: Iterable[int], viewer: User | None) -> _Openings:
    rows = db.session.execute(
        select(Attribution.campaign_id, Message.channel, packed(Attribution.opening_id.expression))
        .join(Message, Message.id == Attribution.message_id)
        .where(Attribution.campaign_id.in_(list(campaign_ids)), *message_scope(viewer))
        .group_by(Attribution.campaign_id, Message.channel)
    )
    return _Openings({(campaign_id, channel): unpacked(ids) for campaign_id, channel, ids in rows})


Breakdown = Callable[[Mapping[int, Campaign], Ledgers, _Openings, tzinfo], list[Part]]


def _by_campaign(keys_of: Callable[[Campaign, tzinfo], Iterable[str]]) -> Breakdown:
    """Broken down by something that a campaign is, or is several of."""

    def breakdown(campaigns: Mapping[int, Campaign], counted: Ledgers, openings: _Openings, zone: tzinfo) -> list[Part]:
        parts: dict[str, Part] = {}
        for campaign in campaigns.values():
            ledger, claimed = counted.campaigns.get(campaign.id, Ledger()), openings.of_campaign(campaign.id)
            for key in keys_of(campaign, zone):
                parts.setdefault(key, Part(key)).add(campaign.id, ledger, claimed)
        return list(parts.values())

    return breakdown


def _month(campaign: Campaign, zone: tzinfo) -> list[str]:
    return [f"{campaign.launched_at.astimezone(zone):%Y-%m}"] if campaign.launched_at else []


def _by_month(campaigns: Mapping[int, Campaign], counted: Ledgers, openings: _Openings, zone: tzinfo) -> list[Part]:
    return sorted(_by_campaign(_month)(campaigns, counted, openings, zone), key=lambda part: part.key)


def _largest_first(breakdown: Breakdown) -> Breakdown:
    def ordered(campaigns: Mapping[int, Campaign], counted: Ledgers, openings: _Openings, zone: tzinfo) -> list[Part]:
        parts = breakdown(campaigns, counted, openings, zone)
        return sorted(parts, key=lambda part: (-part.count(Outcome.TARGETED), part.key))

    return ordered


def _by_channel(campaigns: Mapping[int, Campaign], counted: Ledgers, openings: _Openings, zone: tzinfo) -> list[Part]:
    parts: dict[str, Part] = {}
    for (campaign_id, channel), ledger in counted.channels.items():
        claimed = openings.by_channel.get((campaign_id, channel), BitMap64())
        parts.setdefault(channel, Part(channel)).add(campaign_id, ledger, claimed)
    return list(parts.values())


_BREAKDOWNS: Mapping[Grouping, Breakdown] = {
    Grouping.MONTH: _by_month,
    Grouping.PURPOSE: _largest_first(_by_campaign(lambda campaign, _zone: [campaign.purpose])),
    Grouping.CHANNEL: _largest_first(_by_channel),
    Grouping.TAG: _largest_first(_by_campaign(lambda campaign, _zone: dict.fromkeys(campaign.tags or [""]))),
}


# ---- Side by side ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Compared:
    """One of the campaigns side by side: its headline figures and what it caused (None: not launched)."""

    campaign: Campaign
    row: Row
    effect: CampaignEffect | None


def compared(codes: Sequence[str], *, viewer: User | None) -> list[Compared]:
    """The launched campaigns with these codes that the viewer may see, in the order of the codes."""
    wanted = list(dict.fromkeys(code.lower() for code in codes))[:MOST_COMPARED]
    query = select(Campaign).where(func.lower(Campaign.code).in_(wanted), Campaign.launched_at.is_not(None))
    if viewer is not None:
        query = query.where(visible_to(viewer))
    found = {campaign.code.lower(): campaign for campaign in db.session.scalars(query)}
    campaigns = [found[code] for code in wanted if code in found]
    rows = headlines(campaigns, viewer) if campaigns else {}
    return [Compared(campaign, rows[campaign.id], campaign_effect(campaign, viewer)) for campaign in campaigns]


def comparable(search: str, *, viewer: User) -> Sequence[Campaign]:
    """Launched campaigns to choose from, the newest first."""
    query = select(Campaign).where(visible_to(viewer), Campaign.launched_at.is_not(None))
    for word in search.split():
        query = query.where(
            or_(Campaign.name.icontains(word, autoescape=True), Campaign.code.icontains(word, autoescape=True))
        )
    return db.session.scalars(query.order_by(Campaign.launched_at.desc(), Campaign.id.desc()).limit(CHOICES)).all()
