"""The vendors by name, and the channels made of accounts. A new vendor is one file and one line here, or an entry
point of the group `bellwether.channels` in a package of its own."""

import os
from functools import cache, lru_cache
from importlib.metadata import entry_points
from typing import Any

import structlog

from app.channels.base import Channel, Vendor
from app.channels.email.mailbox import MAILBOX
from app.channels.email.sendgrid import SENDGRID
from app.channels.email.smtp import SMTP
from app.channels.models import ChannelAccount
from app.channels.sms.http_gateway import HTTP_GATEWAY
from app.channels.sms.mailbox import SMS_MAILBOX
from app.channels.sms.twilio import TWILIO
from app.channels.webhook import WEBHOOK
from app.core.errors import AppError
from app.core.extensions import settings

log = structlog.get_logger(__name__)
ENTRY_POINTS = "bellwether.channels"
_OWN = (MAILBOX, SMTP, SENDGRID, WEBHOOK, SMS_MAILBOX, TWILIO, HTTP_GATEWAY)
_registered: dict[str, Vendor] = {}


def register_vendor(vendor: Vendor) -> None:
    """A channel of another feature of ours, registered in wiring."""
    _registered[vendor.name] = vendor
    vendors.cache_clear()


@cache
def vendors() -> dict[str, Vendor]:
    """Every vendor by name: ours, then those of outside packages, which cannot take a name of ours. One that cannot be
    loaded is left out: a faulty package must not stop the others."""
    found = {vendor.name: vendor for vendor in _OWN} | _registered
    for point in entry_points(group=ENTRY_POINTS):
        try:
            vendor = point.load()
        except Exception as error:  # whatever somebody else's module does when it is imported
            log.error("channel_package_not_loaded", entry_point=point.name, error=type(error).__name__)
            continue
        if isinstance(vendor, Vendor):
            found.setdefault(vendor.name, vendor)
        else:
            log.error("channel_package_not_loaded", entry_point=point.name, error="not a Vendor")
    return found


def channel_of(account: ChannelAccount) -> Channel:
    """The account's channel, one per process and version of the account: it keeps its connections.

    Raises AppError with a sentence where the vendor is unknown, or a setting or secret is missing or wrong.
    """
    secret = settings_secret(account)
    return _channel(account.vendor, account.changed_at.isoformat(), _frozen(account.settings), secret)


def settings_secret(account: ChannelAccount) -> str | None:
    """The value of the environment variable that the account names; None where it names none."""
    if account.secret_name is None:
        return None
    value = os.environ.get(account.secret_name)
    if not value:
        raise AppError(f"The environment variable {account.secret_name} of the account {account.name} is not set.")
    return value


def _frozen(values: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted((key, tuple(value) if isinstance(value, list) else value) for key, value in values.items()))


@lru_cache(maxsize=64)
def _channel(vendor: str, _version: str, values: tuple[tuple[str, Any], ...], secret: str | None) -> Channel:
    if vendor not in vendors():
        raise AppError(f"There is no vendor {vendor}.")
    return vendors()[vendor].build(dict(values), secret, settings())
