"""SMS that come in, and receipts of those that left: in whatever words a vendor says it."""

import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import structlog
from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.campaigns.sms_rules import meaning_of
from app.channels.models import ChannelAccount
from app.channels.sms.http_gateway import SETTINGS, at_path, mapping
from app.clients.importing.values import BadValue, parse_mobile
from app.clients.models import Client
from app.clients.service import suppress, withdraw_consent
from app.core.clock import now
from app.core.extensions import db, settings
from app.core.tokens import BadToken, Kind, Signer
from app.delivery.models import Message
from app.tracking.intake import RawEvent
from app.tracking.mail.opt_out import opt_out_wish
from app.tracking.mail.reply_text import language_of
from app.tracking.models import EVENT_KINDS, Event, ParkedSms
from app.tracking.replies.keeping import Written, keep_reply

MAX_TEXT = 5_000
MAX_CLIENTS = 50  # who share a number

# Twilio's words for how far a message is. "undelivered" and "failed" name no reason that a later SMS would not meet, so
# the number stays good. Source: "Message Status Values", Messaging API reference.
TWILIO_WORDS = {
    "queued": "accepted", "accepted": "accepted", "scheduled": "accepted", "sending": "accepted", "sent": "accepted",
    "delivered": "delivered", "read": "delivered", "undelivered": "blocked", "failed": "blocked", "canceled": "dropped",
}  # fmt: skip

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class InboundSms:
    """One SMS that came in. `external_id` is the vendor's own id, so that a repeated one is known."""

    source: str
    external_id: str
    sender: str
    text: str


@dataclass(frozen=True, slots=True)
class Received:
    """What became of it: `meaning` is opt_out, help or reply; `parked`: it answers nothing we sent."""

    meaning: str
    parked: bool
    new: bool


def receive_sms(inbound: InboundSms) -> Received:
    """Take in an SMS, in the caller's transaction. The same one again changes nothing.

    It answers the last SMS that we sent to a client with this number. An opt-out withdraws the consent of every client
    who has it, with the words as evidence; from a number we do not know, the number is suppressed and the SMS parked.
    """
    number, said = _number(inbound.sender), _plain(inbound.text)[:MAX_TEXT]
    meaning = _meaning_of(said)
    clients = list(
        db.session.scalars(
            select(Client.id)
            .where(Client.mobile == number, Client.merged_into_id.is_(None))
            .order_by(Client.id)
            .limit(MAX_CLIENTS)
        )
    )
    message = _last_message(number)
    new = _keep_reply(inbound, message, said, meaning) if message else _park(inbound, number, said, meaning)
    if not new:
        return Received(meaning, message is None, new=False)
    if meaning == "opt_out":
        _opt_out(inbound, number, said, clients)
    return Received(meaning, message is None, new=True)


def _meaning_of(said: str) -> str:
    """The market's words first, then a wish in plain words ("please stop sending me SMS", "请退订")."""
    meaning = meaning_of(said, market=settings().market_profile)
    return "opt_out" if meaning == "reply" and opt_out_wish(said) else meaning


def _last_message(number: str) -> Any:
    """The newest SMS sent to a client with this number (or merged into one): id, client, campaign."""
    owner = func.coalesce(Client.merged_into_id, Client.id).label("client_id")
    return db.session.execute(
        select(Message.id, owner, Message.campaign_id)
        .join(Client, Client.id == Message.client_id)
        .where(Client.mobile == number, Message.channel == "sms", Message.state.in_(("sent", "unconfirmed")))
        .order_by(Message.id.desc())
        .limit(1)
    ).one_or_none()


def _keep_reply(inbound: InboundSms, message: Any, said: str, meaning: str) -> bool:
    at = now()
    reply = keep_reply(
        Written(
            channel="sms",
            identity=f"sms:{inbound.source}:{inbound.external_id}",
            kind="opt_out" if meaning == "opt_out" else "reply",
            sender=_number(inbound.sender),
            subject="",
            text=said,
            language=language_of(said),
            raw=said.encode(),
        ),
        message_id=message.id,
        client_id=message.client_id,
        campaign_id=message.campaign_id,
        matched_by="sender",
    )
    if reply is None:
        return False
    kind = "unsubscribe" if meaning == "opt_out" else "reply"
    db.session.execute(
        insert(Event).values(
            kind=kind,
            message_id=message.id,
            at=at,
            source="sms",
            external_id=f"reply:{reply.id}",
            acted_at=at if meaning == "opt_out" else None,
        )
    )
    if meaning == "opt_out":
        db.session.execute(
            update(Message)
            .where(Message.id == message.id)
            .values(unsubscribed_at=func.least(Message.unsubscribed_at, at))
            .execution_options(synchronize_session=False)
        )
    return True


def _park(inbound: InboundSms, number: str, said: str, meaning: str) -> bool:
    kept = db.session.scalar(
        upsert(ParkedSms)
        .values(
            source=inbound.source,
            external_id=inbound.external_id,
            sender=number,
            text=said,
            acted="opted out" if meaning == "opt_out" else None,
        )
        .on_conflict_do_nothing()
        .returning(ParkedSms.id)
    )
    log.info("sms_parked", parked=kept)
    return kept is not None


