"""Both arms of a campaign as they were drawn, and the accounts that either of them opened.

Every opening counts, claimed by the campaign or not, from a run's launch to the end of the window, over all who were
assigned, also those who were skipped or whose message failed: whatever happened after the draw must not decide who is
compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pyroaring import BitMap64
from sqlalchemy import BigInteger, select, text, type_coerce
from sqlalchemy.orm import joinedload

from app.audiences.snapshots import packed, read_set, unpacked
from app.campaigns.models import Campaign
from app.clients.models import Client
from app.core.extensions import db
from app.delivery.models import Run, RunSplit
from app.statistics.libraries import np
from app.tracking.models import AccountOpening

if TYPE_CHECKING:
    from numpy.typing import NDArray


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


@dataclass(frozen=True, slots=True)
class BroughtIn:
    """The assets that clients brought in: their ids, ascending, in `places`, and the amount of each."""

    clients: BitMap64
    places: "NDArray[np.uint64]"
    amounts: "NDArray[np.float64]"

    @classmethod
    def by_the_first(cls, ids: "NDArray[np.uint64]", amounts: "NDArray[np.float64]") -> "BroughtIn":
        """Of several amounts of a client the first one given counts."""
        places, first = np.unique(ids, return_index=True)
        return cls(BitMap64(places), places, amounts[first])

    def of(self, clients: BitMap64) -> "NDArray[np.float64]":
        """The amounts of those of these clients who brought in any, by id."""
        return self.amounts[np.searchsorted(self.places, _column(self.clients & clients))]

    def only(self, clients: BitMap64) -> "BroughtIn":
        if self.clients.issubset(clients):
            return self
        chosen = self.clients & clients
        return BroughtIn(chosen, _column(chosen), self.of(chosen))


def _column(ids: BitMap64) -> "NDArray[np.uint64]":
    return np.frombuffer(ids.to_array(), dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class Strata:
    """All strata of a campaign. `brought_in` is None before a launch. `closes_at`: when the window of the last run
    ends."""

    strata: list[Stratum] = field(default_factory=list)
    brought_in: BroughtIn | None = None
    closes_at: datetime | None = None

    @property
    def assigned(self) -> BitMap64:
        return BitMap64().union(*(part.treated | part.control for part in self.strata))

    @property
    def has_control(self) -> bool:
        return any(part.control for part in self.strata)

    def amounts_of(self, clients: BitMap64) -> "NDArray[np.float64]":
        """The assets that each of these clients brought in, of those who brought in any."""
        return np.empty(0) if self.brought_in is None else self.brought_in.of(clients)

    def brought_by(self, clients: BitMap64) -> float:
        """The assets that these clients brought in together."""
        return float(self.amounts_of(clients).sum())


def strata_of(campaign: Campaign, runs: Sequence[Run], scopes: Mapping[int, BitMap64] | None) -> Strata:
    """The strata of these runs, cut down to the clients that the viewer may count (None: all)."""
    if not runs:
        return Strata()
    window = timedelta(days=campaign.window_days)
    frame = BitMap64().union(*(run.audience.client_ids for run in runs if run.audience))
    effective, brought_in = _counted(campaign, frame)
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
    return Strata(found, brought_in.only(in_window), max(run.created_at for run in runs) + window)


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
    opened = read_set(query)
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
        ORDER BY opening.opened_at, opening.id
    ) AS oldest_first
    """
)


def _counted(campaign: Campaign, frame: BitMap64) -> tuple[BitMap64, BroughtIn]:
    """Who had an effective opening, and what clients brought in by the first, as `tracking.openings` judged them.

    The ids and amounts come as bytes, oldest first: a row each would take ten times as long.
    """
    row = db.session.execute(_COUNTED, {"campaign_id": campaign.id}).one()
    effective = unpacked(row.effective)
    ids = np.frombuffer(row.clients or b"", dtype=">u4").astype(np.uint64)
    amounts = np.frombuffer(row.amounts or b"", dtype=">f8").astype(float)
    records = _merged_records((effective | BitMap64(ids)) - frame)
    records = {kept: one for kept, one in records.items() if one in frame}
    for kept, one in records.items():
        ids[ids == kept] = one
    effective |= BitMap64(records[client] for client in effective & BitMap64(records))
    return effective, BroughtIn.by_the_first(ids, amounts)


def _merged_records(survivors: BitMap64) -> dict[int, int]:
    """{survivor: one of the records that were merged into it}."""
    if not survivors:
        return {}
    survivor = type_coerce(Client.merged_into_id, BigInteger)
    rows = db.session.execute(select(survivor, Client.id).where(survivor.is_not(None)).order_by(Client.id.desc()))
    return {int(kept): record for kept, record in rows if kept in survivors}
