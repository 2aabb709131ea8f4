"""What a campaign brought, for the whole audience and for each segment it reports by.

Which clients had which outcome is kept as Roaring bitmaps (`outcomes`). A segment's figures are intersections with the
set of clients that was frozen at launch, a fraction of a millisecond each, so neither the number of segments nor of
messages matters much. Figures count clients, not events: who opened five times, or on two channels, is one.

The sets are nested by construction - opened, clicked, replied, unsubscribed and complained lie within delivered,
delivered and bounced within sent, all of them, the contact results and the account openings within targeted - so no
rate can exceed 100 %. A contact result is what an adviser noted after a call or visit; "replied" means that the client
wrote.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from flask_babel import gettext as _
from pyroaring import BitMap64
from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import joinedload

from app.advising.models import AdviserTask
from app.audiences.models import Snapshot
from app.audiences.snapshots import packed, unpacked
from app.campaigns.models import Campaign, Step
from app.clients.queries import sees_whole_book
from app.core.extensions import db
from app.delivery.models import Message, Run, RunSegment
from app.reports.outcomes.models import Fact
from app.reports.outcomes.queries import Sets, outcome_sets
from app.reports.scope import message_scope, run_scopes
from app.statistics.intervals import Interval, wilson
from app.tracking.models import Attribution
from app.users.models import User


class Outcome(StrEnum):
    """What a figure counts. The values are the names of Row's attributes and of the drill-down's addresses."""

    TARGETED = "targeted"
    SENT = "sent"
    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    REPLIED = "replied"
    CONTACT_RESULTS = "contact_results"
    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    MACHINE_OPENED = "machine_opened"
    MACHINE_CLICKED = "machine_clicked"
    ACCOUNTS_OPENED = "accounts_opened"
    WAITING = "waiting"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"
    CANCELLED = "cancelled"


class Delivery(StrEnum):
    """How it is known that messages arrived: the vendors report it, or what was accepted and did not bounce counts."""

    RECEIPTS = "receipts"
    ACCEPTANCE = "acceptance"
    BOTH = "both"


# What the table shows in files, and on pages as far as `columns_of` says, in this order.
COLUMNS = (
    Outcome.TARGETED,
    Outcome.SENT,
    Outcome.DELIVERED,
    Outcome.OPENED,
    Outcome.CLICKED,
    Outcome.REPLIED,
    Outcome.CONTACT_RESULTS,
    Outcome.UNSUBSCRIBED,
    Outcome.ACCOUNTS_OPENED,
)
FURTHER = (
    Outcome.MACHINE_OPENED,
    Outcome.MACHINE_CLICKED,
    Outcome.BOUNCED,
    Outcome.COMPLAINED,
    Outcome.FAILED,
    Outcome.SKIPPED,
    Outcome.UNCONFIRMED,
    Outcome.WAITING,
    Outcome.CANCELLED,
)


def columns_of(campaign: Campaign) -> tuple[Outcome, ...]:
    """What the table of a campaign shows on pages: contact results only where advisers are asked to call or visit."""
    calls = any(step.channel == "call" for step in campaign.steps)
    return tuple(outcome for outcome in COLUMNS if calls or outcome is not Outcome.CONTACT_RESULTS)


# What each figure is a share of. The funnel's first step has nothing above it.
DENOMINATORS: dict[Outcome, Outcome] = {
    Outcome.SENT: Outcome.TARGETED,
    Outcome.DELIVERED: Outcome.SENT,
    Outcome.OPENED: Outcome.DELIVERED,
    Outcome.CLICKED: Outcome.DELIVERED,
    Outcome.REPLIED: Outcome.DELIVERED,
    Outcome.CONTACT_RESULTS: Outcome.TARGETED,
    Outcome.UNSUBSCRIBED: Outcome.DELIVERED,
    Outcome.COMPLAINED: Outcome.DELIVERED,
    Outcome.MACHINE_OPENED: Outcome.DELIVERED,
    Outcome.MACHINE_CLICKED: Outcome.DELIVERED,
    Outcome.BOUNCED: Outcome.SENT,
    Outcome.ACCOUNTS_OPENED: Outcome.TARGETED,
    Outcome.WAITING: Outcome.TARGETED,
    Outcome.SKIPPED: Outcome.TARGETED,
    Outcome.FAILED: Outcome.TARGETED,
    Outcome.UNCONFIRMED: Outcome.TARGETED,
    Outcome.CANCELLED: Outcome.TARGETED,
}


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its parts and its 95 % Wilson interval (None where there is nothing to divide by)."""

    numerator: int
    denominator: int
    interval: Interval | None

    @property
    def share(self) -> float | None:
        return self.numerator / self.denominator if self.denominator else None


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one segment (or, with segment_id None, of the whole audience): unique clients each."""

    name: str
    segment_id: int | None
    key: str = ""
    targeted: int = 0
    sent: int = 0
    delivered: int = 0
    opened: int = 0
    clicked: int = 0
    replied: int = 0
    contact_results: int = 0
    unsubscribed: int = 0
    bounced: int = 0
    complained: int = 0
    machine_opened: int = 0
    machine_clicked: int = 0
    accounts_opened: int = 0
    waiting: int = 0
    skipped: int = 0
    failed: int = 0
    unconfirmed: int = 0
    cancelled: int = 0

    def count(self, outcome: Outcome) -> int:
        value: int = getattr(self, outcome.value)
        return value

    def rate(self, outcome: Outcome) -> Rate:
        """The figure as a share of its denominator (see DENOMINATORS)."""
        whole = self.count(DENOMINATORS[outcome])
        part = self.count(outcome)
        return Rate(part, whole, wilson(part, whole))


Frozen = list[tuple[int, str, BitMap64]]
"""Id, name and clients of segments."""


@dataclass(frozen=True, slots=True)
class Response:
    """A campaign's response: the whole audience apart, then its segments in the order of the campaign.

    `channels` are named by their channel; who got two messages is in both. `pending` clients changed after `as_of` and
    are being counted. `exclusions`, {reason: clients}, were counted at launch over the whole firm and are empty for
    those who see only a part of it. `frozen` are the clients of the segments, as `frozen_segments` reads them.
    """

    total: Row
    segments: list[Row]
    delivery: Delivery
    matched: int
    exclusions: dict[str, int]
    skipped: dict[str, int]
    failed: dict[str, int]
    channels: list[Row] = field(default_factory=list)
    pending: int = 0
    as_of: datetime | None = None
    frozen: Frozen = field(default_factory=list)

    @property
    def rows(self) -> list[Row]:
        return [self.total, *self.segments]

    @property
    def receipts(self) -> bool:
        """Whether a vendor reports the delivery of every message."""
        return self.delivery is Delivery.RECEIPTS


@dataclass(slots=True)
class Ledger:
    """The clients of one campaign by outcome, and by reason where a message was skipped or failed."""

    clients: dict[Outcome, BitMap64] = field(default_factory=lambda: {outcome: BitMap64() for outcome in Outcome})
    skipped: dict[str, BitMap64] = field(default_factory=dict)
    failed: dict[str, BitMap64] = field(default_factory=dict)
    receipts: bool = False
    acceptance: bool = False

    @property
    def delivery(self) -> Delivery:
        if not self.receipts:
            return Delivery.ACCEPTANCE
        return Delivery.BOTH if self.acceptance else Delivery.RECEIPTS


def campaign_response(campaign: Campaign, viewer: User | None = None) -> Response:
    """The response of a campaign over all its runs, as far as the viewer sees the clients (None: all of them)."""
    runs = campaign_runs(campaign)
    counted = ledgers(runs, viewer=viewer)
    ledger = counted.campaigns.get(campaign.id, Ledger())
    frozen = frozen_segments(runs)
    whole_firm = viewer is None or sees_whole_book(viewer)
    exclusions: Counter[str] = Counter()
    for run in runs if whole_firm else ():
        exclusions.update(run.exclusions)
    return Response(
        total=_row(_("Whole audience"), None, ledger),
        segments=[_row(name, segment_id, ledger, ids) for segment_id, name, ids in frozen],
        delivery=ledger.delivery,
        matched=sum(run.matched for run in runs) if whole_firm else 0,
        exclusions=dict(exclusions.most_common()),
        skipped=_by_size(ledger.skipped),
        failed=_by_size(ledger.failed),
        channels=[
            _row(channel, None, counted.channels[campaign_id, channel]) for campaign_id, channel in counted.channels
        ],
        pending=counted.pending,
        as_of=counted.as_of,
        frozen=frozen,
    )


def rows_of(campaign: Campaign, groups: Sequence[tuple[str, str, BitMap64]], viewer: User | None = None) -> list[Row]:
    """The figures of any sets of clients (key, name, clients), in their order."""
    ledger = ledgers(campaign_runs(campaign), viewer=viewer).campaigns.get(campaign.id, Ledger())
    return [_row(name, None, ledger, ids, key=key) for key, name, ids in groups]


def headlines(campaigns: Sequence[Campaign], viewer: User | None = None) -> dict[int, Row]:
    """The whole-audience row of several campaigns, by campaign id, in one pass over their ledger rows."""
    runs = _runs(Run.campaign_id.in_([campaign.id for campaign in campaigns]))
    found = ledgers(runs, viewer=viewer).campaigns
    return {campaign.id: _row(campaign.name, None, found.get(campaign.id, Ledger())) for campaign in campaigns}


def outcome_clients(
    campaign: Campaign,
    outcome: Outcome,
    *,
    segment_id: int | None = None,
    channel: str | None = None,
    within: BitMap64 | None = None,
    viewer: User | None = None,
) -> BitMap64:
    """The ids of the clients that one figure of the report counts: the same sets, so the same number.

    `within` cuts it down to a group of clients, `channel` to what was sent on one.
    """
    runs = campaign_runs(campaign)
    counted = ledgers(runs, viewer=viewer)
    ledger = counted.channels.get((campaign.id, channel)) if channel else counted.campaigns.get(campaign.id)
    if ledger is None:
        return BitMap64()
    found = ledger.clients[outcome]
    if within is not None:
        found = found & within
    if segment_id is None:
        return found
    segments = {known: ids for known, _name, ids in frozen_segments(runs)}
    return found & segments.get(segment_id, BitMap64())


def campaign_runs(campaign: Campaign) -> Sequence[Run]:
    """The launches of a campaign, oldest first."""
    return _runs(Run.campaign_id == campaign.id)


def _runs(condition: ColumnElement[bool]) -> Sequence[Run]:
    """Runs with their frozen audiences, which the figures begin from."""
    query = select(Run).options(joinedload(Run.audience), joinedload(Run.control)).where(condition).order_by(Run.number)
    return db.session.scalars(query).all()


def frozen_segments(runs: Sequence[Run]) -> Frozen:
    """Those of a report as frozen at launch, in the campaign's order; several runs are united."""
    united: dict[int, tuple[str, BitMap64]] = {}
    rows = db.session.scalars(
        select(RunSegment)
        .options(joinedload(RunSegment.snapshot))
        .where(RunSegment.run_id.in_([run.id for run in runs]))
        .order_by(RunSegment.position, RunSegment.segment_id, RunSegment.run_id)
    )
    for row in rows:
        ids = row.snapshot.client_ids
        if row.segment_id in united:
            ids |= united[row.segment_id][1]
        united[row.segment_id] = (row.snapshot.name, ids)
    return [(segment_id, name, ids) for segment_id, (name, ids) in united.items()]


