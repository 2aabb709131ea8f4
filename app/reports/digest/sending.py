"""Sending one digest, at most once: as staff mail through the e-mail account of the house."""

from flask_babel import lazy_gettext as _l
from sqlalchemy import select, update

from app.channels.base import EmailBatch, EmailTemplate, Envelope, Outcome, OutgoingEmail
from app.channels.registry import channel_of
from app.core.clock import now
from app.core.errors import Retryable
from app.core.extensions import db, settings
from app.core.permissions import Permission, allows
from app.core.unit_of_work import unit_of_work
from app.delivery.routing import choose_account
from app.reports.digest.models import Digest, DigestIssue
from app.reports.digest.queries import figures
from app.reports.digest.writing import Written, write
from app.users.models import User

_STATES = {Outcome.SENT: "sent", Outcome.FAILED: "failed", Outcome.UNCONFIRMED: "unconfirmed"}
_GONE = _l("The worker ended while it was being handed over.")


def send_issue(issue_id: int) -> None:
    """Send a digest that is due. Raises Retryable where no account took it; one that may have left stays as it is."""
    with unit_of_work():
        issue = db.session.scalar(select(DigestIssue).where(DigestIssue.id == issue_id).with_for_update())
        if issue is None or issue.state not in ("due", "handing"):
            return
        if issue.state == "handing":  # somebody died over it: it may have left
            _settle(issue, "unconfirmed", str(_GONE))
            return
        user = db.session.get_one(User, issue.user_id)
        written = _written(issue, user)
        if written is None:
            _settle(issue, "skipped", None)
            return
        recipient = user.email
    account = choose_account("email")
    if account is None:
        raise Retryable
    channel = channel_of(account)
    if not _take(issue_id):
        return
    results = channel.send(_batch(written), [_email(issue_id, recipient)])  # no transaction is open meanwhile
    result = results[0]
    with unit_of_work():
        issue = db.session.get_one(DigestIssue, issue_id)
        if result.outcome is Outcome.NOT_TAKEN:
            issue.state = "due"
        else:
            _settle(issue, _STATES[result.outcome], result.reason)
    if result.outcome is Outcome.NOT_TAKEN:
        raise Retryable


def _take(issue_id: int) -> bool:
    """Whether it is ours to send: of two workers that come this far only one goes on."""
    with unit_of_work() as session:
        taken = session.scalar(
            update(DigestIssue)
            .where(DigestIssue.id == issue_id, DigestIssue.state == "due")
            .values(state="handing")
            .returning(DigestIssue.id)
        )
    return taken is not None


def _settle(issue: DigestIssue, state: str, error: str | None) -> None:
    issue.state, issue.error, issue.settled_at = state, error, now()


def _written(issue: DigestIssue, user: User) -> Written | None:
    """None where the person no longer wants it, may not have it, or there is nothing to tell."""
    wish = db.session.get(Digest, user.id)
    if wish is None or wish.period != issue.period or not user.is_active or not allows(user, Permission.VIEW_REPORTS):
        return None
    found = figures(user, period=issue.period, campaign_ids=wish.campaign_ids, on_date=issue.on_date)
    return write(found, user) if found.lines else None


def _batch(written: Written) -> EmailBatch:
    config = settings()
    domain = config.mail_from.partition("@")[2]
    return EmailBatch(
        EmailTemplate(subject=(written.subject,), html=(written.html,), text=(written.text,)),
        Envelope(
            from_address=config.mail_from,
            from_name=config.mail_from_name,
            list_id=f"<digest.{domain}>",
            feedback_id=f"digest:staff:{domain.replace('.', '-')}:bellwether",
            automatic=True,
        ),
    )


def _email(issue_id: int, recipient: str) -> OutgoingEmail:
    """The same token whenever it is tried, so that a receiver knows a second copy for what it is."""
    config = settings()
    return OutgoingEmail(
        message_id=0,
        token=f"digest.{issue_id}",
        recipient=recipient,
        slots=(),
        reply_to=config.mail_from,
        unsubscribe_url=f"{config.base_url.rstrip('/')}/digest",
        unsubscribe_address=config.mail_from,
    )
