"""The local mailbox: messages are kept in the database instead of leaving the machine.

The default where no provider is configured, so that a first campaign can be opened, clicked and answered
without any account anywhere.
"""

from collections.abc import Sequence

from flask_babel import lazy_gettext as _l
from sqlalchemy import insert

from app.channels.base import EmailBatch, Outcome, OutgoingEmail, Result, Vendor
from app.channels.email.mime import MimeBuilder
from app.channels.email.models import MailboxMessage
from app.core.clock import now
from app.core.extensions import db


class MailboxChannel:
    """Writes the window's messages in one statement and one transaction."""

    window = 100

    def send(self, batch: EmailBatch, messages: Sequence[OutgoingEmail]) -> list[Result]:
        builder = MimeBuilder(batch.template, batch.envelope)
        date = now()
        rows = [
            {
                "recipient": email.recipient,
                "sender": batch.envelope.from_address,
                "subject": email.fill(batch.template.subject),
                "mime": builder.build(email, date),
            }
            for email in messages
        ]
        with db.engine.begin() as connection:
            connection.execute(insert(MailboxMessage), rows)
        return [Result(email.message_id, Outcome.SENT, reference="mailbox") for email in messages]


MAILBOX = Vendor("mailbox", "email", _l("Local mailbox"), lambda _settings, _secret, _config: MailboxChannel())
