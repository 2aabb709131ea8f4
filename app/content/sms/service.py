"""Writing SMS, and the signatures and templates that a vendor registers."""

from collections.abc import Sequence
from typing import Any, TypeVar

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select

from app.audit.service import record
from app.content.liquid import TEXT, parse
from app.content.personalisation import merge_fields
from app.content.sms.models import Registration, SmsContent, SmsSignature, SmsTemplate
from app.content.sms.rendering import merge_keys
from app.core.clock import now
from app.core.errors import AppError, Conflict
from app.core.extensions import db
from app.core.permissions import Actor

MAX_CHARACTERS = 1_600
MAX_NAME = 40
Registered = TypeVar("Registered", SmsSignature, SmsTemplate)


class NameTaken(Conflict):
    message = _l("Another one in use has this name. Choose a different name.")


def new_sms(
    *, text: str, signature_id: int | None = None, template_id: int | None = None, actor: Actor | None
) -> SmsContent:
    """What was written, checked; the row is not in the session yet. With a template, the words are the template's.

    Raises AppError with a sentence, ContentInvalid where merge fields cannot be read.
    """
    signature = _in_use(SmsSignature, signature_id)
    template = _in_use(SmsTemplate, template_id)
    text = template.text if template else _clean(text)
    _check_text(text)
    content = SmsContent(text=text, created_by_id=actor.id if actor else None)
    content.signature_id = signature.id if signature else None
    content.template_id = template.id if template else None
    return content


def same_sms(one: SmsContent | None, other: SmsContent) -> bool:
    """True where saving again would change nothing."""
    return one is not None and (one.text, one.signature_id, one.template_id) == (
        other.text,
        other.signature_id,
        other.template_id,
    )


def registration_refusal(content: SmsContent) -> str | None:
    """Why a vendor would not let this wording through, in the words kept with a message; None: nothing is known."""
    if content.signature is not None and not _registered(content.signature):
        return "the SMS signature is not registered"
    if content.template is not None:
        if not _registered(content.template):
            return "the SMS template is not registered"
        if content.template.text != content.text:
            return "the wording is not that of the registered SMS template"
    return None


def save_signature(
    *,
    signature: SmsSignature | None,
    name: str,
    vendor_reference: str,
    state: str,
    note: str,
    actor: Actor | None,
) -> SmsSignature:
    """Add a signature (None) or change one. Another name is another signature to the vendor: it starts anew."""
    name = " ".join(name.replace("【", "").replace("】", "").replace("\0", "").split())
    facts = {"name": _checked_name(name), "vendor_reference": _line(vendor_reference), "note": _line(note)}
    return _save(SmsSignature, signature, facts, state, actor, "sms_signature", words=("name",))


def save_template(
    *,
    template: SmsTemplate | None,
    name: str,
    text: str,
    variables: Sequence[str],
    vendor_reference: str,
    state: str,
    note: str,
    actor: Actor | None,
) -> SmsTemplate:
    """Add a template (None) or change one. Another wording is another template to the vendor: it starts anew.

    Raises AppError where the text holds a merge field that is not among `variables`.
    """
    text = _clean(text)
    _check_text(text)
    allowed = list(dict.fromkeys(key.strip() for key in variables if key.strip()))
    for key in merge_keys(text):
        if key not in allowed:
            raise AppError(_l("“%(field)s” is not among the variables registered with the vendor.", field=key))
    facts: dict[str, Any] = {
        "name": _checked_name(" ".join(name.replace("\0", "").split())),
        "text": text,
        "variables": allowed,
        "vendor_reference": _line(vendor_reference),
        "note": _line(note),
    }
    return _save(SmsTemplate, template, facts, state, actor, "sms_template", words=("text", "variables"))


def archive(*, item: SmsSignature | SmsTemplate, actor: Actor | None) -> None:
    """Take a signature or template out of use. What was sent with it keeps it."""
    if item.archived_at is None:
        item.archived_at = now()
        record(actor=actor, action=f"{item.__tablename__}.archived", subject=item.__tablename__, subject_id=item.id)


def _save(
    table: type[Registered],
    item: Registered | None,
    facts: dict[str, Any],
    state: str,
    actor: Actor | None,
    subject: str,
    *,
    words: Sequence[str],
) -> Registered:
    if state not in set(Registration):
        raise AppError(_l("Choose where the registration stands."))
    wanted = Registration(state)
    if wanted is Registration.REGISTERED and not facts["vendor_reference"]:
        raise AppError(_l("A registered one has an id from the vendor. Enter it."))
    db.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(subject, 0))))
    taken = select(table.id).where(func.lower(table.name) == facts["name"].lower(), table.archived_at.is_(None))
    if item is not None:
        taken = taken.where(table.id != item.id)
        rewritten = any(getattr(item, word) != facts[word] for word in words)
        if rewritten and item.state == Registration.REGISTERED and facts["vendor_reference"] == item.vendor_reference:
            wanted = Registration.NOT_SUBMITTED  # what the vendor knows is not this any more
    if db.session.scalar(taken) is not None:
        raise NameTaken
    before = {key: getattr(item, key) if item else None for key in (*facts, "state")}
    kept = item or table()
    for key, value in facts.items():
        setattr(kept, key, value)
    kept.state, kept.updated_at = wanted, now()
    db.session.add(kept)
    db.session.flush()
    after = {**facts, "state": wanted.value}
    changes = {key: [before[key], after[key]] for key in after if before[key] != after[key]}
    if changes:
        act = "updated" if item else "created"
        record(actor=actor, action=f"{subject}.{act}", subject=subject, subject_id=kept.id, changes=changes)
    return kept


def _in_use(table: type[Registered], key: int | None) -> Registered | None:
    if key is None:
        return None
    item = db.session.get(table, key)
    if item is None or item.archived_at is not None:
        raise AppError(_l("This signature or template is no longer in use. Choose another one."))
    return item


def _registered(item: SmsSignature | SmsTemplate) -> bool:
    return item.state == Registration.REGISTERED and item.archived_at is None


def _clean(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\0", "").strip()


def _check_text(text: str) -> None:
    if not text:
        raise AppError(_l("Write what the SMS says."))
    if len(text) > MAX_CHARACTERS:
        raise AppError(_l("An SMS may have %(limit)s characters at most.", limit=MAX_CHARACTERS))
    parse(TEXT, text, "SMS")
    known = {field.key for field in merge_fields()}
    for key in merge_keys(text):
        if key not in known:
            raise AppError(_l("There is no merge field “%(field)s”.", field=key))


def _checked_name(name: str) -> str:
    if not name or len(name) > MAX_NAME:
        raise AppError(_l("A name has 1 to %(limit)s characters.", limit=MAX_NAME))
    return name


def _line(text: str) -> str | None:
    return " ".join(text.replace("\0", "").split())[:200] or None
