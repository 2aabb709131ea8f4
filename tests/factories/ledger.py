"""Launched campaigns with a ledger, built directly: what delivery and tracking would have left behind."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pyroaring import BitMap64
from sqlalchemy import func, insert, select

from app.audiences.models import Segment, Snapshot
from app.campaigns.models import Campaign, CampaignSegment, State, Step
from app.clients.models import Client
from app.content.models import EmailContent
from app.core.clock import now
from app.core.extensions import db
from app.delivery.models import Batch, Message, MessageState, Run, RunSegment
from app.tracking.models import AccountOpening, Attribution

LAUNCH = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
_BATCH = 500
_AFTER = {
    "delivered": timedelta(seconds=30),
    "opened": timedelta(hours=1),
    "clicked": timedelta(hours=1, minutes=2),
    "replied": timedelta(hours=5),
    "unsubscribed": timedelta(hours=6),
    "bounced": timedelta(minutes=1),
    "complained": timedelta(hours=7),
}


def make_segment(name: str, **fields: Any) -> Segment:
    """One committed segment; its rule matches everybody unless told otherwise."""
    segment = Segment(name=name, **({"rule": {"all": []}} | fields))
    db.session.add(segment)
    db.session.commit()
    return segment


def make_launched_campaign(**fields: Any) -> Campaign:
    """A committed running e-mail campaign with one step, launched on 2 March 2026 at 9:00 UTC; no run yet."""
    number = (db.session.scalar(select(func.count(Campaign.id))) or 0) + 1
    content = EmailContent(format="html", subject="News", source="<p>Hello</p>", html="<p>Hello</p>", text="Hello")
    values = {
        "code": f"C{number:03}",
        "name": f"Campaign {number}",
        "state": State.RUNNING,
        "launched_at": LAUNCH,
    }
    campaign = Campaign(**(values | fields))
    campaign.steps.append(Step(position=0, channel="email", content=content))
    db.session.add(campaign)
    db.session.commit()
    return campaign


def make_run(
    campaign: Campaign,
    clients: Sequence[int],
    *,
    segments: Mapping[str, Iterable[int]] | None = None,
    exclusions: Mapping[str, int] | None = None,
    skipped: Mapping[str, Iterable[int]] | None = None,
    failed: Mapping[str, Iterable[int]] | None = None,
    unconfirmed: Iterable[int] = (),
    waiting: Iterable[int] = (),
    launched_at: datetime = LAUNCH,
    **outcomes: Iterable[int] | Mapping[int, datetime],
) -> Run:
    """A committed run over the clients (ids), all sent but those named otherwise.

    `outcomes` are `delivered`, `opened`, `clicked`, `replied`, `unsubscribed`, `bounced`, `complained`: client
    ids, or {client id: time}. `segments` are the frozen ones the report counts by, in order.
    """
    excluded = dict(exclusions or {})
    number = (db.session.scalar(select(func.count(Run.id)).where(Run.campaign_id == campaign.id)) or 0) + 1
    run = Run(
        campaign_id=campaign.id,
        number=number,
        state="sending" if waiting else "complete",
        audience=_snapshot("Audience", None, clients),
        matched=len(clients) + sum(excluded.values()),
        eligible=len(clients),
        exclusions=excluded,
        created_at=launched_at,
        planned_at=launched_at,
    )
    db.session.add(run)
    db.session.flush()
    for position, (name, ids) in enumerate((segments or {}).items()):
        _freeze(campaign, run, position, name, ids)
    states: dict[int, tuple[MessageState, str | None]] = {}
    for state, reasons in ((MessageState.SKIPPED, skipped), (MessageState.FAILED, failed)):
        for reason, ids in (reasons or {}).items():
            states.update(dict.fromkeys(ids, (state, reason)))
    states.update(dict.fromkeys(unconfirmed, (MessageState.UNCONFIRMED, None)))
    states.update(dict.fromkeys(waiting, (MessageState.PLANNED, None)))
    times = {
        name: dict(ids) if isinstance(ids, Mapping) else dict.fromkeys(ids, launched_at + _AFTER[name])
        for name, ids in outcomes.items()
    }
    _write_messages(campaign, run, clients, states, times, launched_at)
    db.session.commit()
    return run


def make_opening(campaign: Campaign, client_id: int, *, opened_at: datetime | None = None) -> AccountOpening:
    """A committed account opening of the client, credited to their last message of the campaign."""
    at = opened_at or LAUNCH + timedelta(days=2)
    number = (db.session.scalar(select(func.count(AccountOpening.id))) or 0) + 1
    opening = AccountOpening(source="test", external_id=f"O{number}", client_id=client_id, opened_at=at)
    db.session.add(opening)
    db.session.flush()
    claim(campaign, opening, at=at)
    return opening


def claim(campaign: Campaign, opening: AccountOpening, *, at: datetime | None = None) -> None:
    """The campaign claims the opening, too, for its last message to the client."""
    message_id = db.session.scalars(
        select(Message.id)
        .where(Message.campaign_id == campaign.id, Message.client_id == opening.client_id)
        .order_by(Message.id.desc())
        .limit(1)
    ).one()
    db.session.add(
        Attribution(
            opening_id=opening.id,
            campaign_id=campaign.id,
            message_id=message_id,
            client_id=opening.client_id,
            at=at or now(),
        )
    )
    db.session.commit()


def _snapshot(name: str, segment_id: int | None, ids: Iterable[int]) -> Snapshot:
    bitmap = BitMap64(ids)
    return Snapshot(segment_id=segment_id, name=name, bitmap=bitmap.serialize(), size=len(bitmap))


def _freeze(campaign: Campaign, run: Run, position: int, name: str, ids: Iterable[int]) -> None:
    segment = db.session.scalar(select(Segment).where(Segment.name == name))
    if segment is None:
        segment = Segment(name=name, rule={"all": []})
        db.session.add(segment)
        db.session.flush()
        role = "report" if position else "include"
        db.session.add(CampaignSegment(campaign_id=campaign.id, segment_id=segment.id, role=role, position=position))
    snapshot = _snapshot(name, segment.id, ids)
    db.session.add(snapshot)
    db.session.flush()
    db.session.add(RunSegment(run_id=run.id, segment_id=segment.id, position=position, snapshot_id=snapshot.id))


def _write_messages(
    campaign: Campaign,
    run: Run,
    clients: Sequence[int],
    states: Mapping[int, tuple[MessageState, str | None]],
    times: Mapping[str, Mapping[int, datetime]],
    launched_at: datetime,
) -> None:
    branches = {
        client_id: (branch_id, adviser_id)
        for client_id, branch_id, adviser_id in db.session.execute(
            select(Client.id, Client.branch_id, Client.adviser_id).where(Client.id.in_(clients))
        )
    }
    sent = (MessageState.SENT, None)
    for number, first in enumerate(range(0, len(clients), _BATCH)):
        some = clients[first : first + _BATCH]
        tally = [states.get(client_id, sent)[0] for client_id in some]
        batch = Batch(
            run_id=run.id,
            step_id=campaign.steps[0].id,
            channel="email",
            state="open" if MessageState.PLANNED in tally else "done",
            size=len(some),
            sent=tally.count(MessageState.SENT),
            failed=tally.count(MessageState.FAILED),
            skipped=tally.count(MessageState.SKIPPED),
            unconfirmed=tally.count(MessageState.UNCONFIRMED),
        )
        db.session.add(batch)
        db.session.flush()
        rows = []
        for client_id in some:
            state, reason = states.get(client_id, sent)
            row: dict[str, Any] = {
                "run_id": run.id,
                "campaign_id": campaign.id,
                "step_id": campaign.steps[0].id,
                "client_id": client_id,
                "batch_id": batch.id,
                "channel": "email",
                "branch_id": branches[client_id][0],
                "adviser_id": branches[client_id][1],
                "state": state,
                "reason": reason,
                "sent_at": launched_at + timedelta(seconds=number) if state == MessageState.SENT else None,
            }
            row |= {f"{name}_at": known.get(client_id) for name, known in times.items()}
            rows.append(row)
        db.session.execute(insert(Message), rows)
