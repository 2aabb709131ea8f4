"""Verbs on the accounts that messages leave through, for administrators. Each is audited; no secret passes here."""

import os
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.audit.service import record
from app.channels.base import Setting, Vendor
from app.channels.models import LOCATIONS, ChannelAccount, ChannelLimit
from app.channels.registry import vendors
from app.core.clock import now, today
from app.core.errors import AppError, Conflict
from app.core.extensions import db, settings
from app.core.jobs import enqueue
from app.core.permissions import Permission, require
from app.core.queues import SEND_EMAIL
from app.delivery.accounts.queries import SUBJECT
from app.delivery.models import Batch
from app.users.models import User

_SECRET_NAME = re.compile(r"[A-Z][A-Z0-9_]{1,79}")
_DOMAIN = re.compile(r"(?!-)[a-z0-9-]{1,63}(\.(?!-)[a-z0-9-]{1,63})+")
# What this product keeps in the environment for itself: an account could hand it to whoever it talks to.
OWN_VARIABLES = {
    "SECRET_KEY", "DATABASE_URL", "BROKER_URL", "INBOUND_TOKEN", "SENDGRID_WEBHOOK_KEY", "PATH", "HOME", "VAR_DIR",
}  # fmt: skip
FACTS = (
    "name", "settings", "secret_name", "weight", "rate_per_second", "daily_limit", "warm_up_from", "warm_up_first",
    "warm_up_factor", "location",
)  # fmt: skip


class BadAccount(AppError):
    """A fact of the account is not acceptable; `field` names it."""

    def __init__(self, field: str, message: object) -> None:
        super().__init__(message)
        self.field = field


def add_account(*, vendor: str, facts: Mapping[str, Any], actor: User) -> ChannelAccount:
    """A new way out through a known vendor. `facts` are those of FACTS. Raises BadAccount."""
    require(actor, Permission.ADMINISTER)
    known = vendors().get(vendor)
    if known is None:
        raise BadAccount("vendor", _l("There is no such vendor."))
    account = ChannelAccount(channel=known.channel, vendor=vendor, **_checked(known, facts, None))
    db.session.add(account)
    db.session.flush()
    record(actor=actor, action="create", subject=SUBJECT, subject_id=account.id, changes={"name": [None, account.name]})
    return account


def edit_account(*, account: ChannelAccount, facts: Mapping[str, Any], actor: User) -> None:
    """Change facts of the account; workers take the new ones at their next batch. Raises BadAccount."""
    require(actor, Permission.ADMINISTER)
    checked = _checked(vendors()[account.vendor], facts, account)
    changes = {
        name: [_plain(getattr(account, name)), _plain(value)]
        for name, value in checked.items()
        if getattr(account, name) != value
    }
    if not changes:
        return
    for name, value in checked.items():
        setattr(account, name, value)
    account.changed_at = now()
    record(actor=actor, action="edit", subject=SUBJECT, subject_id=account.id, changes=changes)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def _checked(vendor: Vendor, facts: Mapping[str, Any], account: ChannelAccount | None) -> dict[str, Any]:
    values: dict[str, Any] = {name: facts.get(name) for name in FACTS}
    name = str(values["name"] or "").strip()
    if not name or len(name) > 60:
        raise BadAccount("name", _l("Please enter a name of at most 60 characters."))
    taken = select(ChannelAccount.id).where(func.lower(ChannelAccount.name) == name.lower())
    if db.session.scalar(taken.where(ChannelAccount.id != (account.id if account else 0))):
        raise BadAccount("name", _l("There is an account with this name already."))
    values["name"] = account.name if account is not None and account.name == "default" else name
    values["secret_name"] = _secret_name(values["secret_name"])
    if values["location"] not in LOCATIONS:
        raise BadAccount("location", _l("Please choose where the data goes."))
    warm_up = [values[part] for part in ("warm_up_from", "warm_up_first", "warm_up_factor")]
    if any(part is not None for part in warm_up) and None in warm_up:
        raise BadAccount("warm_up_from", _l("A warm-up needs its first day, its first number and its growth."))
    values["settings"] = _settings(vendor, values["settings"] or {})
    if values["location"] == "domestic" and vendor.abroad(values["settings"], settings()):
        raise BadAccount("location", _l("%(vendor)s takes the data abroad.", vendor=vendor.label))
    secret = os.environ.get(values["secret_name"] or "")
    if vendor.secret_label is not None and values["secret_name"] and not secret:
        return values  # the secret stands where the workers run, so nothing can be tried here
    try:
        vendor.build(values["settings"], secret, settings())
    except (ValueError, AppError) as error:
        raise BadAccount("settings", str(error)) from error
    return values


