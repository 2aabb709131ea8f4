"""Filling and building messages, and the send path through the ledger."""

import smtplib
from email.message import EmailMessage
from email.policy import SMTP
from functools import partial
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import select

from app.campaigns.models import State
from app.channels.base import Envelope, OutgoingEmail
from app.channels.email.mime import MimeBuilder
from app.content.liquid import HTML, TEXT
from app.content.models import EmailContent
from app.content.rendering import MessageLinks, compile_email
from app.content.starters import STARTERS
from app.core.clock import now
from app.core.extensions import db, links, settings
from app.delivery.email import footer
from app.delivery.models import Batch
from app.delivery.planning import plan_run
from app.delivery.postponing import BATCH_SIZE
from app.delivery.sending import send_batch
from app.demo.sink import read_messages
from bench.measuring import ROUNDS, best, report_rate, seconds
from tests.factories.campaigns import make_campaign, make_content

VALUES = {
    "client": {"first_name": "María", "last_name": "Lopez", "city": "Porto"},
    "adviser": {"name": "Chen Wei"},
    "branch": {"name": "Harbour branch"},
    "custom": {},
}


def stock_content() -> EmailContent:
    """The first of the stock e-mails, as an author would begin with it."""
    starter = STARTERS[0]
    return make_content(
        subject=str(starter.subject), preheader=str(starter.preheader), source=starter.source, format="mjml"
    )


def measure_building(content: EmailContent, size: int) -> None:
    """A message filled and built as MIME, against Liquid and the standard library."""
    envelope = Envelope("news@firm.example", "Firm 证券", "<marketing.firm.example>", "7:marketing:firm:bellwether")
    compiled = compile_email(content, footer())
    builder = MimeBuilder(compiled.template, envelope)
    made = links()

    def ours() -> None:
        for number in range(1, size + 1):
            email = OutgoingEmail(
                message_id=number,
                token=f"token{number}",
                recipient="c1@example.com",
                slots=compiled.fill(VALUES, MessageLinks(made, number)),
                reply_to=made.reply_address(number),
                unsubscribe_url=made.unsubscribe(number),
                unsubscribe_address=made.unsubscribe_address(number),
            )
            builder.build(email, now())

    subject, html, text = (
        environment.from_string(source)
        for environment, source in ((TEXT, content.subject), (HTML, content.html), (TEXT, content.text))
    )

    def plain() -> None:
        for number in range(1, size // 20 + 1):
            values = VALUES | {"unsubscribe_url": made.unsubscribe(number), "view_url": "x"}
            message = EmailMessage()
            message["From"], message["To"] = envelope.from_address, "c1@example.com"
            message["Subject"] = subject.render(**values)
            message.set_content(text.render(**values))
            message.add_alternative(html.render(**values), subtype="html")
            message.as_bytes(policy=SMTP)

    taken, reference = best(ours, plain)
    report_rate("build a message", size=size, unit="messages/s", taken=taken, reference_taken=reference * 20, bound=10)


def measure_sending(content: EmailContent, size: int, store: Path) -> int:
    """Batches through claim, window, fill, sign, SMTP and record, against a bare loop over the finished bytes.

    Plans the campaign for everyone and sends `size` of its messages. Returns the campaign's id.
    """
    campaign = make_campaign(state=State.RUNNING, content=content)
    campaign_id = campaign.id
    plan_run(campaign_id, lambda **_: None)
    whole = select(Batch.id).where(Batch.size == BATCH_SIZE).order_by(Batch.id)  # the first one of a run is smaller
    batch_ids = iter(db.session.scalars(whole).all())
    batches = size // BATCH_SIZE // ROUNDS
    ours: list[float] = []
    bare: list[float] = []
    sent = 0
    for _ in range(ROUNDS):
        some = list(islice(batch_ids, batches))
        ours.append(seconds(partial(_send_batches, some)))
        finished = list(islice(read_messages(store), sent, None))
        assert len(finished) == batches * BATCH_SIZE, len(finished)
        bare.append(seconds(partial(_send_bare, finished)))
        sent += 2 * len(finished)
    report_rate(
        "send through the ledger",
        size=batches * BATCH_SIZE,
        unit="messages/s",
        taken=min(ours),
        reference_taken=min(bare),
        bound=1,
    )
    return campaign_id


def _send_batches(batch_ids: list[int]) -> None:
    for batch_id in batch_ids:
        send_batch(batch_id)


def _send_bare(messages: list[tuple[str, bytes]]) -> None:
    relay = urlsplit(settings().smtp_url)
    with smtplib.SMTP(relay.hostname or "", relay.port or 25) as server:
        server.ehlo()
        for recipient, mime in messages:
            server.sendmail("news@firm.example", [recipient], mime)
