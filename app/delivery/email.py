"""The e-mails of a step: filled slots and signed links for the rows of a window."""

from collections.abc import Sequence
from typing import Any

import structlog
from flask_babel import gettext as _
from liquid.exceptions import LiquidError
from sqlalchemy import ColumnElement, Row

from app.campaigns.models import Campaign
from app.campaigns.step_kinds import Worded
from app.channels.base import Channel, EmailBatch, Envelope, Outcome, OutgoingEmail, Result
from app.clients.models import Client
from app.content.personalisation import columns_for, nest
from app.content.rendering import Footer, MessageLinks, compile_email
from app.core.extensions import links, settings, signer
from app.core.tokens import Kind

log = structlog.get_logger(__name__)


class EmailMaterial:
    """The compiled e-mail of a step. Raises LookupError where it has none."""

    contact = "email"
    address: ColumnElement[Any] = Client.email.expression

    def __init__(self, words: Worded, campaign: Campaign) -> None:
        if words.content is None:
            raise LookupError("a launched step has no content")
        self.email = compile_email(words.content, footer())
        self.batch = EmailBatch(self.email.template, envelope(campaign))
        self.columns: Sequence[ColumnElement[Any]] = columns_for(self.email.keys)
        self._keys = [column.name for column in self.columns]
        self._trap = settings().trap_link
        self._links = links()
        self._sign = signer().sign

    def send(self, channel: Channel, rows: Sequence[Row[Any]]) -> list[Result]:
        """A message that cannot be filled in fails alone."""
        results: list[Result] = []
        emails: list[OutgoingEmail] = []
        for row in rows:
            try:
                emails.append(self.outgoing(row))
            except LiquidError as error:
                log.warning("message_not_rendered", message=row.id, error=type(error).__name__)
                results.append(Result(row.id, Outcome.FAILED, reason="the message could not be filled in"))
        if emails:
            results.extend(channel.send(self.batch, emails))
        return results

    def outgoing(self, row: Row[Any]) -> OutgoingEmail:
        """One message, its slots filled and its links signed."""
        made, signed = self._links, MessageLinks(self._links, row.id, trap=self._trap)
        return OutgoingEmail(
            message_id=row.id,
            token=self._sign(Kind.REPLY, row.id),
            recipient=row.address,
            slots=self.email.fill(nest(self._keys, row[3 : 3 + len(self._keys)]), signed),
            reply_to=made.reply_address(row.id),
            unsubscribe_url=signed.url("unsubscribe_url"),
            unsubscribe_address=made.unsubscribe_address(row.id),
            return_path=made.bounce_address(row.id),
        )


def footer() -> Footer:
    """The firm's name, address and way out, for messages whose author did not place the link."""
    config = settings()
    return Footer(config.firm_name, config.firm_address, _("Unsubscribe"), _("Choose what you get"))


def envelope(campaign: Campaign) -> Envelope:
    """What all messages of a campaign share on the outside.

    Service and statutory mail says that a machine sent it, so that absence notes do not answer (RFC 3834, section 5);
    a marketing campaign is what a person decided to send, and replies to it are welcome.
    """
    config = settings()
    domain = config.mail_from.partition("@")[2]
    return Envelope(
        from_address=config.mail_from,
        from_name=config.mail_from_name,
        list_id=f"<{campaign.purpose}.{domain}>",
        feedback_id=f"{campaign.id}:{campaign.purpose}:{domain.replace('.', '-')}:bellwether",
        automatic=campaign.purpose != "marketing",
    )
