"""How often a form may be sent: counted in PostgreSQL, so that it holds for all processes and outlives the broker."""

import hmac
from datetime import datetime, timedelta

from sqlalchemy import delete, text

from app.core.clock import now
from app.core.extensions import db, settings
from app.tracking.lead_forms.models import FormAttempt

STRETCH = timedelta(minutes=10)
PER_SENDER = 10  # a family, or a branch's tablet at a stall: more than one person may sit behind an address
PER_FORM = 600
EVERYBODY = ""

_COUNT = text(
    """
    INSERT INTO form_attempt (form_id, sender, since, attempts)
    VALUES (:form, :sender, :since, 1), (:form, :everybody, :since, 1)
    ON CONFLICT (form_id, sender, since) DO UPDATE SET attempts = form_attempt.attempts + 1
    RETURNING sender, attempts
    """
)


def sender_of(address: str | None) -> str:
    """A keyed digest of a network address: enough to count by, nothing to find anybody with."""
    key = settings().secret_key.encode()
    return hmac.digest(key, b"form attempt " + (address or "unknown").encode(), "sha256").hex()[:32]


def may_send(form_id: int, sender: str) -> bool:
    """Count an attempt, in the current transaction. False where there were too many in this stretch of time."""
    since = datetime.fromtimestamp(now().timestamp() // STRETCH.total_seconds() * STRETCH.total_seconds(), now().tzinfo)
    values = {"form": form_id, "sender": sender, "everybody": EVERYBODY, "since": since}
    counts = {row.sender: row.attempts for row in db.session.execute(_COUNT, values)}
    return bool(counts[sender] <= PER_SENDER and counts[EVERYBODY] <= PER_FORM)


def forget_attempts() -> None:
    """Drop the counts of stretches that are over."""
    db.session.execute(delete(FormAttempt).where(FormAttempt.since < now() - 2 * STRETCH))
