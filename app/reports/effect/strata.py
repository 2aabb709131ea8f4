"""Both arms of a campaign as they were drawn, and the accounts that either of them opened.

Every opening counts, claimed by the campaign or not, from a run's launch to the end of the window, over all who were
assigned, also those who were skipped or whose message failed: whatever happened after the draw must not decide who is
compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from pyroaring import BitMap64
from sqlalchemy import BigInteger, select, type_coerce
from sqlalchemy.orm import joinedload

from app.audiences.snapshots import packed, unpacked
from app.campaigns.models import Campaign
from app.clients.models import Client
from app.core.extensions import db
from app.delivery.models import Run, RunSplit
from app.tracking.models import AccountOpening
from app.tracking.openings.figures import openings_of_campaign


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
class Strata:
    """All strata of a campaign. `brought_in`: {client id: assets} of those who opened. `closes_at`: when the window of
    the last run ends."""

    strata: list[Stratum] = field(default_factory=list)
    brought_in: Mapping[int, Decimal] = field(default_factory=dict)
    closes_at: datetime | None = None

    @property
    def assigned(self) -> BitMap64:
        return BitMap64().union(*(part.treated | part.control for part in self.strata))

    @property
    def has_control(self) -> bool:
        return any(part.control for part in self.strata)


def strata_of(campaign: Campaign, runs: Sequence[Run], scopes: Mapping[int, BitMap64] | None) -> Strata:
    """The strata of these runs, cut down to the clients that the viewer may count (None: all)."""
    if not runs:
        return Strata()
    window = timedelta(days=campaign.window_days)
    frame = BitMap64().union(*(run.audience.client_ids for run in runs if run.audience))
    known = openings_of_campaign(campaign, frame=frame)
    found: list[Stratum] = []
    in_window = BitMap64()
    for run in runs:
        opened = opened_between(run.created_at, run.created_at + window, frame=frame)
        in_window |= opened
        control = run.control_ids
        for share, assigned in _splits(run):
            mine = assigned if scopes is None else assigned & scopes[run.id]
            came = opened & mine
            found.append(Stratum(share, mine - control, mine & control, came, known.effective & came))
    brought_in = {client: amount for client, amount in known.brought_in.items() if client in in_window}
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
    found = opened & frame
    return found | BitMap64(_merged_records(opened - found) & frame)


def _merged_records(survivors: BitMap64) -> BitMap64:
    """One record of each survivor that was merged into it."""
    if not survivors:
        return BitMap64()
    rows = db.session.execute(
        select(Client.merged_into_id, Client.id).where(Client.merged_into_id.is_not(None)).order_by(Client.id.desc())
    )
    return BitMap64({survivor: record for survivor, record in rows if survivor and survivor in survivors}.values())
