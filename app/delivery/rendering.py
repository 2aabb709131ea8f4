"""Messages shown again: as a client sees one in the browser, and as a test for staff."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from app.campaigns.models import Campaign, Step
from app.campaigns.step_kinds import Worded, words_of
from app.channels.base import EmailBatch, Outcome, OutgoingEmail
from app.channels.registry import channel_of
from app.clients.models import Client
from app.content.models import EmailContent
from app.content.personalisation import client_values, example_values
from app.content.rendering import CompiledEmail, MessageLinks, compile_email
from app.core.errors import NotFound, Retryable
from app.core.extensions import db, links, settings
from app.delivery.email import envelope, footer
from app.delivery.models import Batch, Message
from app.delivery.routing import choose_account


def render_message_html(message_id: int) -> str:
    """The HTML of a message as its client got it, with signed links and without the pixel.

    Raises NotFound where there is no such message. The words are those it was sent with, merge values the client's of
    today.
    """
    message = db.session.get(Message, message_id)
    if message is None:
        raise NotFound
    batch = db.session.get_one(Batch, message.batch_id)
    version = db.session.get(EmailContent, batch.content_id) if batch.content_id is not None else None
    content = version or _content(words_of(db.session.get_one(Step, message.step_id), batch.variant))
    values = client_values(db.session.get_one(Client, message.client_id))
    compiled = compile_email(content, footer())
    slots = compiled.fill(values, MessageLinks(links(), message.id, pixel=False))
    return "".join(piece if isinstance(piece, str) else slots[piece] for piece in compiled.template.html)


def send_copies(
    *, campaign: Campaign, words: Worded, addresses: Sequence[str], client: Client | None, mark: str
) -> dict[str, Outcome]:
    """Send the message of a step or variant to members of staff, uncounted and with plain links; `mark` leads the
    subject.

    Filled with the client's values, or with examples. Returns what became of each address's copy. Raises Retryable,
    before anything is sent, where no account can take mail.
    """
    compiled = compile_email(_content(words), footer())
    if mark:
        compiled = compiled.with_subject_mark(mark)
    values = client_values(client) if client else example_values()
    account = choose_account("email")
    if account is None:
        raise Retryable
    channel, batch = channel_of(account), EmailBatch(compiled.template, envelope(campaign))
    db.session.commit()  # no transaction is open over the network
    copies = [_copy(compiled, values, place, address) for place, address in enumerate(addresses)]
    return {addresses[result.message_id]: result.outcome for result in channel.send(batch, copies)}


def _content(words: Worded) -> EmailContent:
    if words.content is None:
        raise NotFound
    return words.content


def _copy(compiled: CompiledEmail, values: dict[str, Any], place: int, address: str) -> OutgoingEmail:
    """`place` in the list stands for the id of a message, which a copy has not."""
    config = settings()
    return OutgoingEmail(
        message_id=place,
        token=f"copy.{uuid4().hex}",
        recipient=address,
        slots=compiled.fill(values, MessageLinks(None)),
        reply_to=config.mail_from,
        unsubscribe_url=config.public_url,
        unsubscribe_address=config.mail_from,
    )
