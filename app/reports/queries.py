"""Reads behind the overview, the list of reports and the lists of clients."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter

from pyroaring import BitMap64
from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import aliased, joinedload

from app.advising.models import AdviserTask
from app.audiences.models import Segment
from app.campaigns.models import Campaign, State
from app.campaigns.queries import visible_to
from app.clients.models import Client
from app.clients.queries import visible_clients
from app.core.clock import now
from app.core.extensions import db
from app.core.paging import newest_first
from app.core.permissions import Permission, allows
from app.delivery.models import Batch, Message, Run
from app.reports.response import Outcome, Row, headlines
from app.reports.scope import message_scope
from app.tracking.models import AccountOpening, Attribution, Reply
from app.users.models import Branch, User

PAGE = 50
REPORTS_PAGE = 20
LARGEST_ID = 1 << 62  # an address may name any number; a set of ids holds none above this


# ---- Lists of campaigns ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a launched campaign is: messages of its ledger and those settled (sent, failed, skipped...)."""

    settled: int
    planned: int


@dataclass(frozen=True, slots=True)
class ReportPage:
    """Launched campaigns, the newest first, with their headline figures, and the ids to go on from (None at an end)."""

    lines: list[tuple[Campaign, Row]]
    newer_than: int | None
    older_than: int | None


def report_page(
    *,
    viewer: User,
    search: str = "",
    newer_than: int | None = None,
    older_than: int | None = None,
    size: int = REPORTS_PAGE,
) -> ReportPage:
    """One page of the campaigns that were launched and that the viewer may see."""
    query = select(Campaign, Campaign.id).where(visible_to(viewer), Campaign.launched_at.is_not(None))
    for word in search.split():
        query = query.where(
            or_(Campaign.name.icontains(word, autoescape=True), Campaign.code.icontains(word, autoescape=True))
        )
    page = newest_first(query, Campaign.id.expression, newer_than=newer_than, older_than=older_than, size=size)
    campaigns = [row[0] for row in page.rows]
    rows = headlines(campaigns, viewer) if campaigns else {}
    return ReportPage(
        lines=[(campaign, rows[campaign.id]) for campaign in campaigns],
        newer_than=page.newer,
        older_than=page.older,
    )


def campaigns_in(states: Sequence[State], *, viewer: User, limit: int = 10) -> Sequence[Campaign]:
    """Visible campaigns in these states, the soonest due and newest first."""
    return db.session.scalars(
        select(Campaign)
        .options(joinedload(Campaign.owner))
        .where(visible_to(viewer), Campaign.state.in_(states))
        .order_by(Campaign.send_at.asc().nulls_last(), Campaign.id.desc())
        .limit(limit)
    ).all()


