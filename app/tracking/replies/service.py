"""Verbs on replies: what they are about, who answers, the answer itself, closing; and on mail that is parked."""

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select

from app.audit.service import record
from app.clients.models import Client
from app.clients.queries import visible_clients
from app.clients.service import withdraw_consent
from app.core.clock import now
from app.core.errors import AppError, Conflict, Forbidden
from app.core.extensions import db
from app.core.jobs import enqueue
from app.core.permissions import Permission, allows, require
from app.core.queues import TRACK
from app.delivery.models import Message
from app.tracking.mail.models import InboundMail
from app.tracking.mail.reading import Unreadable, body, charset, header, identity, parse, sender_address
from app.tracking.mail.receiving import READ_MAIL, raw_mail_of
from app.tracking.mail.reply_text import language_of, new_part
from app.tracking.models import TOPICS, Event, Reply
from app.tracking.replies.answering import SEND_ANSWER
from app.tracking.replies.keeping import Written, due_at, flag_complaint, keep_reply, unflag_complaint
from app.tracking.replies.models import ReplyAnswer
from app.users.models import User

MAX_ANSWER = 10_000
MAX_SMS_ANSWER = 500


class ComplaintsAreCompliances(Forbidden):
    message = _l("A complaint is closed, or called something else, by compliance.")


class AnsweredMeanwhile(Conflict):
    message = _l("Somebody answered, or the client wrote again, while you were writing. Read the thread first.")


class NoAddress(AppError):
    message = _l("The address that wrote is not known, so it cannot be answered here.")


class BadAnswer(AppError):
    message = _l("Please write an answer: up to 10,000 characters by e-mail, 500 by SMS.")


class NotTheirs(AppError):
    message = _l("Choose somebody who may answer this client's replies.")


class NothingSent(AppError):
    message = _l("This client was never sent a message that it could answer.")


# ---- Topic, assignment, state ---------------------------------------------------------------------------------------


def set_topic(*, reply: Reply, topic: str, actor: User) -> None:
    """Say what a reply is about. A complaint goes to compliance, and keeps the client out of marketing while open; an
    opt-out is honoured at once. Raises ComplaintsAreCompliances."""
    if topic not in TOPICS:
        raise AppError
    db.session.refresh(reply, with_for_update=True)
    before = reply.topic
    if topic == before and reply.topic_by_id is not None:
        return
    if before == "complaint" != topic:
        _require_compliance(actor)
    reply.topic, reply.topic_by_id = topic, actor.id
    if topic == "complaint" and reply.state == "open":
        flag_complaint(reply)
    elif before == "complaint":
        unflag_complaint(reply)
    if topic == "opt_out" and before != "opt_out":
        withdraw_consent(
            client_ids=[reply.client_id],
            channel=reply.channel,
            source="reply",
            wording=reply.text[:200] or reply.subject,
            at=now(),
            actor=actor,
        )
    _audit(reply, "topic", {"topic": [before, topic]}, actor)


def assign(*, reply: Reply, assignee: User | None, actor: User) -> None:
    """Give a reply to somebody to deal with, or to nobody. Raises NotTheirs."""
    db.session.refresh(reply, with_for_update=True)
    if assignee is not None and not may_answer(assignee, client_id=reply.client_id):
        raise NotTheirs
    before, reply.assigned_to_id = reply.assigned_to_id, assignee.id if assignee else None
    if before != reply.assigned_to_id:
        _audit(reply, "assign_to", {"assigned_to": [before, reply.assigned_to_id]}, actor)


def may_answer(user: User, *, client_id: int) -> bool:
    """Whether somebody's role deals with replies, and the client is one of those they see."""
    if not user.is_active or not allows(user, Permission.MANAGE_REPLIES):
        return False
    return bool(db.session.scalar(select(Client.id).where(Client.id == client_id, visible_clients(user))))


def close(*, reply: Reply, actor: User) -> None:
    """Nothing more is to be done. Raises ComplaintsAreCompliances."""
    db.session.refresh(reply, with_for_update=True)
    if reply.state == "closed":
        return
    if reply.topic == "complaint":
        _require_compliance(actor)
    reply.state, reply.closed_at, reply.closed_by_id = "closed", now(), actor.id
    unflag_complaint(reply)
    _audit(reply, "close", {"state": ["open", "closed"]}, actor)


def reopen(*, reply: Reply, actor: User) -> None:
    """There is something to be done after all, by the usual time from now."""
    db.session.refresh(reply, with_for_update=True)
    if reply.state == "open":
        return
    reply.state, reply.closed_at, reply.closed_by_id, reply.due_at = "open", None, None, due_at(now())
    if reply.topic is None:
        reply.topic = "question"
    if reply.topic == "complaint":
        flag_complaint(reply)
    _audit(reply, "reopen", {"state": ["closed", "open"]}, actor)


def _require_compliance(actor: User) -> None:
    if not allows(actor, Permission.CLOSE_COMPLAINTS):
        raise ComplaintsAreCompliances


# ---- Answers --------------------------------------------------------------------------------------------------------