def _secret_name(name: object) -> str | None:
    text = str(name or "").strip()
    if not text:
        return None
    if not _SECRET_NAME.fullmatch(text):
        raise BadAccount("secret_name", _l("Only the name of an environment variable: capitals, digits, underscores."))
    if text in OWN_VARIABLES:
        raise BadAccount("secret_name", _l("This variable belongs to the product itself. Use one for this account."))
    return text


def _settings(vendor: Vendor, given: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for setting in vendor.settings:
        value = given.get(setting.name)
        if value in (None, ""):
            if setting.required:
                raise BadAccount(setting.name, _l("Please fill this in."))
            continue
        values[setting.name] = _setting(setting, value)
    return values


def _setting(setting: Setting, value: Any) -> Any:
    if setting.kind == "yesno":
        return bool(value)
    if setting.kind == "number":
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise BadAccount(setting.name, _l("Please enter a number.")) from error
        return int(number) if number.is_integer() else number
    text = str(value)
    if "\x00" in text or len(text) > 20_000:
        raise BadAccount(setting.name, _l("This cannot be kept as it is."))
    if setting.kind == "choice" and text not in {key for key, _label in setting.choices}:
        raise BadAccount(setting.name, _l("Please choose one of the list."))
    return text


# ---- On and off ----------------------------------------------------------------------------------------------------


def pause_account(*, account: ChannelAccount, reason: str, actor: User) -> None:
    """Nothing more leaves through it after the windows that are on their way; its batches go to the others."""
    require(actor, Permission.ADMINISTER)
    _change_state(account, "paused", _said(reason), actor, "pause")


def resume_account(*, account: ChannelAccount, actor: User) -> None:
    """It takes messages again, at once, with its troubles forgotten."""
    require(actor, Permission.ADMINISTER)
    if account.archived_at is not None:
        raise Conflict(_l("It is archived. Take it out of the archive first."))
    account.failures = 0
    _change_state(account, "active", None, actor, "resume")


def _change_state(account: ChannelAccount, state: str, reason: str | None, actor: User, action: str) -> None:
    db.session.flush()
    db.session.refresh(account, with_for_update=True)
    before, account.state, account.state_reason, account.resting_until = account.state, state, reason, None
    record(
        actor=actor, action=action, subject=SUBJECT, subject_id=account.id,
        changes={"state": [before, state]}, reason=reason,
    )  # fmt: skip


def resume_marketing(*, account: ChannelAccount, reason: str, actor: User) -> None:
    """A person looked into the complaints: marketing leaves through it again. Those of days to come count afresh."""
    require(actor, Permission.ADMINISTER)
    words = _said(reason)
    if account.marketing_paused_at is None:
        raise Conflict
    account.complaints_from = _tomorrow()
    account.marketing_paused_at = account.marketing_paused_for = None
    record(actor=actor, action="resume_marketing", subject=SUBJECT, subject_id=account.id, reason=words)


def archive_account(*, account: ChannelAccount, actor: User) -> None:
    """Out of use for good. It is kept, because messages say that they went through it."""
    require(actor, Permission.ADMINISTER)
    if account.archived_at is None:
        account.archived_at = now()
        record(actor=actor, action="archive", subject=SUBJECT, subject_id=account.id)


def restore_account(*, account: ChannelAccount, actor: User) -> None:
    """Out of the archive, paused: somebody resumes it when it is ready."""
    require(actor, Permission.ADMINISTER)
    if account.archived_at is not None:
        account.archived_at = None
        account.state, account.state_reason, account.resting_until = "paused", None, None
        record(actor=actor, action="restore", subject=SUBJECT, subject_id=account.id)


def record_legal_basis(*, account: ChannelAccount, text: str, actor: User) -> None:
    """On what ground clients' data may go to a foreign vendor: text, who and when are kept. "" takes it back."""
    require(actor, Permission.ADMINISTER)
    words = text.strip().replace("\x00", "")
    if len(words) > 2_000:
        raise AppError(_l("At most %(count)s characters, please.", count="2,000"))
    before, account.legal_basis = account.legal_basis, words or None
    account.legal_basis_by_id, account.legal_basis_at = (actor.id, now()) if words else (None, None)
    record(
        actor=actor, action="legal_basis", subject=SUBJECT, subject_id=account.id,
        changes={"legal_basis": [before, words or None]},
    )  # fmt: skip


def order_test(*, account: ChannelAccount, actor: User) -> None:
    """One message through this account to the person's own address, whatever its state."""
    require(actor, Permission.ADMINISTER)
    if account.channel != "email":
        raise AppError(_l("Tests go to your own e-mail address, so only accounts for e-mail can be tested here."))
    enqueue("delivery.test_account", queue=SEND_EMAIL, account_id=account.id, user_id=actor.id)


def note_test(*, account_id: int, result: str, actor: User) -> None:
    """What became of a test: "sent", or the vendor's words."""
    record(actor=actor, action="test", subject=SUBJECT, subject_id=account_id, changes={"result": result[:300]})


def _said(reason: str) -> str:
    words = reason.strip().replace("\x00", "")
    if not words or len(words) > 300:
        raise AppError(_l("Please give a reason of at most 300 characters."))
    return words


def _tomorrow() -> date:
    return date.fromordinal(today().toordinal() + 1)


# ---- Receiving domains ---------------------------------------------------------------------------------------------


def set_throttle(*, domain: str, rate_per_second: float, actor: User) -> None:
    """At most so many messages a second to this receiving domain, through all accounts together."""
    require(actor, Permission.ADMINISTER)
    name = domain.strip().lower().rstrip(".")
    if not _DOMAIN.fullmatch(name) or len(name) > 253:
        raise BadAccount("domain", _l("Please enter a domain such as example.com."))
    if not 0.01 <= rate_per_second <= 100_000:
        raise BadAccount(
            "rate_per_second", _l("Please enter a number from %(low)s to %(high)s.", low="0.01", high="100,000")
        )
    db.session.execute(
        upsert(ChannelLimit)
        .values(account_id=None, domain=name, rate_per_second=rate_per_second, tokens=1)
        .on_conflict_do_update(index_elements=["account_id", "domain"], set_={"rate_per_second": rate_per_second})
    )
    record(
        actor=actor, action="throttle", subject=SUBJECT, subject_id=None,
        changes={"domain": name, "rate_per_second": rate_per_second},
    )  # fmt: skip


def remove_throttle(*, limit: ChannelLimit, actor: User) -> None:
    """The domain gets messages as fast as the accounts allow; those that queued for it go on at once."""
    require(actor, Permission.ADMINISTER)
    record(
        actor=actor, action="throttle", subject=SUBJECT, subject_id=None,
        changes={"domain": limit.domain, "rate_per_second": [limit.rate_per_second, None]},
    )  # fmt: skip
    limit.rate_per_second = None
    db.session.execute(
        update(Batch)
        .where(Batch.domain == limit.domain, Batch.state == "open", Batch.token.is_(None))
        .values(due_at=now())
        .execution_options(synchronize_session=False)
    )
