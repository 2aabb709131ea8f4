"""Reads of the inbox: the lists with their counts, a reply with its thread, who may answer, and what is parked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Row, and_, func, or_, select, true

from app.campaigns.models import Campaign
from app.clients.models import Client
from app.clients.queries import sees_whole_book, visible_clients
from app.core.clock import now
from app.core.errors import NotFound
from app.core.extensions import db
from app.core.paging import Page, newest_first
from app.core.permissions import GRANTS, Permission
from app.delivery.models import Message
from app.tracking.mail.models import InboundMail
from app.tracking.models import TOPICS, ParkedSms, Reply
from app.tracking.replies.models import ReplyAnswer
from app.users.models import User

VIEWS = ("open", "mine", "unassigned", "overdue", "complaints", "closed", "automatic", "everything")
COUNTED = ("open", "mine", "unassigned", "overdue", "complaints")
SHOWN_PARKED = 100
LONGEST_THREAD = 200


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list is narrowed to; empty: not at all."""

    view: str = "open"
    topic: str = ""
    channel: str = ""
    campaign: str = ""
    search: str = ""


def _is_open() -> ColumnElement[bool]:
    return Reply.state == "open"


def _in_view(view: str, user: User) -> ColumnElement[bool]:
    match view:
        case "mine":
            return _is_open() & (Reply.assigned_to_id == user.id)
        case "unassigned":
            return _is_open() & Reply.assigned_to_id.is_(None)
        case "overdue":
            return and_(_is_open(), Reply.due_at < now(), Reply.answered_at.is_(None))
        case "complaints":
            return _is_open() & (Reply.topic == "complaint")
        case "closed":
            return and_(Reply.state == "closed", Reply.kind != "auto_reply")
        case "automatic":
            return Reply.kind == "auto_reply"
        case "everything":
            return true()
    return _is_open()


def inbox_page(filters: Filters, *, user: User, newer_than: int | None, older_than: int | None) -> Page:
    """Replies of the clients a person may see, newest first."""
    query = (
        select(
            Reply.id, Reply.kind, Reply.topic, Reply.channel, Reply.state, Reply.subject, Reply.due_at,
            Reply.answered_at, Reply.matched_by, func.left(Reply.text, 400).label("text"), Reply.received_at,
            Client.number, Client.name, Campaign.code, Campaign.name.label("campaign"), User.name.label("assignee"),
        )
        .join(Client, Client.id == Reply.client_id)
        .join(Campaign, Campaign.id == Reply.campaign_id)
        .outerjoin(User, User.id == Reply.assigned_to_id)
        .where(visible_clients(user), _in_view(filters.view, user))
    )  # fmt: skip
    if filters.topic in TOPICS:
        query = query.where(Reply.topic == filters.topic)
    if filters.channel in ("email", "sms"):
        query = query.where(Reply.channel == filters.channel)
    if filters.campaign:
        query = query.where(Campaign.code == filters.campaign)
    if filters.search:
        query = query.where(Reply.search.op("@@")(func.search_query(filters.search)))
    return newest_first(query, Reply.id.expression, newer_than=newer_than, older_than=older_than)


def counts(user: User) -> dict[str, int]:
    """How many open replies are in each view that people work through."""
    row = db.session.execute(
        select(*(func.count().filter(_in_view(view, user)).label(view) for view in COUNTED))
        .select_from(Reply)
        .join(Client, Client.id == Reply.client_id)
        .where(visible_clients(user), _is_open())
    ).one()
    return {view: int(getattr(row, view)) for view in COUNTED}


def campaigns_with_replies() -> Sequence[Row[str, str]]:
    """Code and name of the newest campaigns that anybody answered."""
    return db.session.execute(
        select(Campaign.code, Campaign.name)
        .where(select(Reply.id).where(Reply.campaign_id == Campaign.id).exists())
        .order_by(Campaign.id.desc())
        .limit(100)
    ).all()


# ---- One reply ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shown:
    """A reply with all that its page says of it."""

    reply: Reply
    client: Client
    campaign: Campaign
    message: Message
    assignee: User | None
    other_sender: bool  # the address that wrote is not the client's own


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing of a client's thread: a reply of theirs (`reply`), or an answer of staff (`answer`)."""

    at: datetime
    reply: Reply | None = None
    answer: ReplyAnswer | None = None
    campaign: str = ""