def _opt_out(inbound: InboundSms, number: str, said: str, clients: list[int]) -> None:
    """All who have this number, for nobody can tell who of them wrote; a number of nobody is suppressed."""
    if clients:
        withdraw_consent(client_ids=clients, channel="sms", source="sms", wording=said[:200], at=now(), actor=None)
    else:
        suppress(channel="sms", addresses=[number], reason="opted out by SMS", source=inbound.source)


# ---- Receipts -------------------------------------------------------------------------------------------------------


def twilio_receipt(form: Mapping[str, str], token: str, *, signer: Signer, at: datetime) -> RawEvent:
    """The event of one status callback; an unknown word becomes "other". Raises BadToken."""
    word = form.get("MessageStatus", "").lower()
    if word not in TWILIO_WORDS:
        log.warning("twilio_unknown_status", word=word[:40])
    return RawEvent(
        kind=TWILIO_WORDS.get(word, "other"),
        message_id=signer.read(token, Kind.REPLY).message_id,
        at=at,
        source="twilio",
        external_id=f"{form.get('MessageSid', '')[:60]}:{word[:30]}",
        payload=json.dumps({"status": word[:60], "error": _plain(form.get("ErrorCode", ""))[:20]}),
    )


def gateway_receipts(answer: Any, account: ChannelAccount, *, signer: Signer, at: datetime) -> Iterator[RawEvent]:
    """The events of a gateway's receipts, read by its account's settings. What is not about a message of ours is kept
    without one."""
    told = settings_of(account)
    words = mapping(told["receipt_words"])
    for entry in entries_of(answer, told["receipt_list"]):
        word = _said(at_path(entry, told["receipt_status"]))[:60]
        kind = words.get(word.lower(), "other")
        reference, token = _said(at_path(entry, told["receipt_reference"]))[:200], at_path(entry, told["receipt_token"])
        token = None if isinstance(token, dict | list) else token
        yield RawEvent(
            kind=kind if kind in EVENT_KINDS else "other",
            message_id=_message_of(token, signer),
            at=at,
            source=f"sms:{account.id}",
            external_id=sha256(_plain(f"{reference}:{word}:{token}").encode()).hexdigest()[:40],
            payload=json.dumps({"status": word}, ensure_ascii=False),
        )


def gateway_messages(answer: Any, account: ChannelAccount) -> Iterator[InboundSms]:
    """The SMS that a gateway passes on; without an id of its own, its words and number are one."""
    told = settings_of(account)
    for entry in entries_of(answer, told["inbound_list"]):
        sender, text = at_path(entry, told["inbound_from"]), at_path(entry, told["inbound_text"])
        if not sender or not isinstance(sender, str | int) or not isinstance(text, str):
            continue
        identity = at_path(entry, told["inbound_id"])
        if identity is None or isinstance(identity, dict | list):
            identity = sha256(_plain(f"{sender}:{text}:{now():%Y%m%d%H}").encode()).hexdigest()[:40]
        yield InboundSms(f"sms:{account.id}", _plain(str(identity))[:200], str(sender), text)


def settings_of(account: ChannelAccount) -> dict[str, str]:
    """The account's settings as texts, with the defaults of those not given."""
    return {setting.name: str(account.settings.get(setting.name, setting.default) or "") for setting in SETTINGS}


def entries_of(answer: Any, path: str) -> list[Any]:
    """The list at a path; a single object counts as a list of one."""
    found = at_path(answer, path)
    entries = found if isinstance(found, list) else [found]
    return [entry for entry in entries if isinstance(entry, dict)][:5_000]


def webhook_token(account: ChannelAccount) -> str:
    """What stands in the addresses that a gateway calls: it cannot be guessed."""
    return hmac.digest(settings().secret_key.encode(), f"sms gateway {account.id}".encode(), "sha256").hex()[:40]


def sms_accounts() -> list[ChannelAccount]:
    """The accounts whose vendors call us."""
    return list(
        db.session.scalars(
            select(ChannelAccount)
            .where(ChannelAccount.vendor.in_(("twilio", "http_gateway")))
            .order_by(ChannelAccount.id)
        )
    )


def webhook_addresses(account: ChannelAccount) -> dict[str, str]:
    """{what for: path} of what the account's vendor is to call; Twilio is told of receipts with each message."""
    if account.vendor == "twilio":
        return {"inbound": "/webhooks/twilio/inbound"}
    return {use: f"/webhooks/sms/{account.id}/{use}/{webhook_token(account)}" for use in ("receipts", "inbound")}


def _message_of(token: Any, signer: Signer) -> int | None:
    if isinstance(token, str) and token:
        try:
            return signer.read(token, Kind.REPLY).message_id
        except BadToken:
            log.warning("sms_receipt_bad_token")
    return None


def _said(value: Any) -> str:
    """A word of a gateway; a list or an object, however deeply nested, is none."""
    return "" if value is None or isinstance(value, dict | list) else _plain(str(value))


def _number(sender: str) -> str:
    """In E.164 form, as clients' numbers are kept; what is no number stays as it came."""
    region = "CN" if settings().market_profile == "mainland_china" else None
    try:
        return parse_mobile(sender.strip(), region=region)
    except BadValue:
        return _plain(sender.strip())[:40]


def _plain(text: str) -> str:
    """Text that PostgreSQL takes."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
