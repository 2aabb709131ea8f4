"""Campaigns with a control group, and the accounts that either group opened."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pyroaring import BitMap64
from sqlalchemy import func, insert, select

from app.audiences.models import Snapshot
from app.campaigns.models import Campaign
from app.core.extensions import db
from app.delivery.models import Run, RunGroup, RunSplit
from app.tracking.models import AccountOpening
from app.tracking.openings.models import CountedOpening
from tests.factories.ledger import LAUNCH, make_run


def make_compared_run(
    campaign: Campaign,
    clients: Sequence[int],
    control: Iterable[int],
    *,
    shares: Mapping[float, Iterable[int]] | None = None,
    groups: Mapping[tuple[str, str, str], Iterable[int]] | None = None,
    launched_at: datetime = LAUNCH,
    segments: Mapping[str, Iterable[int]] | None = None,
    **outcomes: Any,
) -> Run:
    """A committed run over `clients`, of whom `control` were drawn and not contacted; the others were sent to.

    `shares`: who was drawn with which share (else all with the share that it came to). `groups`: the clients by
    (dimension, key, name).
    """
    drawn = BitMap64(control)
    treated = [client for client in clients if client not in drawn]
    run = make_run(campaign, treated, segments=segments, launched_at=launched_at, **outcomes)
    run.audience = _frozen("Audience", clients)
    run.eligible, run.matched = len(clients), len(clients)
    if drawn:
        run.control = _frozen("Control group", drawn)
    for share, assigned in (shares or {len(drawn) / len(clients): clients}).items():
        db.session.add(RunSplit(run_id=run.id, control_share=share, assigned=_frozen("Drawn", assigned)))
    for (dimension, key, name), ids in (groups or {}).items():
        bitmap = BitMap64(ids)
        db.session.add(
            RunGroup(
                run_id=run.id,
                dimension=dimension,
                key=key,
                name=name,
                bitmap=bitmap.serialize(),
                size=len(bitmap),
            )
        )
    db.session.commit()
    return run


def make_openings(
    clients: Iterable[int],
    *,
    campaign: Campaign | None = None,
    opened_at: datetime = LAUNCH + timedelta(days=3),
    brought_in: int | None = None,
) -> None:
    """One committed opening of each client. With a campaign it is counted for it, as effective, with these assets."""
    first = (db.session.scalar(select(func.max(AccountOpening.id))) or 0) + 1
    rows = [
        {
            "source": "test",
            "external_id": f"E{first + place}",
            "client_id": client,
            "opened_at": opened_at,
            "attributed_at": opened_at,
        }
        for place, client in enumerate(clients)
    ]
    if not rows:
        return
    ids = db.session.scalars(insert(AccountOpening).returning(AccountOpening.id), rows).all()
    if campaign is not None:
        counted = [
            {
                "campaign_id": campaign.id,
                "opening_id": opening_id,
                "effective_on": opened_at.date(),
                "brought_in": brought_in,
            }
            for opening_id in ids
        ]
        db.session.execute(insert(CountedOpening), counted)
    db.session.commit()


def _frozen(name: str, ids: Iterable[int]) -> Snapshot:
    bitmap = BitMap64(ids)
    snapshot = Snapshot(name=name, bitmap=bitmap.serialize(), size=len(bitmap))
    db.session.add(snapshot)
    db.session.flush()
    return snapshot