def segment_name(campaign: Campaign, segment_id: int) -> str | None:
    """The name a segment had when the campaign was launched; None where the campaign is not reported by it."""
    return db.session.scalar(
        select(Snapshot.name)
        .join(RunSegment, RunSegment.snapshot_id == Snapshot.id)
        .join(Run, Run.id == RunSegment.run_id)
        .where(Run.campaign_id == campaign.id, RunSegment.segment_id == segment_id)
        .order_by(Run.number.desc())
        .limit(1)
    )


@dataclass(frozen=True, slots=True)
class Ledgers:
    """The ledger of each campaign and of each channel of a campaign, as far as they are counted."""

    campaigns: dict[int, Ledger]
    channels: dict[tuple[int, str], Ledger]
    pending: int = 0
    as_of: datetime | None = None


def ledgers(runs: Sequence[Run], *, viewer: User | None) -> Ledgers:
    """The ledgers of the campaigns that the runs belong to, from the outcome sets, as far as the viewer sees."""
    found: dict[int, Ledger] = {run.campaign_id: Ledger() for run in runs}
    if not runs:
        return Ledgers(found, {})
    counted = outcome_sets([run.id for run in runs])
    scopes = run_scopes(runs, viewer)
    by_id = {run.id: run for run in runs}
    reporting = _reporting(counted.sets)
    channels = _channels({step_id for _run, step_id in counted.sets})
    by_channel: dict[tuple[int, str], Ledger] = {}
    for (run_id, step_id), sets in counted.sets.items():
        campaign_id = by_id[run_id].campaign_id
        scope = None if scopes is None else scopes[run_id]
        for ledger in (found[campaign_id], by_channel.setdefault((campaign_id, channels[step_id]), Ledger())):
            add_sets(ledger, sets, reporting=reporting[step_id], scope=scope)
    if scopes is None:
        for run in runs:
            _add_unplanned(found[run.campaign_id], run)
    _add_clients(found, Outcome.ACCOUNTS_OPENED, _openings(found, viewer))
    _add_clients(found, Outcome.CONTACT_RESULTS, _contacts(found, viewer))
    return Ledgers(found, by_channel, counted.pending, counted.as_of)


