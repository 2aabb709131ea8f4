"""The local mailbox for SMS: they are kept in the database instead of leaving the machine."""

from collections.abc import Sequence

from flask_babel import lazy_gettext as _l
from sqlalchemy import insert

from app.channels.base import Outcome, Result, Vendor
from app.channels.sms.length import sms_length
from app.channels.sms.message import OutgoingSms, SmsBatch
from app.channels.sms.models import MailboxSms
from app.core.extensions import db


class SmsMailboxChannel:
    """Writes the window's messages in one statement and one transaction."""

    window = 100

    def send(self, batch: SmsBatch, messages: Sequence[OutgoingSms]) -> list[Result]:
        rows = [{"recipient": sms.recipient, "text": sms.text, "parts": sms_length(sms.text).parts} for sms in messages]
        with db.engine.begin() as connection:
            connection.execute(insert(MailboxSms), rows)
        return [Result(sms.message_id, Outcome.SENT, reference="mailbox") for sms in messages]


SMS_MAILBOX = Vendor("sms_mailbox", "sms", _l("Local mailbox"), lambda _settings, _secret, _config: SmsMailboxChannel())