def progress_of(campaigns: Sequence[Campaign]) -> dict[int, Progress]:
    """Progress by campaign id, from the tallies of the batches (no look at messages)."""
    settled = func.sum(Batch.sent + Batch.failed + Batch.skipped + Batch.unconfirmed)
    rows = db.session.execute(
        select(Run.campaign_id, settled.label("settled"), func.sum(Batch.size).label("planned"))
        .join(Batch, Batch.run_id == Run.id)
        .where(Run.campaign_id.in_([campaign.id for campaign in campaigns]))
        .group_by(Run.campaign_id)
    )
    return {row.campaign_id: Progress(int(row.settled), int(row.planned)) for row in rows}


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for this person, each 0 where there is nothing or the role has no part in it."""

    to_approve: int
    returned: int
    drafts: int
    to_launch: int
    replies: int

    def __bool__(self) -> bool:
        return any((self.to_approve, self.returned, self.drafts, self.to_launch, self.replies))


def waiting_for(viewer: User) -> Waiting:
    """The to-do list of the overview: two counts in the database, whatever the role."""
    mine = Campaign.owner_id == viewer.id
    returned = Campaign.returned_reason.is_not(None)
    others = Campaign.submitted_by_id.is_distinct_from(viewer.id)
    counts = db.session.execute(
        select(
            func.count().filter(Campaign.state == State.IN_REVIEW, others).label("to_approve"),
            func.count().filter(Campaign.state == State.DRAFT, mine, returned).label("returned"),
            func.count().filter(Campaign.state == State.DRAFT, mine, ~returned).label("drafts"),
            func.count().filter(Campaign.state == State.APPROVED).label("to_launch"),
        ).where(visible_to(viewer))
    ).one()
    edits = allows(viewer, Permission.EDIT_CAMPAIGNS)
    return Waiting(
        to_approve=counts.to_approve if allows(viewer, Permission.APPROVE_CAMPAIGNS) else 0,
        returned=counts.returned if edits else 0,
        drafts=counts.drafts if edits else 0,
        to_launch=counts.to_launch if allows(viewer, Permission.RUN_CAMPAIGNS) else 0,
        replies=_new_replies(viewer) if allows(viewer, Permission.MANAGE_REPLIES) else 0,
    )


def _new_replies(viewer: User) -> int:
    """Replies of the last seven days from clients the viewer may see."""
    query = select(func.count()).select_from(Reply).join(Message, Message.id == Reply.message_id)
    week = now() - timedelta(days=7)
    return db.session.scalar(query.where(Reply.kind == "reply", Reply.received_at >= week, *message_scope(viewer))) or 0


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """What a new firm has done already on the way to its first report."""

    clients: bool
    segments: bool
    campaigns: bool
    launched: bool


def first_steps() -> FirstSteps:
    """Four probes; no count, so it costs nothing on a large book."""
    return FirstSteps(
        clients=_any(select(Client.id)),
        segments=_any(select(Segment.id)),
        campaigns=_any(select(Campaign.id)),
        launched=_any(select(Campaign.id).where(Campaign.launched_at.is_not(None))),
    )


def _any(query: Select[int]) -> bool:
    return db.session.scalar(query.limit(1)) is not None


# ---- The clients behind a figure -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClientLine:
    """One client of a drill-down list with what became of their (last) message. Contact data is not masked yet."""

    number: str
    name: str | None
    email: str | None
    mobile: str | None
    branch: str
    adviser: str | None
    sent_at: datetime | None
    reason: str | None
    happened: list[tuple[Outcome, datetime]]


# What came back, by the time that tells of it. A click tells of an open too.
_TIMES = {
    Outcome.OPENED: func.least(Message.opened_at, Message.clicked_at),
    Outcome.CLICKED: Message.clicked_at,
    Outcome.REPLIED: Message.replied_at,
    Outcome.UNSUBSCRIBED: Message.unsubscribed_at,
    Outcome.BOUNCED: Message.bounced_at,
    Outcome.COMPLAINED: Message.complained_at,
}


def client_lines(campaign: Campaign, client_ids: Sequence[int], *, viewer: User | None) -> list[ClientLine]:
    """The lines of these clients, by client id; those the viewer may not see are left out."""
    called = aliased(Message)
    opening = (
        select(func.min(AccountOpening.opened_at))
        .join(Attribution, Attribution.opening_id == AccountOpening.id)
        .where(Attribution.campaign_id == campaign.id, AccountOpening.client_id == Client.id)
        .correlate(Client)
        .scalar_subquery()
    )
    contact = (
        select(func.max(AdviserTask.result_at))
        .join(called, called.id == AdviserTask.message_id)
        .where(AdviserTask.campaign_id == campaign.id, called.client_id == Client.id)
        .correlate(Client)
        .scalar_subquery()
    )
    facts = (Client.number, Client.name, Client.email, Client.mobile, Branch.name, User.name)
    rows = db.session.execute(
        select(*facts, Message.sent_at, Message.reason, *_TIMES.values(), contact, opening)
        .select_from(Client)
        .outerjoin(
            Message,
            and_(
                Message.client_id == Client.id,
                Message.run_id.in_(select(Run.id).where(Run.campaign_id == campaign.id)),
            ),
        )
        .join(Branch, Branch.id == Client.branch_id)
        .outerjoin(User, User.id == Client.adviser_id)
        .where(Client.id.in_(client_ids), visible_clients(viewer))
        .ext(distinct_on(Client.id))
        .order_by(Client.id, Message.id.desc().nulls_last())
    )
    outcomes = (*_TIMES, Outcome.CONTACT_RESULTS, Outcome.ACCOUNTS_OPENED)
    lines = []
    for row in rows:
        number, name, email, mobile, branch, adviser, sent_at, reason, *times = row
        at = zip(outcomes, times, strict=True)
        happened = sorted(((outcome, time) for outcome, time in at if time), key=itemgetter(1))
        lines.append(ClientLine(number, name, email, mobile, branch, adviser, sent_at, reason, happened))
    return lines


def ids_after(ids: BitMap64, after: int, size: int = PAGE) -> list[int]:
    """The next ids of a set above `after`, at most `size`: a page by key."""
    found: list[int] = []
    for client_id in ids.iter_equal_or_larger(min(max(0, after + 1), LARGEST_ID)):
        found.append(client_id)
        if len(found) == size:
            break
    return found


def ids_before(ids: BitMap64, before: int, size: int = PAGE) -> list[int]:
    """The last ids of a set below `before`, at most `size`, in rising order."""
    rank = ids.rank(min(before - 1, LARGEST_ID)) if before > 0 else 0
    return [ids[position] for position in range(max(0, rank - size), rank)]


def client_chunks(
    campaign: Campaign, ids: BitMap64, *, viewer: User | None, size: int = 2_000
) -> Iterator[list[ClientLine]]:
    """Every line of a list, some at a time, for an export: one query a chunk, memory bounded."""
    after = 0
    while chunk := ids_after(ids, after, size):
        yield client_lines(campaign, chunk, viewer=viewer)
        after = chunk[-1]
