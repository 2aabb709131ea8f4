"""A message as the client saw it, for a sandboxed frame.

Its links are the plain ones: whoever looks at it must not leave clicks behind that count as the client's.
"""

from collections.abc import Sequence
from html import escape

from liquid.exceptions import LiquidError
from sqlalchemy import select

from app.advising.models import AdviserTask
from app.campaigns.models import Campaign, Step
from app.campaigns.step_kinds import words_of
from app.clients.models import Client
from app.content.calls.models import CallScript
from app.content.models import EmailContent
from app.content.personalisation import client_values
from app.content.previews import preview_page
from app.content.sms.models import SmsContent
from app.content.sms.rendering import batch_of, compile_sms
from app.core.errors import NotFound
from app.core.extensions import db
from app.delivery.models import Batch, Message

_PAGE = (
    '<!doctype html><html><head><meta charset="utf-8"><base target="_blank"></head><body style="margin:0;padding:16px;'
    'font:16px/24px Arial,sans-serif;color:#1d2935"><div style="white-space:pre-wrap">{}</div></body></html>'
)


def message_page(campaign: Campaign, records: Sequence[int], message_id: int) -> str:
    """The words of the version that was sent, filled with the client's values of today.

    Raises NotFound where it is no message of this campaign to this client.
    """
    message = db.session.get(Message, message_id) if message_id < 2**63 else None
    if message is None or message.campaign_id != campaign.id or message.client_id not in records:
        raise NotFound
    if message.channel == "email":
        return _email(message)
    words = {"sms": _sms, "call": _script}.get(message.channel)
    if words is None:
        raise NotFound
    return _PAGE.format(escape(words(message)))


def _email(message: Message) -> str:
    batch = db.session.get_one(Batch, message.batch_id)
    content = db.session.get(EmailContent, batch.content_id) if batch.content_id is not None else None
    content = content or words_of(db.session.get_one(Step, message.step_id), batch.variant).content
    if content is None:
        raise NotFound
    return preview_page(content, client=db.session.get_one(Client, message.client_id), mode="desktop")


def _sms(message: Message) -> str:
    batch = db.session.get_one(Batch, message.batch_id)
    content = db.session.get(SmsContent, batch.content_id) if batch.content_id is not None else None
    content = content or words_of(db.session.get_one(Step, message.step_id), batch.variant).sms_content
    if content is None:
        raise NotFound
    sms = compile_sms(content.text, batch_of(content).signature)
    try:
        return sms.whole(sms.body(client_values(db.session.get_one(Client, message.client_id))))
    except LiquidError as error:
        raise NotFound from error


def _script(message: Message) -> str:
    row = db.session.execute(
        select(CallScript, AdviserTask.segment_id)
        .join(AdviserTask, AdviserTask.script_id == CallScript.id)
        .where(AdviserTask.message_id == message.id)
    ).one_or_none()
    if row is None:
        raise NotFound
    return f"{row[0].goal}\n\n{row[0].words_for(row[1])}"
