"""Typed configuration, read from the environment once at start.

Every setting is an environment variable. A missing or malformed one stops the start with a sentence that
names the variable, so a bad deployment is found before the first request rather than at the first send.
"""

import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

EmailChannel = Literal["mailbox", "smtp", "sendgrid"]
MarketProfile = Literal["mainland_china", "other"]
AfterReading = Literal["keep", "mark", "delete"]
Network = IPv4Network | IPv6Network

_BROKERS = ("redis", "rediss", "redis+socket", "sentinel", "amqp", "amqps", "pyamqp")
_RELAYS = ("smtp", "smtps", "smtp+starttls")
_MAILBOXES = ("imaps", "imap+starttls", "imap")
_THIS_MACHINE = {"127.0.0.1", "::1", "localhost"}
_DOMAIN = r"(?!-)[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*"
_ADDRESS = rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{_DOMAIN}"
_LINE = r"[^\x00-\x1f\x7f]*"


class ConfigError(RuntimeError):
    """A setting is missing or malformed; the message names the variable and says what it must be."""


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of one process. URLs carry no trailing slash."""

    database_url: str
    broker_url: str
    base_url: str
    public_url: str
    secret_key: str
    var_dir: Path
    email_channel: EmailChannel
    smtp_url: str
    smtp_connections: int
    sendgrid_api_key: str
    sendgrid_host: str
    sendgrid_webhook_key: str
    inbound_token: str
    mail_from: str
    mail_from_name: str
    reply_domain: str
    bounce_domain: str
    firm_name: str
    branch_levels: tuple[str, ...]
    firm_address: str
    market_profile: MarketProfile
    time_zone: str
    proxy_hops: int
    machine_hit_seconds: float
    trap_link: bool
    receipts_key: str
    log_level: str
    log_format: Literal["json", "console"]
    webhook_networks: tuple[Network, ...]
    imap_url: str
    imap_ca_file: str
    imap_after: AfterReading

    @property
    def secure_cookies(self) -> bool:
        return self.base_url.startswith("https://")

    @property
    def separate_public_host(self) -> bool:
        """True where clients' links live on another host than the staff pages."""
        return urlsplit(self.base_url).netloc != urlsplit(self.public_url).netloc


