"""What workers do with mail: read what was kept, note what relays refused, poll the mailbox."""

from sqlalchemy import delete, select

from app.core import jobs
from app.core.extensions import db, settings
from app.core.jobs import Job, Lease, enqueue
from app.core.queues import TRACK, tick
from app.core.unit_of_work import unit_of_work
from app.tracking.mail import polling, suppression
from app.tracking.mail.models import InboundMail
from app.tracking.mail.receiving import MAX_ATTEMPTS, READ_MAIL, log, park, read_mail

POLL = "tracking.poll_mailbox"


@jobs.job(READ_MAIL)
def read_kept(lease: Lease, *, mail_id: int) -> None:
    """Read one message that was kept. One that ends workers, or fails in a way nobody thought of, is parked."""
    with unit_of_work():
        mail = db.session.get_one(InboundMail, mail_id, with_for_update=True)
        if mail.state != "waiting":
            return
        mail.attempts += 1
        if mail.attempts > MAX_ATTEMPTS:
            park(mail, "unreadable")
            return
    try:
        with unit_of_work():
            mail = db.session.get_one(InboundMail, mail_id, with_for_update=True)
            if mail.state == "waiting":
                read_mail(mail)
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        # The parsers raise several kinds on hostile input; the database's own errors are not among these.
        log.exception("mail_not_read", mail=mail_id, error=type(error).__name__)
        with unit_of_work():
            park(db.session.get_one(InboundMail, mail_id), "unreadable")


@tick("tracking.note_refusals", every=15, queue=TRACK)
def note_refusals() -> None:
    """Make events of what relays refused for good."""
    suppression.note_refusals()


@tick("tracking.poll_mailboxes", every=20, queue=TRACK)
def poll_mailboxes() -> None:
    """Order a look into the mailbox, where one is set up and nobody is looking."""
    if not settings().imap_url:
        return
    db.session.execute(
        delete(Job).where(Job.name == POLL, Job.state.in_(("done", "failed")))
    )  # it is done all day long
    busy = select(Job.id).where(Job.name == POLL, Job.state.in_(("due", "running"))).exists()
    if not db.session.scalar(select(busy)):
        enqueue(POLL, queue=TRACK)


@jobs.job(POLL)
def poll_mailbox(lease: Lease) -> None:
    """Take in what is new in the mailbox."""
    polling.poll(renew=lease.renew)
