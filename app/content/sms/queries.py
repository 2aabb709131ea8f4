"""Reads about SMS."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from sqlalchemy import func, select

from app.channels.models import ChannelAccount
from app.content.sms.models import SmsSignature, SmsTemplate
from app.core.errors import NotFound
from app.core.extensions import db


@dataclass(frozen=True, slots=True)
class Price:
    """What a part of an SMS costs."""

    amount: Decimal
    currency: str


def signatures(*, archived: bool = False) -> Sequence[SmsSignature]:
    """The signatures by name."""
    gone = SmsSignature.archived_at.is_not(None) if archived else SmsSignature.archived_at.is_(None)
    return db.session.scalars(select(SmsSignature).where(gone).order_by(func.lower(SmsSignature.name)).limit(500)).all()


def templates(*, archived: bool = False) -> Sequence[SmsTemplate]:
    """The templates by name."""
    gone = SmsTemplate.archived_at.is_not(None) if archived else SmsTemplate.archived_at.is_(None)
    return db.session.scalars(select(SmsTemplate).where(gone).order_by(func.lower(SmsTemplate.name)).limit(500)).all()


def find_signature(signature_id: int) -> SmsSignature:
    """Raises NotFound."""
    found = db.session.get(SmsSignature, signature_id)
    if found is None:
        raise NotFound
    return found


def find_template(template_id: int) -> SmsTemplate:
    """Raises NotFound."""
    found = db.session.get(SmsTemplate, template_id)
    if found is None:
        raise NotFound
    return found


def price_of_a_part() -> Price | None:
    """The price that the first SMS account in use states; None where none does."""
    accounts = db.session.scalars(
        select(ChannelAccount)
        .where(ChannelAccount.channel == "sms", ChannelAccount.weight > 0)
        .order_by(ChannelAccount.state != "active", ChannelAccount.id)
    )
    for account in accounts:
        try:
            amount = Decimal(str(account.settings.get("price_per_part") or ""))
        except InvalidOperation:
            continue
        if amount.is_finite() and amount > 0:
            return Price(amount, str(account.settings.get("currency") or ""))
    return None
