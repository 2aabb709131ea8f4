"""What became of a campaign for one client: its messages, every event of them, replies, contacts and openings."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from app.advising.models import AdviserTask, ContactResult
from app.campaigns.models import Campaign, Step
from app.channels.models import ChannelAccount
from app.core.extensions import db
from app.delivery.models import Batch, Message, MessageState
from app.tracking.models import AccountOpening, Attribution, Event, Reply
from app.tracking.openings.models import CountedOpening
from app.users.models import User

SHOWN = 200


@dataclass(frozen=True, slots=True)
class MessageLine:
    """One message of the campaign to the client. `position` is that of its step, from 0; `words` the number of the
    version of its words; `due_at` when its batch is looked at next, while it is not settled."""

    message: Message
    position: int
    account: str | None
    variant: str | None
    words: int | None
    due_at: datetime | None

    @property
    def can_be_seen(self) -> bool:
        """Whether the message can be shown as the client got, or was to get, it."""
        left = (MessageState.SENT, MessageState.UNCONFIRMED, MessageState.HANDING)
        return self.message.channel in ("email", "sms", "call") and self.message.state in left


@dataclass(frozen=True, slots=True)
class EventLine:
    """One raw hit or report with its verdict: a machine's (True), a person's (False), or not yet judged (None)."""

    at: datetime
    kind: str
    source: str
    link: str | None
    machine: bool | None
    reasons: list[str]
    channel: str


@dataclass(frozen=True, slots=True)
class ContactLine:
    at: datetime
    actor: str
    outcome: str
    note: str | None


@dataclass(frozen=True, slots=True)
class OpeningLine:
    """An account opening of the client. `weight` is what the campaign claims of it (None: nothing), `others` the names
    of the other campaigns that claim it too."""

    opening: AccountOpening
    weight: Decimal | None
    effective_on: date | None
    brought_in: Decimal | None
    others: list[str]


def message_lines(campaign: Campaign, records: Sequence[int]) -> list[MessageLine]:
    """The client's messages of the campaign, in the order of its runs and steps."""
    rows = db.session.execute(
        select(Message, Step.position, ChannelAccount.name, Batch.variant, Batch.content_id, Batch.due_at)
        .join(Batch, Batch.id == Message.batch_id)
        .join(Step, Step.id == Message.step_id)
        .outerjoin(ChannelAccount, ChannelAccount.id == func.coalesce(Message.account_id, Batch.account_id))
        .where(Message.client_id.in_(records), Message.campaign_id == campaign.id)
        .order_by(Message.run_id, Step.position, Message.id)
        .limit(SHOWN)
    )
    return [
        MessageLine(
            message, position, account, variant, words, due_at if message.state == MessageState.PLANNED else None
        )
        for message, position, account, variant, words, due_at in rows
    ]


def event_lines(messages: Sequence[Message]) -> list[EventLine]:
    """Every hit and report about these messages in the order of time."""
    channels = {message.id: message.channel for message in messages}
    rows = db.session.execute(
        select(Event.at, Event.kind, Event.source, Event.link, Event.machine, Event.machine_reasons, Event.message_id)
        .where(Event.message_id.in_(channels))
        .order_by(Event.at, Event.id)
        .limit(SHOWN)
    )
    return [
        EventLine(
            at=row.at,
            kind=row.kind,
            source=row.source,
            link=row.link,
            machine=row.machine,
            reasons=[reason.strip() for reason in (row.machine_reasons or "").split(",") if reason.strip()],
            channel=channels[row.message_id],
        )
        for row in rows
    ]


def replies(campaign: Campaign, records: Sequence[int]) -> Sequence[Reply]:
    """What the client wrote back, in the order of time."""
    return db.session.scalars(
        select(Reply)
        .where(Reply.client_id.in_(records), Reply.campaign_id == campaign.id)
        .order_by(Reply.received_at, Reply.id)
        .limit(SHOWN)
    ).all()


def contact_lines(campaign: Campaign, records: Sequence[int]) -> list[ContactLine]:
    """What came of advisers' contacts that served a task of the campaign, in the order of time."""
    tasks = select(AdviserTask.id).where(AdviserTask.client_id.in_(records), AdviserTask.campaign_id == campaign.id)
    rows = db.session.execute(
        select(ContactResult.at, User.name, ContactResult.outcome, ContactResult.note)
        .join(User, User.id == ContactResult.actor_id)
        .where(
            ContactResult.client_id.in_(records), ContactResult.task_ids.overlap(func.array(tasks.scalar_subquery()))
        )
        .order_by(ContactResult.at, ContactResult.id)
        .limit(SHOWN)
    )
    return [ContactLine(*row) for row in rows]


def tasks_of(campaign: Campaign, records: Sequence[int]) -> list[tuple[AdviserTask, str | None]]:
    """The contact tasks of the campaign about the client, each with the adviser who has it."""
    rows = db.session.execute(
        select(AdviserTask, User.name)
        .outerjoin(User, User.id == AdviserTask.adviser_id)
        .where(AdviserTask.client_id.in_(records), AdviserTask.campaign_id == campaign.id)
        .order_by(AdviserTask.id)
        .limit(SHOWN)
    )
    return [(task, name) for task, name in rows]


def opening_lines(campaign: Campaign, records: Sequence[int]) -> list[OpeningLine]:
    """The client's account openings, in the order of time, and who claims each."""
    other, claim = aliased(Campaign), aliased(Attribution)
    names = (
        select(func.array_agg(other.name.distinct()))
        .join(claim, claim.campaign_id == other.id)
        .where(claim.opening_id == AccountOpening.id, other.id != campaign.id)
        .correlate(AccountOpening)
        .scalar_subquery()
    )
    weight = (
        select(func.sum(Attribution.weight))
        .where(Attribution.opening_id == AccountOpening.id, Attribution.campaign_id == campaign.id)
        .correlate(AccountOpening)
        .scalar_subquery()
    )
    rows = db.session.execute(
        select(AccountOpening, weight, CountedOpening.effective_on, CountedOpening.brought_in, names)
        .outerjoin(
            CountedOpening,
            (CountedOpening.opening_id == AccountOpening.id) & (CountedOpening.campaign_id == campaign.id),
        )
        .where(AccountOpening.client_id.in_(records))
        .order_by(AccountOpening.opened_at, AccountOpening.id)
        .limit(SHOWN)
    )
    return [
        OpeningLine(opening, claimed, effective, brought, list(others or []))
        for opening, claimed, effective, brought, others in rows
    ]
