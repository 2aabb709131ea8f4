"""How a campaign's rules stand for one client: its segments, what would exclude them, the evidence of their will."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from app.audiences.fields import load_catalogue
from app.audiences.models import Snapshot
from app.campaigns.gates import gates
from app.campaigns.models import Campaign
from app.campaigns.step_kinds import contacts_of
from app.clients.contactability import reasons_against
from app.clients.models import Client, Consent, Suppression
from app.clients.preferences.queries import paused_until
from app.clients.queries import visible_clients
from app.core.extensions import db
from app.delivery.models import Run, RunSegment
from app.reports.why.rules import Judged, judge
from app.users.models import User


@dataclass(frozen=True, slots=True)
class SegmentLine:
    """A segment of the campaign for the client. `frozen`: among those who were frozen in it at the launch (None: no
    launch, or it was not frozen, as is the case with segments that exclude). `changed`: its rule is another now."""

    name: str
    role: str
    now: Judged
    frozen: bool | None
    changed: bool


@dataclass(frozen=True, slots=True)
class ReasonLine:
    """A reason that keeps clients out, and on which of the campaign's channels it applies to this one now."""

    reason: str
    channels: list[str]


@dataclass(frozen=True, slots=True)
class ConsentLine:
    """What the client had said about a channel by the launch (None: nothing, or no launch yet) and says now."""

    channel: str
    at_launch: Consent | None
    launched: bool
    now: bool | None
    suppression: Suppression | None


@dataclass(frozen=True, slots=True)
class StatementLine:
    statement: Consent
    actor: str | None


def segment_lines(campaign: Campaign, client: Client, *, run: Run | None, records: Sequence[int]) -> list[SegmentLine]:
    """The campaign's segments in its order, with the rule as it was at the launch where it was kept."""
    catalogue = load_catalogue()
    kept: dict[int, Snapshot] = {}
    if run is not None:
        rows = db.session.execute(
            select(RunSegment.segment_id, Snapshot)
            .join(Snapshot, Snapshot.id == RunSegment.snapshot_id)
            .where(RunSegment.run_id == run.id)
        )
        kept = {row[0]: row[1] for row in rows}
    lines = []
    for link in campaign.segments:
        snapshot = kept.get(link.segment_id) if link.role != "exclude" else None
        rule = snapshot.rule if snapshot is not None and snapshot.rule is not None else link.segment.rule
        ids = snapshot.client_ids if snapshot is not None else None
        lines.append(
            SegmentLine(
                name=link.segment.name,
                role=link.role,
                now=judge(rule, client_id=client.id, catalogue=catalogue, scope=visible_clients(campaign.owner)),
                frozen=None if ids is None else any(record in ids for record in records),
                changed=rule != link.segment.rule,
            )
        )
    return lines


def reason_lines(campaign: Campaign, client: Client) -> list[ReasonLine]:
    """Every reason that campaigns of this kind look at, in the order they do, with where it applies now."""
    channels = contacts_of(campaign)
    shut = gates(campaign)
    named = [
        (reason, channel, condition)
        for channel in channels
        for condition, reason in (*reasons_against(channel=channel, purpose=campaign.purpose), *shut)
    ]
    if not named:
        return []
    columns = [
        func.coalesce(condition, False).label(f"reason_{place}")
        for place, (_reason, _channel, condition) in enumerate(named)
    ]
    values = db.session.execute(select(*columns).where(Client.id == client.id)).one()
    found: dict[str, list[str]] = {}
    for (reason, channel, _condition), applies in zip(named, values, strict=True):
        found.setdefault(reason, [])
        if applies:
            found[reason].append(channel)
    return [ReasonLine(reason, where) for reason, where in found.items()]


def in_owners_part(campaign: Campaign, client: Client) -> bool:
    """Whether the client is of the part of the firm that the campaign's owner works for: others are never sent to."""
    return bool(db.session.scalar(select(func.count()).where(Client.id == client.id, visible_clients(campaign.owner))))


def consent_lines(campaign: Campaign, client: Client, *, run: Run | None, records: Sequence[int]) -> list[ConsentLine]:
    """The client's will on each channel of the campaign, at the launch and now."""
    now_said = {"email": client.email_consent, "sms": client.sms_consent, "call": client.call_consent}
    addresses = {"email": client.email, "sms": client.mobile, "call": client.mobile}
    return [
        ConsentLine(
            channel=channel,
            at_launch=_last_statement(records, channel, by=run.created_at) if run else None,
            launched=run is not None,
            now=now_said.get(channel),
            suppression=_suppression(channel, addresses.get(channel)),
        )
        for channel in contacts_of(campaign)
    ]


def _last_statement(records: Sequence[int], channel: str, *, by: datetime) -> Consent | None:
    return db.session.scalar(
        select(Consent)
        .where(
            Consent.client_id.in_(records),
            Consent.channel == channel,
            Consent.purpose == "marketing",
            Consent.at <= by,
        )
        .order_by(Consent.at.desc(), Consent.id.desc())
        .limit(1)
    )


def _suppression(channel: str, address: str | None) -> Suppression | None:
    if not address:
        return None
    return db.session.scalar(
        select(Suppression).where(Suppression.channel == channel, Suppression.address == address.lower())
    )


def statements(records: Sequence[int], *, limit: int = 30) -> list[StatementLine]:
    """Everything the client said about being contacted, newest first, with who wrote it down."""
    rows = db.session.execute(
        select(Consent, User.name)
        .outerjoin(User, User.id == Consent.actor_id)
        .where(Consent.client_id.in_(records))
        .order_by(Consent.at.desc(), Consent.id.desc())
        .limit(limit)
    )
    return [StatementLine(*row) for row in rows]


def pause_until(client: Client) -> datetime | None:
    """Until when the client wants no marketing; None: no pause."""
    return paused_until(client.id)
