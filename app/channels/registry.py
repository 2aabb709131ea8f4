"""The channels by name. A new e-mail channel is one file and one line here."""

from collections.abc import Callable
from functools import lru_cache

from app.channels.base import EmailChannel
from app.channels.email.mailbox import MailboxChannel
from app.channels.email.sendgrid import SendGridChannel
from app.channels.email.smtp import SmtpChannel
from app.config import Config

EMAIL_CHANNELS: dict[str, Callable[[Config], EmailChannel]] = {
    "mailbox": lambda config: MailboxChannel(),
    "smtp": lambda config: SmtpChannel(config.smtp_url, connections=config.smtp_connections),
    "sendgrid": lambda config: SendGridChannel(config.sendgrid_api_key, host=config.sendgrid_host),
}


@lru_cache(maxsize=4)
def email_channel(config: Config) -> EmailChannel:
    """The configured e-mail channel, one per process: it keeps its connections."""
    return EMAIL_CHANNELS[config.email_channel](config)