def answer(*, reply: Reply, text: str, seen: int, actor: User) -> ReplyAnswer:
    """Write back by the channel that the client used, to the address that wrote. A worker sends it.

    `seen` is the last entry of the thread that the writer saw (see `last_entry`): raises AnsweredMeanwhile where there
    is a newer one, and so where a form is sent twice. Raises BadAnswer, NoAddress.
    """
    db.session.refresh(reply, with_for_update=True)
    text = text.replace("\r\n", "\n").strip()
    if not 1 <= len(text) <= (MAX_SMS_ANSWER if reply.channel == "sms" else MAX_ANSWER) or "\0" in text:
        raise BadAnswer
    if seen != last_entry(reply.client_id):
        raise AnsweredMeanwhile
    recipient = reply.sender or address_on_record(reply)
    if not recipient:
        raise NoAddress
    made = ReplyAnswer(reply_id=reply.id, author_id=actor.id, channel=reply.channel, recipient=recipient, text=text)
    db.session.add(made)
    db.session.flush()
    reply.answered_at = now()
    if reply.assigned_to_id is None:
        reply.assigned_to_id = actor.id
    enqueue(SEND_ANSWER, queue=TRACK, answer_id=made.id)
    _audit(reply, "answer", {"answer": [None, made.id]}, actor)
    return made


def send_again(*, made: ReplyAnswer, actor: User) -> None:
    """Try once more to send an answer that certainly did not leave."""
    db.session.refresh(made, with_for_update=True)
    if made.state != "failed":
        raise Conflict
    made.state, made.reason = "waiting", None
    enqueue(SEND_ANSWER, queue=TRACK, answer_id=made.id)
    _audit(db.session.get_one(Reply, made.reply_id), "answer", {"answer": ["failed", made.id]}, actor)


def last_entry(client_id: int) -> int:
    """A number that rises with every reply of the client and every answer to one."""
    replies = select(func.count()).select_from(Reply).where(Reply.client_id == client_id).scalar_subquery()
    answers = (
        select(func.count())
        .select_from(ReplyAnswer)
        .join(Reply, Reply.id == ReplyAnswer.reply_id)
        .where(Reply.client_id == client_id)
        .scalar_subquery()
    )
    return int(db.session.scalar(select(replies + answers)) or 0)


def address_on_record(reply: Reply) -> str:
    """The client's own address on the reply's channel; empty where there is none."""
    column = Client.email if reply.channel == "email" else Client.mobile
    return db.session.scalar(select(column).where(Client.id == reply.client_id)) or ""


# ---- Parked mail ----------------------------------------------------------------------------------------------------


def settle_mail(*, mail: InboundMail, actor: User) -> None:
    """Put parked mail aside: nothing is to be done about it. Raises Conflict where somebody has dealt with it."""
    _take_parked(mail, actor)
    mail.state, mail.settled_at, mail.settled_by_id = "settled", now(), actor.id
    record(actor=actor, action="inbound_mail.put_aside", subject="inbound_mail", subject_id=mail.id)


def read_again(*, mail: InboundMail, actor: User) -> None:
    """Have parked mail read once more: its message may be known by now."""
    _take_parked(mail, actor)
    if mail.reason == "too_large":
        raise Conflict
    mail.state, mail.reason, mail.attempts = "waiting", None, 0
    enqueue(READ_MAIL, queue=TRACK, mail_id=mail.id)
    record(actor=actor, action="inbound_mail.read_again", subject="inbound_mail", subject_id=mail.id)


def give_to_client(*, mail: InboundMail, client: Client, actor: User) -> Reply:
    """A person knows who wrote: the mail becomes a reply of this client to the last message they were sent.

    Raises NothingSent, or Conflict where it cannot be read or somebody has dealt with it.
    """
    _take_parked(mail, actor)
    message = db.session.execute(
        select(Message.id, Message.campaign_id)
        .where(Message.client_id == client.id, Message.state.in_(("sent", "unconfirmed")))
        .order_by((Message.channel != "email"), Message.id.desc())
        .limit(1)
    ).one_or_none()
    if message is None:
        raise NothingSent
    raw = raw_mail_of(mail)
    try:
        parsed = parse(raw)
    except Unreadable as error:
        raise Conflict(_l("It is broken and could not be read.")) from error
    text = new_part(body(parsed)[0])[:20_000]
    written = Written(
        channel="email",
        identity=identity(parsed, raw, f"parked {mail.id}"),
        kind="reply",
        sender=sender_address(parsed),
        subject=header(parsed, "Subject")[:500],
        text=text,
        language=language_of(text),
        charset=charset(parsed),
        mail_id=mail.id,
    )
    reply = keep_reply(
        written, message_id=message.id, client_id=client.id, campaign_id=message.campaign_id, matched_by="person"
    )
    if reply is None:
        raise Conflict
    db.session.add(
        Event(kind="reply", message_id=message.id, at=now(), source="inbound", external_id=f"reply:{reply.id}")
    )
    mail.state, mail.meaning, mail.settled_at, mail.settled_by_id = "settled", "reply", now(), actor.id
    record(
        actor=actor,
        action="inbound_mail.assign_to",
        subject="inbound_mail",
        subject_id=mail.id,
        changes={"client": [None, client.number]},
    )
    return reply


def _take_parked(mail: InboundMail, actor: User) -> None:
    require(actor, Permission.MANAGE_REPLIES)
    db.session.refresh(mail, with_for_update=True)
    if mail.state != "parked":
        raise Conflict


def _audit(reply: Reply, verb: str, changes: dict[str, list[object]], actor: User) -> None:
    record(actor=actor, action=f"reply.{verb}", subject="reply", subject_id=reply.id, changes=changes)
