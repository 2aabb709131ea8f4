"""What a campaign brought, for the whole audience and for each segment it reports by.

The ledger is read once: PostgreSQL groups its rows by state and outcome and hands over the client ids of each
group, which become Roaring bitmaps. A segment's figures are then intersections with the set of clients that was
frozen at launch, a fraction of a millisecond each, so neither the number of segments nor of messages matters
much. Figures count clients, not events: who opened five times is one.

The sets are nested by construction - opened, clicked, replied, unsubscribed and complained lie within delivered,
delivered and bounced within sent, all of them, the contact results and the account openings within targeted - so no
rate can exceed 100 %. A contact result is what an adviser noted after a call or visit; "replied" means that the client
wrote.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from flask_babel import gettext as _
from pyroaring import BitMap64
from sqlalchemy import ARRAY, BigInteger, ColumnElement, Integer, cast, func, literal, select
from sqlalchemy.orm import joinedload

from app.advising.models import AdviserTask
from app.audiences.models import Snapshot
from app.campaigns.models import Campaign
from app.clients.models import Client
from app.clients.queries import clients_in_scope, sees_whole_book
from app.core.extensions import db
from app.core.permissions import Role
from app.delivery.models import Message, MessageState, Run, RunSegment
from app.statistics.intervals import Interval, wilson
from app.tracking.models import Attribution
from app.users.models import User
from app.users.queries import subtree_ids


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
    ACCOUNTS_OPENED = "accounts_opened"
    WAITING = "waiting"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"
    CANCELLED = "cancelled"


# What the table shows, on the page and in files, in this order.
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
    Outcome.BOUNCED,
    Outcome.COMPLAINED,
    Outcome.FAILED,
    Outcome.SKIPPED,
    Outcome.UNCONFIRMED,
    Outcome.WAITING,
    Outcome.CANCELLED,
)

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


@dataclass(frozen=True, slots=True)
class Response:
    """A campaign's response: the whole audience apart, then its segments in the order of the campaign.

    `receipts` says how delivery is known: True where a vendor reported it, False where a message that was
    accepted and did not bounce counts as delivered. `exclusions`, {reason: clients}, were counted at launch over
    the whole firm and are empty for those who see only a part of it.
    """

    total: Row
    segments: list[Row]
    receipts: bool
    matched: int
    exclusions: dict[str, int]
    skipped: dict[str, int]
    failed: dict[str, int]

    @property
    def rows(self) -> list[Row]:
        return [self.total, *self.segments]


@dataclass(slots=True)
class Ledger:
    """The clients of one campaign by outcome, and by reason where a message was skipped or failed."""

    clients: dict[Outcome, BitMap64] = field(default_factory=lambda: {outcome: BitMap64() for outcome in Outcome})
    skipped: dict[str, BitMap64] = field(default_factory=dict)
    failed: dict[str, BitMap64] = field(default_factory=dict)
    receipts: bool = False


def campaign_response(campaign: Campaign, viewer: User | None = None) -> Response:
    """The response of a campaign over all its runs, as far as the viewer sees the clients (None: all of them)."""
    runs = campaign_runs(campaign)
    ledger = ledgers(runs, viewer=viewer).get(campaign.id, Ledger())
    whole_firm = viewer is None or sees_whole_book(viewer)
    exclusions: Counter[str] = Counter()
    for run in runs if whole_firm else ():
        exclusions.update(run.exclusions)
    return Response(
        total=_row(_("Whole audience"), None, ledger),
        segments=[_row(name, segment_id, ledger, ids) for segment_id, name, ids in frozen_segments(runs)],
        receipts=ledger.receipts,
        matched=sum(run.matched for run in runs) if whole_firm else 0,
        exclusions=dict(exclusions.most_common()),
        skipped=_by_size(ledger.skipped),
        failed=_by_size(ledger.failed),
    )


def headlines(campaigns: Sequence[Campaign], viewer: User | None = None) -> dict[int, Row]:
    """The whole-audience row of several campaigns, by campaign id, in one pass over their ledger rows."""
    runs = _runs(Run.campaign_id.in_([campaign.id for campaign in campaigns]))
    found = ledgers(runs, viewer=viewer)
    return {campaign.id: _row(campaign.name, None, found.get(campaign.id, Ledger())) for campaign in campaigns}


def outcome_clients(
    campaign: Campaign, outcome: Outcome, *, segment_id: int | None = None, viewer: User | None = None
) -> BitMap64:
    """The ids of the clients that one figure of the report counts: the same sets, so the same number."""
    runs = campaign_runs(campaign)
    ledger = ledgers(runs, viewer=viewer).get(campaign.id, Ledger())
    found = ledger.clients[outcome]
    if segment_id is None:
        return found
    segments = {known: ids for known, _name, ids in frozen_segments(runs)}
    return found & segments.get(segment_id, BitMap64())


def campaign_runs(campaign: Campaign) -> Sequence[Run]:
    """The launches of a campaign, oldest first."""
    return _runs(Run.campaign_id == campaign.id)


def _runs(condition: ColumnElement[bool]) -> Sequence[Run]:
    """Runs with their frozen audiences, which the figures begin from."""
    query = select(Run).options(joinedload(Run.audience)).where(condition).order_by(Run.number)
    return db.session.scalars(query).all()


def frozen_segments(runs: Sequence[Run]) -> list[tuple[int, str, BitMap64]]:
    """Segment id, name and clients as frozen at launch, in the campaign's order; several runs are united."""
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