def _reporting(counted: Mapping[tuple[int, int], Sets]) -> dict[int, set[str]]:
    """The accounts that report what was delivered, by step: those of which any message has a receipt."""
    found: dict[int, set[str]] = {step_id: set() for _run, step_id in counted}
    for (_run, step_id), sets in counted.items():
        receipts = sets.get((Fact.RECEIPT, ""), BitMap64())
        found[step_id] |= {
            account for (fact, account), sent in sets.items() if fact is Fact.SENT and not sent.isdisjoint(receipts)
        }
    return found


def _channels(step_ids: Collection[int]) -> dict[int, str]:
    rows = db.session.execute(select(Step.id, Step.channel).where(Step.id.in_(step_ids)))
    return {row.id: row.channel for row in rows}


def _openings(campaign_ids: Collection[int], viewer: User | None) -> Select[int, bytes]:
    found = (
        select(Attribution.campaign_id, packed(Attribution.client_id.expression).label("ids"))
        .where(Attribution.campaign_id.in_(campaign_ids))
        .group_by(Attribution.campaign_id)
    )
    scope = message_scope(viewer)
    return found.join(Message, Message.id == Attribution.message_id).where(*scope) if scope else found


def _contacts(campaign_ids: Collection[int], viewer: User | None) -> Select[int, bytes]:
    return (
        select(AdviserTask.campaign_id, packed(Message.client_id.expression).label("ids"))
        .join(Message, Message.id == AdviserTask.message_id)
        .where(AdviserTask.campaign_id.in_(campaign_ids), AdviserTask.result.is_not(None), *message_scope(viewer))
        .group_by(AdviserTask.campaign_id)
    )


