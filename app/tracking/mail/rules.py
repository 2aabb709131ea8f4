"""The firm's figures for returned mail and for replies; the defaults where nobody has changed them."""

from flask_babel import lazy_gettext as _l

from app.audit.service import record
from app.core.errors import AppError
from app.core.extensions import db
from app.core.permissions import Actor, Permission, require
from app.tracking.mail.models import InboxRules

DEFAULTS = {"soft_bounces": 3, "soft_days": 14, "answer_days": 2}


class OutOfRange(AppError):
    message = _l("Soft bounces: 1 to 100, in 1 to 365 days. Working days to answer: 0 to 30.")


def inbox_rules() -> InboxRules:
    """What holds now; not in the session where it is the defaults."""
    return db.session.get(InboxRules, 1) or InboxRules(id=1, **DEFAULTS)


def change_inbox_rules(*, soft_bounces: int, soft_days: int, answer_days: int, actor: Actor) -> None:
    """Put other figures in force for what comes from now on. Raises OutOfRange."""
    require(actor, Permission.SET_CONTACT_RULES)
    if not (1 <= soft_bounces <= 100 and 1 <= soft_days <= 365 and 0 <= answer_days <= 30):
        raise OutOfRange
    wanted = {"soft_bounces": soft_bounces, "soft_days": soft_days, "answer_days": answer_days}
    own = db.session.get(InboxRules, 1, with_for_update=True)
    if own is None:
        own = InboxRules(id=1, **DEFAULTS)
        db.session.add(own)
    changes = {name: [getattr(own, name), value] for name, value in wanted.items() if getattr(own, name) != value}
    for name, value in wanted.items():
        setattr(own, name, value)
    if changes:
        record(actor=actor, action="inbox_rules.edit", subject="inbox_rules", subject_id=1, changes=changes)