def message_scope(viewer: User | None) -> list[ColumnElement[bool]]:
    """Conditions on Message for what the viewer may count: sent to clients they may see.

    Who works for a branch counts what was sent for it, also where clients have joined it since. The clients of an
    adviser or a team belong to any branch.
    """
    if viewer is None or sees_whole_book(viewer):
        return []
    scope: list[ColumnElement[bool]] = [Message.client_id.in_(select(Client.id).where(clients_in_scope(viewer)))]
    if Role.ADVISER not in viewer.roles and not viewer.leads_team:
        scope.append(Message.branch_id.in_(subtree_ids(viewer.branch)))
    return scope


_MARKS = (
    Message.delivered_at,
    Message.opened_at,
    Message.clicked_at,
    Message.replied_at,
    Message.unsubscribed_at,
    Message.bounced_at,
    Message.complained_at,
)
_DELIVERED, _OPENED, _CLICKED, _REPLIED, _UNSUBSCRIBED, _BOUNCED, _COMPLAINED = (1 << n for n in range(len(_MARKS)))
_ANSWERED = _OPENED | _CLICKED | _REPLIED | _UNSUBSCRIBED | _COMPLAINED
_MARKED: dict[Outcome, int] = {
    Outcome.OPENED: _OPENED | _CLICKED,  # a click proves an open, also where pictures are blocked
    Outcome.CLICKED: _CLICKED,
    Outcome.REPLIED: _REPLIED,
    Outcome.UNSUBSCRIBED: _UNSUBSCRIBED,
    Outcome.BOUNCED: _BOUNCED,
    Outcome.COMPLAINED: _COMPLAINED,
}
_STATES: dict[MessageState, Outcome] = {
    MessageState.PLANNED: Outcome.WAITING,
    MessageState.HANDING: Outcome.WAITING,
    MessageState.SKIPPED: Outcome.SKIPPED,
    MessageState.FAILED: Outcome.FAILED,
    MessageState.UNCONFIRMED: Outcome.UNCONFIRMED,
    MessageState.CANCELLED: Outcome.CANCELLED,
}


