"""Answers of staff on their way: one to one, as service mail or SMS, by the channel that the client wrote on.

Like every message: handed over in a commit of its own before anything leaves, so that after a crash nobody sends twice.
"""

from dataclasses import dataclass
from typing import Any

import structlog
from markupsafe import escape
from sqlalchemy import update

from app.campaigns.models import Step
from app.channels.base import Channel, EmailBatch, EmailTemplate, Envelope, Outcome, OutgoingEmail, Result
from app.channels.registry import channel_of
from app.channels.sms.message import OutgoingSms, SmsBatch
from app.content.sms.rendering import batch_of
from app.core.clock import now
from app.core.errors import AppError
from app.core.extensions import db, links, settings, signer
from app.core.tokens import Kind
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Message
from app.delivery.routing import choose_account
from app.tracking.models import Reply
from app.tracking.replies.models import ReplyAnswer

SEND_ANSWER = "tracking.send_answer"
NO_ACCOUNT = "no account can take it now"
NOT_KNOWN = "it broke off while it was being sent"
_STATES = {Outcome.SENT: "sent", Outcome.UNCONFIRMED: "unconfirmed"}  # whatever else: it has certainly not left

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Letter:
    """An answer ready to leave, and the way."""

    channel: Channel
    batch: Any
    message: Any


def send_answer(answer_id: int) -> None:
    """Send an answer that waits. One that was being sent when a worker died is unconfirmed, and stays."""
    with unit_of_work():
        answer = db.session.get_one(ReplyAnswer, answer_id, with_for_update=True)
        if answer.state == "handing":
            answer.state, answer.reason = "unconfirmed", NOT_KNOWN
        if answer.state != "waiting":
            return
        letter = _prepare(answer)
        if isinstance(letter, str):
            answer.state, answer.reason = "failed", letter
            return
        answer.state, answer.reason = "handing", None
    (result,) = letter.channel.send(letter.batch, [letter.message])
    with unit_of_work():
        _record(answer_id, result)


def _record(answer_id: int, result: Result) -> None:
    state = _STATES.get(result.outcome, "failed")
    reason = (result.reason or result.outcome.value).replace("\0", "")[:300] if state != "sent" else None
    db.session.execute(
        update(ReplyAnswer)
        .where(ReplyAnswer.id == answer_id, ReplyAnswer.state == "handing")
        .values(state=state, reason=reason, sent_at=now() if state == "sent" else None)
        .execution_options(synchronize_session=False)
    )
    log.info("answer_sent" if state == "sent" else "answer_not_sent", answer=answer_id, state=state)


def _prepare(answer: ReplyAnswer) -> _Letter | str:
    """The answer with its way out, or why there is none."""
    account = choose_account(answer.channel, purpose="service")
    if account is None:
        return NO_ACCOUNT
    try:
        channel = channel_of(account)
    except (AppError, ValueError) as error:
        return str(error)[:300]
    reply = db.session.get_one(Reply, answer.reply_id)
    if answer.channel == "sms":
        batch = _sms_batch(reply)
        lead = f"【{batch.signature}】" if batch.signature else ""
        token = _token(reply, answer)
        return _Letter(channel, batch, OutgoingSms(answer.id, token, answer.recipient, lead + answer.text, answer.text))
    return _Letter(channel, _email_batch(reply), _email(reply, answer))


def _sms_batch(reply: Reply) -> SmsBatch:
    """With the signature that the SMS which is answered had; the words are no template's."""
    message = db.session.get_one(Message, reply.message_id)
    step = db.session.get(Step, message.step_id)
    if step is None or step.sms_content is None:
        return SmsBatch()
    theirs = batch_of(step.sms_content)
    return SmsBatch(signature=theirs.signature, signature_reference=theirs.signature_reference)


def _email_batch(reply: Reply) -> EmailBatch:
    config = settings()
    domain = config.mail_from.partition("@")[2]
    subject = reply.subject if reply.subject.lower().startswith("re:") else f"Re: {reply.subject}"
    return EmailBatch(
        EmailTemplate(subject=(subject.strip(),), html=("<p>", 0, "</p>"), text=(1,)),
        Envelope(
            from_address=config.mail_from,
            from_name=config.mail_from_name,
            list_id=f"<service.{domain}>",
            feedback_id=f"{reply.campaign_id}:service:{domain.replace('.', '-')}:bellwether",
        ),
    )


def _email(reply: Reply, answer: ReplyAnswer) -> OutgoingEmail:
    """The client's next words come back to the same message, and so to the same thread."""
    made = links()
    html = "<br>\n".join(str(escape(line)) for line in answer.text.splitlines())
    answered = reply.message_id_header
    return OutgoingEmail(
        message_id=answer.id,
        token=_token(reply, answer),
        recipient=answer.recipient,
        slots=[html, answer.text],
        reply_to=made.reply_address(reply.message_id),
        unsubscribe_url=made.unsubscribe(reply.message_id),
        unsubscribe_address=made.unsubscribe_address(reply.message_id),
        in_reply_to=answered if _is_message_id(answered) else "",
    )


def _is_message_id(text: str) -> bool:
    """Safe to stand in a header: one line of printable ASCII in brackets."""
    return text.startswith("<") and text.endswith(">") and text.isascii() and text.isprintable() and " " not in text


def _token(reply: Reply, answer: ReplyAnswer) -> str:
    return signer().sign(Kind.REPLY, reply.message_id, b"answer" + answer.id.to_bytes(8, "big"))