def _add_clients(found: dict[int, Ledger], outcome: Outcome, query: Select[int, bytes]) -> None:
    for campaign_id, ids in db.session.execute(query):
        sets = found[campaign_id].clients
        sets[outcome] = unpacked(ids) & sets[Outcome.TARGETED]


_STATES = {
    Fact.WAITING: Outcome.WAITING,
    Fact.SKIPPED: Outcome.SKIPPED,
    Fact.FAILED: Outcome.FAILED,
    Fact.UNCONFIRMED: Outcome.UNCONFIRMED,
    Fact.CANCELLED: Outcome.CANCELLED,
}
_ANSWERS = {
    Fact.OPENED: Outcome.OPENED,
    Fact.CLICKED: Outcome.CLICKED,
    Fact.REPLIED: Outcome.REPLIED,
    Fact.UNSUBSCRIBED: Outcome.UNSUBSCRIBED,
    Fact.COMPLAINED: Outcome.COMPLAINED,
    Fact.MACHINE_OPENED: Outcome.MACHINE_OPENED,
    Fact.MACHINE_CLICKED: Outcome.MACHINE_CLICKED,
}


def add_sets(ledger: Ledger, sets: Sets, *, reporting: Collection[str], scope: BitMap64 | None = None) -> None:
    """Add the clients of one run and step. What came back proves that it arrived, unless it is a bounce alone.

    `reporting`: the accounts that report what was delivered; of the others what was accepted and did not bounce was.
    """
    into = ledger.clients
    bounced: BitMap64 = sets.get((Fact.BOUNCED, ""), BitMap64())
    for (fact, reason), stored in sets.items():
        clients = stored if scope is None else stored & scope
        if not clients:
            continue
        if fact in _STATES:
            into[Outcome.TARGETED] |= clients
            into[_STATES[fact]] |= clients
            reasons = {Fact.SKIPPED: ledger.skipped, Fact.FAILED: ledger.failed}.get(fact)
            if reasons is not None:
                reasons[reason] = reasons.get(reason, BitMap64()) | clients
        elif fact is Fact.SENT:
            into[Outcome.TARGETED] |= clients
            into[Outcome.SENT] |= clients
            if reason in reporting:
                ledger.receipts = True
            else:
                ledger.acceptance = True
                into[Outcome.DELIVERED] |= clients - bounced
        elif fact is Fact.RECEIPT:
            into[Outcome.DELIVERED] |= clients
        elif fact is Fact.BOUNCED:
            into[Outcome.BOUNCED] |= clients
        else:
            into[Outcome.DELIVERED] |= clients
            into[_ANSWERS[fact]] |= clients
            if fact is Fact.CLICKED:  # proves an open, also where pictures are blocked
                into[Outcome.OPENED] |= clients


def _add_unplanned(ledger: Ledger, run: Run) -> None:
    """Add the clients of the frozen audience who have no message yet and are not in the control group.

    So it is while a launch is being planned or a winner is awaited, and for ever after where it was cancelled before.
    They have no branch as at sending: only the whole firm counts them.
    """
    if run.audience is not None:
        unplanned = run.audience.client_ids - ledger.clients[Outcome.TARGETED]
        if run.control is not None:
            unplanned -= run.control.client_ids
        ledger.clients[Outcome.TARGETED] |= unplanned
        ledger.clients[Outcome.CANCELLED if run.state == "cancelled" else Outcome.WAITING] |= unplanned


def _row(name: str, segment_id: int | None, ledger: Ledger, ids: BitMap64 | None = None, *, key: str = "") -> Row:
    counts = {
        outcome.value: len(clients) if ids is None else clients.intersection_cardinality(ids)
        for outcome, clients in ledger.clients.items()
    }
    return Row(name=name, segment_id=segment_id, key=key, **counts)


def _by_size(reasons: dict[str, BitMap64]) -> dict[str, int]:
    return {reason: len(ids) for reason, ids in sorted(reasons.items(), key=lambda item: -len(item[1]))}