def load_config(environ: Mapping[str, str] | None = None) -> Config:
    """Read the settings. Raises ConfigError naming the variable that is missing or malformed."""
    env = os.environ if environ is None else environ
    var_dir = Path(env.get("VAR_DIR", "var")).resolve()
    base_url = _url(env, "BASE_URL", "http://127.0.0.1:8000")
    email_channel = cast(EmailChannel, _choice(env, "EMAIL_CHANNEL", "mailbox", ("mailbox", "smtp", "sendgrid")))
    config = Config(
        database_url=_database_url(env),
        broker_url=_broker_url(env),
        base_url=base_url,
        public_url=_url(env, "PUBLIC_URL", base_url),
        secret_key=_secret_key(env, var_dir),
        var_dir=var_dir,
        email_channel=email_channel,
        smtp_url=_smtp_url(env),
        smtp_connections=_integer(env, "SMTP_CONNECTIONS", 2, low=1, high=50),
        sendgrid_api_key=env.get("SENDGRID_API_KEY", ""),
        sendgrid_host=_url(env, "SENDGRID_HOST", "https://api.sendgrid.com"),
        sendgrid_webhook_key=_matching(
            env, "SENDGRID_WEBHOOK_KEY", "", r"[A-Za-z0-9+/=]*", "the public key that SendGrid shows, in base64"
        ),
        inbound_token=env.get("INBOUND_TOKEN", ""),
        mail_from=_matching(env, "MAIL_FROM", "news@bellwether.example", _ADDRESS, "an e-mail address"),
        mail_from_name=_matching(env, "MAIL_FROM_NAME", "Bellwether Securities", _LINE, "one line of text"),
        reply_domain=_matching(env, "REPLY_DOMAIN", "reply.bellwether.example", _DOMAIN, "a domain name"),
        bounce_domain=_matching(
            env, "BOUNCE_DOMAIN", env.get("REPLY_DOMAIN", "reply.bellwether.example"), _DOMAIN, "a domain name"
        ),
        firm_name=_matching(env, "FIRM_NAME", "Bellwether Securities", _LINE, "one line of text"),
        branch_levels=_listed(env, "BRANCH_LEVELS"),
        firm_address=_matching(env, "FIRM_ADDRESS", "1 Harbour Road, Example City", _LINE, "one line of text"),
        market_profile=cast(MarketProfile, _choice(env, "MARKET_PROFILE", "other", ("mainland_china", "other"))),
        time_zone=_time_zone(env),
        proxy_hops=_integer(env, "PROXY_HOPS", 0, low=0, high=5),
        machine_hit_seconds=_number(env, "MACHINE_HIT_SECONDS", 2.0, low=0.0, high=3600.0),
        trap_link=_choice(env, "TRAP_LINK", "on", ("on", "off")) == "on",
        receipts_key=_matching(env, "RECEIPTS_KEY", "", r"([!-~]{16,})?", "at least 16 letters, digits or signs"),
        log_level=_choice(env, "LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
        webhook_networks=_networks(env, "WEBHOOK_NETWORKS"),
        imap_url=_imap_url(env),
        imap_ca_file=env.get("IMAP_CA_FILE", ""),
        imap_after=cast(AfterReading, _choice(env, "IMAP_AFTER", "keep", ("keep", "mark", "delete"))),
        log_format=cast(Literal["json", "console"], _choice(env, "LOG_FORMAT", "json", ("json", "console"))),
    )
    if email_channel == "smtp" and not config.smtp_url:
        raise ConfigError("SMTP_URL must be set (e.g. smtp://127.0.0.1:25) because EMAIL_CHANNEL is smtp.")
    if email_channel == "sendgrid" and not config.sendgrid_api_key:
        raise ConfigError("SENDGRID_API_KEY must be set because EMAIL_CHANNEL is sendgrid.")
    return config


def _required(env: Mapping[str, str], name: str, what: str) -> str:
    value = env.get(name, "")
    if not value:
        raise ConfigError(f"{name} must be set: {what}.")
    return value


def _database_url(env: Mapping[str, str]) -> str:
    value = _required(env, "DATABASE_URL", "the address of PostgreSQL 15 or newer, postgresql://user@host/name")
    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise ConfigError("DATABASE_URL must start with postgresql:// (no other database is supported).")
    address = f"postgresql+psycopg://{rest}"
    try:
        make_url(address)
    except (ArgumentError, ValueError) as error:
        raise ConfigError("DATABASE_URL must be an address such as postgresql://user@host/name.") from error
    return address


def _broker_url(env: Mapping[str, str]) -> str:
    what = "the address of Valkey, Redis or RabbitMQ, e.g. redis://127.0.0.1:6379"
    value = _required(env, "BROKER_URL", what)
    if urlsplit(value).scheme not in _BROKERS or not has_readable_port(value):
        raise ConfigError(f"BROKER_URL must be {what}.")
    return value


def _smtp_url(env: Mapping[str, str]) -> str:
    value = env.get("SMTP_URL", "")
    parts = urlsplit(value)
    if value and (parts.scheme not in _RELAYS or not parts.hostname or not has_readable_port(value)):
        raise ConfigError(f"SMTP_URL must be an address of {', '.join(_RELAYS)}, such as smtp://127.0.0.1:25.")
    return value


def _imap_url(env: Mapping[str, str]) -> str:
    """IMAP_URL: the mailbox that replies and bounces come to; none where it is empty."""
    value = env.get("IMAP_URL", "")
    if not value:
        return ""
    parts = urlsplit(value)
    if parts.scheme not in _MAILBOXES or not parts.hostname or not parts.username or not has_readable_port(value):
        raise ConfigError("IMAP_URL must be an address such as imaps://user:password@mail.example.com/INBOX.")
    if parts.scheme == "imap" and parts.hostname not in _THIS_MACHINE:
        raise ConfigError("IMAP_URL would send the password unencrypted: use imaps:// or imap+starttls://.")
    return value


def has_readable_port(url: str) -> bool:
    """Whether the address names no port, or one that can be."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _url(env: Mapping[str, str], name: str, default: str) -> str:
    value = env.get(name, default).rstrip("/")
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or not has_readable_port(value):
        raise ConfigError(f"{name} must be an http or https address, such as {default}.")
    return value


def _choice(env: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = env.get(name, default)
    if value not in allowed:
        raise ConfigError(f"{name} must be one of {', '.join(allowed)}.")
    return value


def _time_zone(env: Mapping[str, str]) -> str:
    """TIME_ZONE: the zone that pages show times in and that schedules are typed in."""
    name = env.get("TIME_ZONE", "UTC")
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError(
            "TIME_ZONE must be the name of a time zone, such as Asia/Shanghai or Europe/Madrid."
        ) from error
    return name


def _matching(env: Mapping[str, str], name: str, default: str, pattern: str, what: str) -> str:
    value = env.get(name, default)
    if not re.fullmatch(pattern, value):
        raise ConfigError(f"{name} must be {what}.")
    return value


def _listed(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    """One line of words between commas; none where it is not set."""
    line = _matching(env, name, "", _LINE, "names separated by commas")
    return tuple(part.strip() for part in line.split(",") if part.strip())


def _networks(env: Mapping[str, str], name: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in env.get(name, "").split(",") if part.strip())
    except ValueError as error:
        raise ConfigError(f"{name} must be networks separated by commas, such as 10.1.0.0/16.") from error


def _number(env: Mapping[str, str], name: str, default: float, *, low: float, high: float) -> float:
    try:
        value = float(env.get(name, default))
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise ConfigError(f"{name} must be a number from {low:g} to {high:g}.")
    return value


def _integer(env: Mapping[str, str], name: str, default: int, *, low: int, high: int) -> int:
    value = _number(env, name, default, low=low, high=high)
    if value != int(value):
        raise ConfigError(f"{name} must be a whole number from {low} to {high}.")
    return int(value)


def _secret_key(env: Mapping[str, str], var_dir: Path) -> str:
    """SECRET_KEY, or the one generated at the first start and kept in the data folder."""
    if "SECRET_KEY" in env:
        if len(env["SECRET_KEY"]) < 32:
            raise ConfigError("SECRET_KEY must be at least 32 characters long.")
        return env["SECRET_KEY"]
    path = var_dir / "secret_key"
    try:
        if not path.exists():
            var_dir.mkdir(parents=True, exist_ok=True)
            descriptor, draft = tempfile.mkstemp(dir=var_dir, prefix="secret_key.")  # made readable by its owner only
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
            # Linked whole and never over another: of processes that start together, one key wins and all read it.
            with suppress(FileExistsError):
                os.link(draft, path)
            os.unlink(draft)
        key = path.read_text().strip()
    except OSError as error:
        raise ConfigError(f"VAR_DIR must be a folder that can be written to: {error.strerror}.") from error
    if len(key) < 32:
        raise ConfigError(f"SECRET_KEY must be set, or {path} be removed: the key kept there is not whole.")
    return key