def find_reply(reply_id: int, *, user: User) -> Shown:
    """A reply with what it answers, where the person may see the client; else NotFound."""
    row = db.session.execute(
        select(Reply, Client, Campaign, Message, User)
        .join(Client, Client.id == Reply.client_id)
        .join(Campaign, Campaign.id == Reply.campaign_id)
        .join(Message, Message.id == Reply.message_id)
        .outerjoin(User, User.id == Reply.assigned_to_id)
        .where(Reply.id == reply_id, visible_clients(user))
    ).one_or_none()
    if row is None:
        raise NotFound
    reply, client, campaign, message, assignee = row
    own = (client.email if reply.channel == "email" else client.mobile) or ""
    other = reply.sender != "" and reply.sender.lower() != own.lower()
    return Shown(reply, client, campaign, message, assignee, other)


def find_answer(answer_id: int, *, user: User) -> ReplyAnswer:
    """An answer, where the person may see the client; else NotFound."""
    found = db.session.scalar(
        select(ReplyAnswer)
        .join(Reply, Reply.id == ReplyAnswer.reply_id)
        .join(Client, Client.id == Reply.client_id)
        .where(ReplyAnswer.id == answer_id, visible_clients(user))
    )
    if found is None:
        raise NotFound
    return found


def thread_of(client_id: int) -> list[Entry]:
    """All that the client wrote and was answered, the oldest first; of a long thread the newest part."""
    replies = db.session.execute(
        select(Reply, Campaign.name)
        .join(Campaign, Campaign.id == Reply.campaign_id)
        .where(Reply.client_id == client_id)
        .order_by(Reply.id.desc())
        .limit(LONGEST_THREAD)
    ).all()
    answers = db.session.scalars(
        select(ReplyAnswer)
        .where(ReplyAnswer.reply_id.in_([reply.id for reply, _ in replies]))
        .order_by(ReplyAnswer.id.desc())
        .limit(LONGEST_THREAD)
    )
    entries = [Entry(reply.received_at, reply=reply, campaign=campaign) for reply, campaign in replies]
    entries += [Entry(answer.created_at, answer=answer) for answer in answers]
    return sorted(entries, key=lambda entry: entry.at)


def next_open(*, user: User, after: int) -> int | None:
    """The open reply that is due soonest, of those that are nobody's or the person's own; not `after`."""
    return db.session.scalar(
        select(Reply.id)
        .join(Client, Client.id == Reply.client_id)
        .where(
            visible_clients(user),
            _is_open(),
            Reply.id != after,
            or_(Reply.assigned_to_id.is_(None), Reply.assigned_to_id == user.id),
        )
        .order_by(Reply.due_at, Reply.id)
        .limit(1)
    )


def possible_assignees(client: Client) -> Sequence[User]:
    """Who may be given a reply of the client: their advisers, and staff of their branch and those above it."""
    roles = [role.value for role, granted in GRANTS.items() if Permission.MANAGE_REPLIES in granted]
    above = [int(part) for part in client.branch.path.split("/") if part]
    return db.session.scalars(
        select(User)
        .where(
            User.active,
            User.frozen_at.is_(None),
            User.roles.overlap(roles),
            or_(
                User.id.in_([one for one in (client.adviser_id, client.second_adviser_id) if one is not None]),
                and_(User.branch_id.in_(above), User.roles != ["adviser"]),
            ),
        )
        .order_by(User.name, User.id)
        .limit(200)
    ).all()


# ---- Parked ---------------------------------------------------------------------------------------------------------


def may_see_parked(user: User) -> bool:
    """Parked mail is of nobody that is known, so only those who see every client see it."""
    return sees_whole_book(user)


def parked_mails() -> Sequence[InboundMail]:
    """What waits for a person, the newest first."""
    return db.session.scalars(
        select(InboundMail).where(InboundMail.state == "parked").order_by(InboundMail.id.desc()).limit(SHOWN_PARKED)
    ).all()


def parked_sms() -> Sequence[ParkedSms]:
    """SMS of numbers that nothing was sent to, the newest first."""
    return db.session.scalars(
        select(ParkedSms).where(ParkedSms.settled_at.is_(None)).order_by(ParkedSms.id.desc()).limit(SHOWN_PARKED)
    ).all()


def count_parked() -> int:
    """How many mails and SMS are parked."""
    mails = select(func.count()).select_from(InboundMail).where(InboundMail.state == "parked").scalar_subquery()
    texts = select(func.count()).select_from(ParkedSms).where(ParkedSms.settled_at.is_(None)).scalar_subquery()
    return int(db.session.scalar(select(mails + texts)) or 0)


def find_mail(mail_id: int) -> InboundMail:
    """A mail that came in; NotFound where there is none."""
    found = db.session.get(InboundMail, mail_id) if mail_id < 1 << 62 else None
    if found is None:
        raise NotFound
    return found
