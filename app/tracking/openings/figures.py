"""What openings came to per campaign, for reports: sets of clients, so that they may be cut by any other set.

    one = openings_of_campaign(campaign)
    one.claimed & segment                 # clients with an opening that the campaign claims
    one.effective & control_arm           # of either arm, as assigned, claimed or not
    one.followed[90].still, one.followed[90].looked_at
    one.brought_in                        # {client id: amount}, one amount a client

Client ids are those of the records in use; where a `frame` (the clients of a run, both arms) is given, they are those
of the records that the frame knows, which may have been merged since. Every set counts a client once, so the total
over campaigns is the size of a union: `claimed_by_any`.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from pyroaring import BitMap64
from sqlalchemy import BigInteger, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import aliased

from app.campaigns.models import Campaign
from app.clients.models import Client
from app.core.extensions import db
from app.tracking.models import AccountOpening, Attribution
from app.tracking.openings.models import FOLLOWED_DAYS, OpeningFollowUp


@dataclass(slots=True)
class Followed:
    """Clients whose effective opening was looked at again so many days later, those of them still effective, and the
    assets each had then ({client id: amount}; without those of whom no balance is known)."""

    looked_at: BitMap64 = field(default_factory=BitMap64)
    still: BitMap64 = field(default_factory=BitMap64)
    assets: dict[int, Decimal] = field(default_factory=dict)


@dataclass(slots=True)
class CampaignOpenings:
    """Clients by what their openings came to for one campaign.

    `opened`: with any opening that counts (claimed, or of either arm within the window). `claimed`: the campaign claims
    one. `shared`: of those, another campaign claims the same opening too. `effective`: one was effective by the rule;
    `effective_claimed`: one that the campaign claims was. `brought_in`: by the client's first counted opening.
    """

    opened: BitMap64 = field(default_factory=BitMap64)
    claimed: BitMap64 = field(default_factory=BitMap64)
    shared: BitMap64 = field(default_factory=BitMap64)
    effective: BitMap64 = field(default_factory=BitMap64)
    effective_claimed: BitMap64 = field(default_factory=BitMap64)
    brought_in: dict[int, Decimal] = field(default_factory=dict)
    followed: dict[int, Followed] = field(default_factory=lambda: {days: Followed() for days in FOLLOWED_DAYS})


_OPENINGS = text(
    """
    SELECT counted.campaign_id, opening.client_id, counted.effective_on IS NOT NULL AS effective, counted.brought_in,
           claims.mine, claims.others
    FROM counted_opening AS counted
    JOIN account_opening AS opening ON opening.id = counted.opening_id
    CROSS JOIN LATERAL (
        SELECT coalesce(bool_or(attribution.campaign_id = counted.campaign_id), false) AS mine,
               coalesce(bool_or(attribution.campaign_id <> counted.campaign_id), false) AS others
        FROM attribution WHERE attribution.opening_id = opening.id
    ) AS claims
    WHERE counted.campaign_id = ANY(CAST(:campaigns AS bigint[])) AND opening.client_id IS NOT NULL
    ORDER BY counted.campaign_id, opening.opened_at, opening.id
    """
)


def openings_of_campaign(campaign: Campaign, *, frame: BitMap64 | None = None) -> CampaignOpenings:
    """See the module."""
    return openings_of_campaigns([campaign.id], frame=frame)[campaign.id]


def openings_of_campaigns(
    campaign_ids: Collection[int], *, frame: BitMap64 | None = None
) -> dict[int, CampaignOpenings]:
    """By campaign, in two queries; a campaign without openings has empty sets."""
    found = {campaign_id: CampaignOpenings() for campaign_id in campaign_ids}
    rows = db.session.execute(_OPENINGS, {"campaigns": list(found)}).all()
    known_as = _known_as({row.client_id for row in rows}, frame)
    for row in rows:
        one, client_id = found[row.campaign_id], known_as.get(row.client_id, row.client_id)
        one.opened.add(client_id)
        if row.mine:
            one.claimed.add(client_id)
            if row.others:
                one.shared.add(client_id)
        if row.effective:
            one.effective.add(client_id)
            if row.mine:
                one.effective_claimed.add(client_id)
        if row.brought_in is not None:
            one.brought_in.setdefault(client_id, row.brought_in)
    _add_followed(found, known_as)
    return found


def _known_as(client_ids: set[int], frame: BitMap64 | None) -> dict[int, int]:
    """{record in use: record that the frame knows}, for those that are not in the frame themselves."""
    strangers = sorted(client_ids - set(frame & BitMap64(client_ids))) if frame is not None else []
    if frame is None or not strangers:
        return {}
    merged = db.session.execute(select(Client.merged_into_id, Client.id).where(Client.merged_into_id.in_(strangers)))
    return {survivor: record for survivor, record in merged if survivor is not None and record in frame}


def _add_followed(found: dict[int, CampaignOpenings], known_as: dict[int, int]) -> None:
    notes = db.session.execute(
        select(
            OpeningFollowUp.campaign_id,
            OpeningFollowUp.days,
            OpeningFollowUp.still_effective,
            OpeningFollowUp.assets,
            AccountOpening.client_id,
        )
        .join(AccountOpening, AccountOpening.id == OpeningFollowUp.opening_id)
        .where(OpeningFollowUp.campaign_id.in_(found), AccountOpening.client_id.is_not(None))
        .order_by(AccountOpening.opened_at, AccountOpening.id)
    )
    for note in notes:
        followed = found[note.campaign_id].followed[note.days]
        client_id = known_as.get(note.client_id, note.client_id)
        followed.looked_at.add(client_id)
        if note.still_effective:
            followed.still.add(client_id)
        if note.assets is not None:
            followed.assets.setdefault(client_id, note.assets)


def claimed_by_any(campaign_ids: Collection[int]) -> BitMap64:
    """The clients with an opening that at least one of these campaigns claims: each counted once."""
    rows = db.session.scalars(
        select(AccountOpening.client_id)
        .join(Attribution, Attribution.opening_id == AccountOpening.id)
        .where(Attribution.campaign_id.in_(list(campaign_ids)), AccountOpening.client_id.is_not(None))
        .distinct()
    )
    return BitMap64([client_id for client_id in rows if client_id is not None])


def also_claimed_by(campaign: Campaign, *, clients: BitMap64) -> list[tuple[Campaign, BitMap64]]:
    """The campaigns that claim openings of these clients which this one claims too, with those of the clients."""
    mine, other = aliased(Attribution), aliased(Attribution)
    rows = db.session.execute(
        select(other.campaign_id, func.array_agg(AccountOpening.client_id.distinct(), type_=ARRAY(BigInteger)))
        .select_from(mine)
        .join(other, (other.opening_id == mine.opening_id) & (other.campaign_id != mine.campaign_id))
        .join(AccountOpening, AccountOpening.id == mine.opening_id)
        .where(mine.campaign_id == campaign.id, AccountOpening.client_id.is_not(None))
        .group_by(other.campaign_id)
    )
    shared = {campaign_id: clients & BitMap64([one for one in ids if one is not None]) for campaign_id, ids in rows}
    named = db.session.scalars(select(Campaign).where(Campaign.id.in_(shared)).order_by(Campaign.id.desc()))
    return [(one, shared[one.id]) for one in named if shared[one.id]]


def openings_claimed_by_any(campaign_ids: Collection[int]) -> int:
    """How many openings at least one of these campaigns claims: each counted once."""
    count = select(func.count(Attribution.opening_id.distinct())).where(Attribution.campaign_id.in_(list(campaign_ids)))
    return db.session.scalar(count) or 0


def openings_between(since: datetime, until: datetime, *, clients: BitMap64) -> list[tuple[int, int, datetime]]:
    """(client id, opening id, time) of every opening of these clients from `since` to `until`, claimed or not.

    A client is meant by any of their records; the id given back is that of the record in use.
    """
    merged = aliased(Client)
    rows: Iterable[Any] = db.session.execute(
        select(AccountOpening.client_id, AccountOpening.id, AccountOpening.opened_at, merged.id.label("merged_id"))
        .outerjoin(merged, merged.merged_into_id == AccountOpening.client_id)
        .where(
            AccountOpening.client_id.is_not(None), AccountOpening.opened_at >= since, AccountOpening.opened_at <= until
        )
        .order_by(AccountOpening.opened_at, AccountOpening.id)
    )
    return list(
        dict.fromkeys(
            (row.client_id, row.id, row.opened_at)
            for row in rows
            if row.client_id in clients or (row.merged_id or 0) in clients
        )
    )