def ledgers(runs: Sequence[Run], *, viewer: User | None) -> dict[int, Ledger]:
    """The ledger of each campaign that the runs belong to, by campaign id. One query for messages, one for openings."""
    found: dict[int, Ledger] = {run.campaign_id: Ledger() for run in runs}
    run_ids = [run.id for run in runs]
    if not run_ids:
        return found
    marks: ColumnElement[int] = literal(0, Integer)
    for position, column in enumerate(_MARKS):
        marks = marks + cast(column.is_not(None), Integer) * (1 << position)
    groups = db.session.execute(
        select(
            Message.campaign_id,
            Message.state,
            Message.reason,
            marks.label("marks"),
            func.array_agg(Message.client_id, type_=ARRAY(BigInteger)).label("clients"),
        )
        .where(Message.run_id.in_(run_ids), *message_scope(viewer))
        .group_by(Message.campaign_id, Message.state, Message.reason, "marks")
    ).all()
    for group in groups:
        if group.marks & _DELIVERED:
            found[group.campaign_id].receipts = True
    for group in groups:
        _add(found[group.campaign_id], group.state, group.reason, group.marks, BitMap64(group.clients))
    if viewer is None or sees_whole_book(viewer):
        for run in runs:
            _add_unplanned(found[run.campaign_id], run)
    openings = db.session.execute(
        select(Attribution.campaign_id, func.array_agg(Message.client_id, type_=ARRAY(BigInteger)).label("clients"))
        .join(Message, Message.id == Attribution.message_id)
        .where(Attribution.campaign_id.in_(found), *message_scope(viewer))
        .group_by(Attribution.campaign_id)
    ).all()
    for row in openings:
        ledger = found[row.campaign_id]
        ledger.clients[Outcome.ACCOUNTS_OPENED] = BitMap64(row.clients) & ledger.clients[Outcome.TARGETED]
    contacts = db.session.execute(
        select(AdviserTask.campaign_id, func.array_agg(Message.client_id, type_=ARRAY(BigInteger)).label("clients"))
        .join(Message, Message.id == AdviserTask.message_id)
        .where(AdviserTask.campaign_id.in_(found), AdviserTask.result.is_not(None), *message_scope(viewer))
        .group_by(AdviserTask.campaign_id)
    ).all()
    for row in contacts:
        ledger = found[row.campaign_id]
        ledger.clients[Outcome.CONTACT_RESULTS] = BitMap64(row.clients) & ledger.clients[Outcome.TARGETED]
    return found


def _add(ledger: Ledger, state: MessageState, reason: str | None, marks: int, ids: BitMap64) -> None:
    """Add the clients of one group of messages to every set that its state and marks put them in."""
    sets = ledger.clients
    sets[Outcome.TARGETED] |= ids
    # What came back proves that it left and, unless it is a bounce alone, that it arrived - whatever the state says.
    sent = state == MessageState.SENT or marks != 0
    accepted = not ledger.receipts and not marks & _BOUNCED
    if sent:
        sets[Outcome.SENT] |= ids
        if marks & (_DELIVERED | _ANSWERED) or accepted:
            sets[Outcome.DELIVERED] |= ids
    elif state in _STATES:
        sets[_STATES[state]] |= ids
        reasons = {Outcome.SKIPPED: ledger.skipped, Outcome.FAILED: ledger.failed}.get(_STATES[state])
        if reasons is not None:
            reasons[reason or ""] = reasons.get(reason or "", BitMap64()) | ids
    for outcome, proof in _MARKED.items():
        if marks & proof:
            sets[outcome] |= ids


def _add_unplanned(ledger: Ledger, run: Run) -> None:
    """Add the clients of the frozen audience who have no message yet: while a launch is being planned, or ever after
    where it was cancelled before that was done. They have no branch as at sending: only the whole firm counts them.
    """
    if run.audience is not None:
        unplanned = run.audience.client_ids - ledger.clients[Outcome.TARGETED]
        ledger.clients[Outcome.TARGETED] |= unplanned
        ledger.clients[Outcome.CANCELLED if run.state == "cancelled" else Outcome.WAITING] |= unplanned


def _row(name: str, segment_id: int | None, ledger: Ledger, ids: BitMap64 | None = None) -> Row:
    counts = {
        outcome.value: len(clients) if ids is None else clients.intersection_cardinality(ids)
        for outcome, clients in ledger.clients.items()
    }
    return Row(name=name, segment_id=segment_id, **counts)


def _by_size(reasons: dict[str, BitMap64]) -> dict[str, int]:
    return {reason: len(ids) for reason, ids in sorted(reasons.items(), key=lambda item: -len(item[1]))}
