"""A message through one account, to see whether it works: plain words, no links, counted nowhere."""

from uuid import uuid4

from flask_babel import force_locale
from flask_babel import gettext as _

from app.channels.base import EmailBatch, EmailTemplate, Envelope, Outcome, OutgoingEmail
from app.channels.models import ChannelAccount
from app.channels.registry import channel_of
from app.core.errors import AppError
from app.core.extensions import db, settings
from app.users.models import User

SENT = "sent"


def send_test_through(account: ChannelAccount, user: User) -> str:
    """Send to the person's own address: "sent", or in the vendor's words why not.

    No transaction is open while the vendor is asked.
    """
    config = settings()
    with force_locale(user.locale or "en"):
        subject = _("Test of the account %(name)s", name=account.name)
        text = _("This message came through the account %(name)s. Nothing has to be done.", name=account.name)
    domain = config.mail_from.partition("@")[2]
    batch = EmailBatch(
        EmailTemplate(subject=(subject,), html=("<p>", 0, "</p>"), text=(0,)),
        Envelope(config.mail_from, config.mail_from_name, f"<test.{domain}>", f"0:test:{domain}:bellwether", True),
    )
    email = OutgoingEmail(
        message_id=0,
        token=f"test.{uuid4().hex}",
        recipient=user.email,
        slots=[text],
        reply_to=config.mail_from,
        unsubscribe_url=config.public_url,
        unsubscribe_address=config.mail_from,
    )
    try:
        channel = channel_of(account)
        db.session.commit()
        (result,) = channel.send(batch, [email])
    except (AppError, ValueError) as error:
        return str(error)
    return SENT if result.outcome is Outcome.SENT else result.reason or result.outcome.value
