"""The local mailbox: messages are kept in the database instead of leaving the machine.

The default where no provider is configured, so that a first campaign can be opened, clicked and answered
without any account anywhere.
"""

from collections.abc import Sequence

from sqlalchemy import insert

from app.channels.base import EmailTemplate, Envelope, Outcome, OutgoingEmail, Result
from app.channels.email.mime import MimeBuilder
from app.channels.email.models import MailboxMessage
from app.core.clock import now
from app.core.extensions import db


class MailboxChannel:
    """Writes the window's messages in one statement and one transaction."""

    name = "mailbox"
    window = 100

    def send(self, template: EmailTemplate, envelope: Envelope, emails: Sequence[OutgoingEmail]) -> list[Result]:
        builder = MimeBuilder(template, envelope)
        date = now()
        rows = [
            {
                "recipient": email.recipient,
                "sender": envelope.from_address,
                "subject": email.fill(template.subject),
                "mime": builder.build(email, date),
            }
            for email in emails
        ]
        with db.engine.begin() as connection:
            connection.execute(insert(MailboxMessage), rows)
        return [Result(email.message_id, Outcome.SENT, reference="mailbox") for email in emails]
