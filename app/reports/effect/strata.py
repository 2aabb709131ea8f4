"""Both arms of a campaign as they were drawn, and the accounts that either of them opened.

Every opening counts, claimed by the campaign or not, from a run's launch to the end of the window, over all who were
assigned, also those who were skipped or whose message failed: whatever happened after the draw must not decide who is
compared.
"""

import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from pyroaring import BitMap64
from sqlalchemy import BigInteger, select, text, type_coerce
from sqlalchemy.orm import joinedload

from app.audiences.snapshots import packed, unpacked
from app.campaigns.models import Campaign
from app.clients.models import Client
from app.core.extensions import db
from app.delivery.models import Run, RunSplit
from app.tracking.models import AccountOpening


@dataclass(frozen=True, slots=True)
class Stratum:
    """Clients of one run who were drawn for the control group with the same share, and those who opened an account."""

    share: float
    treated: BitMap64
    control: BitMap64
    opened: BitMap64
    effective: BitMap64

    def cut(self, clients: BitMap64 | None) -> "Stratum":
        """The same of some clients only (None: all)."""
        if clients is None:
            return self
        return Stratum(
            self.share,
            self.treated & clients,
            self.control & clients,
            self.opened & clients,
            self.effective & clients,
        )


@dataclass(frozen=True)
class Strata:
    """All strata of a campaign. `brought_in`: {client id: assets} of those who opened. `closes_at`: when the window of
    the last run ends."""

    strata: list[Stratum] = field(default_factory=list)
    brought_in: Mapping[int, float] = field(default_factory=dict)
    closes_at: datetime | None = None

    @property
    def assigned(self) -> BitMap64:
        return BitMap64().union(*(part.treated | part.control for part in self.strata))

    @property
    def has_control(self) -> bool:
        return any(part.control for part in self.strata)

    @cached_property
    def _bringers(self) -> BitMap64:
        return BitMap64(self.brought_in)

    def amounts_of(self, clients: BitMap64) -> list[float]:
        """The assets that each of these clients brought in, of those who opened an account."""
        return [self.brought_in[client] for client in self._bringers & clients]

    def brought_by(self, clients: BitMap64) -> float:
        """The assets that these clients brought in together."""
        return sum(self.amounts_of(clients))


def strata_of(campaign: Campaign, runs: Sequence[Run], scopes: Mapping[int, BitMap64] | None) -> Strata:
    """The strata of these runs, cut down to the clients that the viewer may count (None: all)."""
    if not runs:
        return Strata()
    window = timedelta(days=campaign.window_days)
    frame = BitMap64().union(*(run.audience.client_ids for run in runs if run.audience))
    effective, amounts = _counted(campaign, frame)
    found: list[Stratum] = []
    in_window = BitMap64()
    for run in runs:
        opened = opened_between(run.created_at, run.created_at + window, frame=frame)
        in_window |= opened
        control = run.control_ids
        for share, assigned in _splits(run):
            mine = assigned if scopes is None else assigned & scopes[run.id]
            came = opened & mine
            found.append(Stratum(share, mine - control, mine & control, came, effective & came))
    brought_in = {client: amount for client, amount in amounts.items() if client in in_window}
    return Strata(found, brought_in, max(run.created_at for run in runs) + window)


def _splits(run: Run) -> list[tuple[float, BitMap64]]:
    """(control share, assigned clients); a run of an earlier version has the whole audience and nobody drawn."""
    splits = db.session.scalars(
        select(RunSplit)
        .options(joinedload(RunSplit.assigned))
        .where(RunSplit.run_id == run.id)
        .order_by(RunSplit.control_share)
    ).all()
    if splits:
        return [(split.control_share, split.assigned.client_ids) for split in splits]
    return [(0.0, run.audience.client_ids)] if run.audience else []


def opened_between(since: datetime, until: datetime, *, frame: BitMap64) -> BitMap64:
    """Who of the frame opened an account from `since` to before `until`, by the record that the frame knows.

    An opening belongs to the record in use: where that was merged from one of the frame's, it is found by that one.
    """
    query = select(packed(type_coerce(AccountOpening.client_id, BigInteger))).where(
        AccountOpening.opened_at >= since, AccountOpening.opened_at < until, AccountOpening.client_id.is_not(None)
    )
    opened = unpacked(db.session.scalar(query))
    return (opened & frame) | (BitMap64(_merged_records(opened - frame).values()) & frame)


# The order is that of the rows that are put together: an order in each aggregate would be a sort each.
_COUNTED = text(
    """
    SELECT string_agg(int4send(client_id::int), '') FILTER (WHERE effective_on IS NOT NULL) AS effective,
           string_agg(int4send(client_id::int), '') FILTER (WHERE brought_in IS NOT NULL) AS clients,
           string_agg(float8send(brought_in::float8), '') FILTER (WHERE brought_in IS NOT NULL) AS amounts
    FROM (
        SELECT opening.client_id, counted.effective_on, counted.brought_in
        FROM counted_opening AS counted JOIN account_opening AS opening ON opening.id = counted.opening_id
        WHERE counted.campaign_id = :campaign_id AND opening.client_id IS NOT NULL
        ORDER BY opening.opened_at DESC, opening.id DESC
    ) AS newest_first
    """
)


def _counted(campaign: Campaign, frame: BitMap64) -> tuple[BitMap64, dict[int, float]]:
    """Who had an effective opening, and {client: assets brought in} by the first, as `tracking.openings` judged them.

    The ids and amounts come as bytes, newest first: a row each would take ten times as long.
    """
    row = db.session.execute(_COUNTED, {"campaign_id": campaign.id}).one()
    effective = unpacked(row.effective)
    amounts: dict[int, float] = dict(zip(_numbers("I", row.clients), _numbers("d", row.amounts), strict=True))
    strangers = (effective | BitMap64(amounts)) - frame
    records: dict[int, int] = {kept: one for kept, one in _merged_records(strangers).items() if one in frame}
    known = {records.get(client, client): amount for client, amount in amounts.items()}
    return effective | BitMap64(records[client] for client in effective & BitMap64(records)), known


def _numbers(kind: str, packed_numbers: bytes | None) -> "array[Any]":
    numbers = array(kind, packed_numbers or b"")
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


def _merged_records(survivors: BitMap64) -> dict[int, int]:
    """{survivor: one of the records that were merged into it}."""
    if not survivors:
        return {}
    survivor = type_coerce(Client.merged_into_id, BigInteger)
    rows = db.session.execute(select(survivor, Client.id).where(survivor.is_not(None)).order_by(Client.id.desc()))
    return {int(kept): record for kept, record in rows if kept in survivors}
