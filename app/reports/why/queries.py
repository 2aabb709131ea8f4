"""Everything about one client and one campaign, for the page that answers why they did or did not get it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time

from sqlalchemy import func, select

from app.advising.models import AdviserTask
from app.campaigns.models import Campaign
from app.campaigns.queries import HistoryLine, history, visible_to
from app.campaigns.sending_rules import open_hours, rules_in_force
from app.campaigns.step_kinds import contacts_of
from app.clients.listing import Filters, filter_conditions
from app.clients.models import Client
from app.clients.queries import record_ids, visible_clients
from app.core.extensions import db
from app.delivery.models import Message, Run, RunSplit
from app.reports.why import happened, standing
from app.reports.why.verdicts import Answer, answer
from app.tracking.models import Reply
from app.users.models import User

FOUND = 20
CAMPAIGNS_SHOWN = 50
# What was decided about the campaign, and by whom: who approves what is among the answers.
DECISIONS = {
    "campaign.submitted", "campaign.approved", "campaign.returned", "campaign.withdrawn", "campaign.held",
    "campaign.audience_accepted", "campaign.launched", "campaign.paused", "campaign.resumed", "campaign.cancelled",
    "campaign.revising", "campaign.clients_checked", "campaign.rest_sent",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """When messages of the campaign may leave by a channel, by the client's clock (None: at any time), and how many a
    client may get in a period."""

    channel: str
    opens: time | None
    closes: time | None
    caps: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Control:
    """Whether the client is in the control group of the run. `share`: with what chance those like them were drawn."""

    drawn: bool
    share: float | None


@dataclass(frozen=True, slots=True)
class Why:
    """The page. `run` is the newest launch that knows the client, else the newest one (None: none yet)."""

    answer: Answer
    run: Run | None
    in_audience: bool
    in_part: bool
    control: Control
    segments: list[standing.SegmentLine]
    reasons: list[standing.ReasonLine]
    consents: list[standing.ConsentLine]
    statements: list[standing.StatementLine]
    paused_until: datetime | None
    rules: list[ChannelRules]
    decisions: list[HistoryLine]
    messages: list[happened.MessageLine]
    events: list[happened.EventLine]
    replies: Sequence[Reply]
    tasks: list[tuple[AdviserTask, str | None]]
    contacts: list[happened.ContactLine]
    openings: list[happened.OpeningLine]


def why(campaign: Campaign, client: Client) -> Why:
    """Everything about this client and this campaign. The caller has made sure that the reader may see both."""
    records = record_ids(client.id)
    run = _run_for(campaign, records)
    in_audience = run is not None and run.audience is not None and _among(records, run.audience.client_ids)
    control = _control(run, records)
    in_part = standing.in_owners_part(campaign, client)
    segments = standing.segment_lines(campaign, client, run=run, records=records)
    reasons = standing.reason_lines(campaign, client)
    messages = happened.message_lines(campaign, records)
    rows = [line.message for line in messages]
    return Why(
        answer=answer(
            campaign,
            client,
            run=run,
            messages=rows,
            in_audience=in_audience,
            in_control=control.drawn,
            in_part=in_part,
            segments=segments,
            reasons=reasons,
            channels=len(contacts_of(campaign)),
        ),
        run=run,
        in_audience=in_audience,
        in_part=in_part,
        control=control,
        segments=segments,
        reasons=reasons,
        consents=standing.consent_lines(campaign, client, run=run, records=records),
        statements=standing.statements(records),
        paused_until=standing.pause_until(client),
        rules=_rules(campaign),
        decisions=[line for line in reversed(history(campaign, limit=500)) if line.action in DECISIONS],
        messages=messages,
        events=happened.event_lines(rows),
        replies=happened.replies(campaign, records),
        tasks=happened.tasks_of(campaign, records),
        contacts=happened.contact_lines(campaign, records),
        openings=happened.opening_lines(campaign, records),
    )


def _among(records: Sequence[int], ids: object) -> bool:
    return any(record in ids for record in records)  # type: ignore[operator]


def _run_for(campaign: Campaign, records: Sequence[int]) -> Run | None:
    newest: Run | None = None
    for run in db.session.scalars(select(Run).where(Run.campaign_id == campaign.id).order_by(Run.number.desc())):
        newest = newest or run
        if run.audience is not None and _among(records, run.audience.client_ids):
            return run
    return newest


def _control(run: Run | None, records: Sequence[int]) -> Control:
    if run is None:
        return Control(False, None)
    for split in db.session.scalars(select(RunSplit).where(RunSplit.run_id == run.id)):
        if _among(records, split.assigned.client_ids):
            return Control(_among(records, run.control_ids), split.control_share)
    return Control(_among(records, run.control_ids), None)


def _rules(campaign: Campaign) -> list[ChannelRules]:
    """What holds at the moment of sending: the campaign's own window, the firm's quiet hours and caps, as now."""
    firm = rules_in_force()
    lines = []
    for channel in contacts_of(campaign):
        opens, closes = open_hours(campaign, channel=channel, rules=firm)
        all_day = opens == closes == time()
        caps = firm.caps.get(channel, {}) if campaign.purpose == "marketing" else {}
        lines.append(ChannelRules(channel, None if all_day else opens, None if all_day else closes, caps))
    return lines


@dataclass(frozen=True, slots=True)
class CampaignLine:
    """A campaign that knows the client, with what became of the client's last message (None: no message)."""

    code: str
    name: str
    launched_at: datetime | None
    message: Message | None


def campaigns_of(client: Client, *, viewer: User) -> list[CampaignLine]:
    """Campaigns that had a message for the client, the newest first. Those that left the client out, or drew them for
    the control group, are found by the search on the campaign: who is in a frozen set is not indexed by client."""
    last = (
        select(func.max(Message.id)).where(Message.client_id.in_(record_ids(client.id))).group_by(Message.campaign_id)
    )
    rows = db.session.execute(
        select(Campaign.code, Campaign.name, Campaign.launched_at, Message)
        .join(Message, Message.campaign_id == Campaign.id)
        .where(Message.id.in_(last), visible_to(viewer))
        .order_by(Message.id.desc())
        .limit(CAMPAIGNS_SHOWN)
    )
    return [CampaignLine(*row) for row in rows]


def recent_campaigns(*, viewer: User, limit: int = CAMPAIGNS_SHOWN) -> list[tuple[str, str]]:
    """Code and name of the campaigns launched last that the viewer may see, to ask about."""
    rows = db.session.execute(
        select(Campaign.code, Campaign.name)
        .where(Campaign.launched_at.is_not(None), visible_to(viewer))
        .order_by(Campaign.launched_at.desc(), Campaign.id.desc())
        .limit(limit)
    )
    return [(row.code, row.name) for row in rows]


@dataclass(frozen=True, slots=True)
class FoundClient:
    number: str
    name: str | None


def clients_matching(typed: str, *, viewer: User) -> list[FoundClient]:
    """Visible clients whom the client list finds by these words; an exact number alone."""
    wanted = typed.replace("\x00", "").strip()[:100]
    if not wanted:
        return []
    columns = (Client.number, Client.name)
    exact = db.session.execute(select(*columns).where(Client.number == wanted, visible_clients(viewer))).all()
    rows = exact or db.session.execute(
        select(*columns)
        .where(visible_clients(viewer), *filter_conditions(Filters(search=wanted)))
        .order_by(Client.number)
        .limit(FOUND)
    )
    return [FoundClient(*row) for row in rows]
