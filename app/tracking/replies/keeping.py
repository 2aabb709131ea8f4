"""Keeping what a client wrote, from whatever channel: once, with a first guess at its topic and the time it is due."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.advising.trading_days import after, rules_in_force
from app.clients.editing.models import ClientChange
from app.clients.models import Client
from app.core.clock import now
from app.core.extensions import db, settings
from app.tracking.mail.rules import inbox_rules
from app.tracking.models import Reply
from app.tracking.replies.topics import guess_topic

COMPLAINT_FLAG = "open_complaint"
COMPLAINT_REASON = "A reply was taken to be a complaint"


@dataclass(frozen=True, slots=True)
class Written:
    """What came in, read: `says_more`: beside a wish to opt out there is something to be answered."""

    channel: str
    identity: str
    kind: str
    sender: str
    subject: str
    text: str
    language: str | None = None
    charset: str | None = None
    says_more: bool = False
    raw: bytes | None = None
    mail_id: int | None = None


def keep_reply(
    written: Written, *, message_id: int, client_id: int, campaign_id: int, matched_by: str = "address"
) -> Reply | None:
    """Keep a reply, open where a person has to look at it; None where it is known already.

    A complaint puts a flag on the client that keeps them out of marketing while it is open.
    """
    at = now()
    topic = None
    if written.kind == "opt_out" and not written.says_more:
        topic = "opt_out"
    elif written.kind != "auto_reply":
        topic = guess_topic(written.text, subject=written.subject)
    is_open = written.kind == "reply" or (written.kind == "opt_out" and written.says_more)
    reply: Reply | None = db.session.scalar(
        upsert(Reply)
        .values(
            message_id=message_id,
            client_id=client_id,
            campaign_id=campaign_id,
            message_id_header=written.identity,
            channel=written.channel,
            kind=written.kind,
            topic=topic,
            matched_by=matched_by,
            sender=written.sender,
            subject=written.subject,
            text=written.text,
            language=written.language,
            charset=written.charset,
            raw=written.raw,
            mail_id=written.mail_id,
            received_at=at,
            state="open" if is_open else "closed",
            due_at=due_at(at) if is_open else None,
            closed_at=None if is_open else at,
        )
        .on_conflict_do_nothing()
        .returning(Reply)
    )
    if reply is not None and is_open and topic == "complaint":
        flag_complaint(reply)
    return reply


def due_at(received_at: datetime) -> datetime:
    """The end of the day by which a reply is to be answered: so many working days after the one it came on."""
    zone = ZoneInfo(settings().time_zone)
    day = after(received_at.astimezone(zone).date(), inbox_rules().answer_days, rules_in_force().holidays)
    return datetime.combine(day + timedelta(days=1), time(), zone) - timedelta(seconds=1)


def flag_complaint(reply: Reply) -> None:
    """The client gets no marketing while the complaint is open; the reply remembers that it is what set the flag."""
    changed = db.session.scalar(
        update(Client)
        .where(Client.id == reply.client_id, ~Client.flags.contains([COMPLAINT_FLAG]))
        .values(flags=func.array_append(Client.flags, COMPLAINT_FLAG), updated_at=now())
        .returning(Client.id)
        .execution_options(synchronize_session=False)
    )
    theirs = select(Reply.id).where(Reply.client_id == reply.client_id, Reply.flagged, Reply.id != reply.id).exists()
    reply.flagged = changed is not None or bool(db.session.scalar(select(theirs)))
    if changed is not None:
        _note_change(reply.client_id, [None, COMPLAINT_FLAG])


def unflag_complaint(reply: Reply) -> None:
    """The complaint is over: the flag that replies had set goes with the last open complaint of the client."""
    if not reply.flagged:
        return
    reply.flagged = False
    db.session.flush()
    if db.session.scalar(select(select(Reply.id).where(Reply.client_id == reply.client_id, Reply.flagged).exists())):
        return
    changed = db.session.scalar(
        update(Client)
        .where(Client.id == reply.client_id, Client.flags.contains([COMPLAINT_FLAG]))
        .values(flags=func.array_remove(Client.flags, COMPLAINT_FLAG), updated_at=now())
        .returning(Client.id)
        .execution_options(synchronize_session=False)
    )
    if changed is not None:
        _note_change(reply.client_id, [COMPLAINT_FLAG, None])


def _note_change(client_id: int, change: list[str | None]) -> None:
    """In the client's history, by the system; what a person did to the reply stands in the audit trail."""
    db.session.add(ClientChange(client_id=client_id, actor_id=None, changes={"flags": change}, reason=COMPLAINT_REASON))
