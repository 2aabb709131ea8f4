"""Launches for tests, and doing by hand what the workers would do."""

from datetime import time
from typing import Any

from sqlalchemy import func, select

from app.campaigns.models import Campaign, SendingRules, State
from app.channels.email.models import MailboxMessage
from app.core.extensions import db
from app.core.jobs import Job, run_job
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Batch, Message
from app.delivery.planning import plan_run
from app.delivery.sending import Window, Work, claim_batch, hand_over
from app.delivery.tasks import run_batch
from tests.factories.campaigns import make_campaign


def do_due_jobs() -> None:
    """Run every job that is due, as a worker would."""
    for job_id in db.session.scalars(select(Job.id).where(Job.state == "due").order_by(Job.id)).all():
        run_job(job_id)


def plan(campaign: Campaign) -> list[int]:
    """Plan a running campaign's messages; returns the batch ids."""
    plan_run(campaign.id, lambda **_: None)
    return list(db.session.scalars(select(Batch.id).order_by(Batch.id)))


def launched(**fields: object) -> Campaign:
    """A running, planned campaign to everyone."""
    campaign = make_campaign(state=State.RUNNING, **fields)  # type: ignore[arg-type]
    plan(campaign)
    return campaign


def claimed(batch_id: int | None = None) -> Work | None:
    """The batch (the only one there is, unless told) claimed by a worker, where it can be."""
    with unit_of_work():
        return claim_batch(db.session.scalars(select(Batch.id)).one() if batch_id is None else batch_id)


def handed_over(limit: int, *, batch_id: int | None = None) -> tuple[Work, Window]:
    """A claimed batch, and its first window on its way."""
    work = claimed(batch_id)
    assert work is not None
    with unit_of_work():
        window = hand_over(work, limit=limit)
    assert window is not None
    return work, window


def send_all() -> None:
    """Run every open batch once, as a worker would."""
    for batch_id in db.session.scalars(select(Batch.id).where(Batch.state == "open").order_by(Batch.id)).all():
        run_batch(batch_id)
    db.session.expire_all()


def states() -> dict[str, int]:
    """How many messages are in each state."""
    db.session.expire_all()
    counts: dict[str, int] = {}
    for state in db.session.scalars(select(Message.state)):
        counts[str(state)] = counts.get(str(state), 0) + 1
    return counts


def set_state(campaign: Campaign, state: State) -> None:
    with unit_of_work():
        db.session.get_one(Campaign, campaign.id).state = state


def mailbox_count() -> int:
    """How many e-mails the local mailbox has."""
    return db.session.scalar(select(func.count(MailboxMessage.id))) or 0


def set_rules(**facts: Any) -> None:
    """The firm's rules: nothing capped and nothing quiet unless said."""
    values = {
        "caps": {}, "quiet_from": time(21), "quiet_until": time(8), "quiet_channels": [], "launch_tolerance": 5.0,
    } | facts  # fmt: skip
    with unit_of_work() as session:
        session.merge(SendingRules(id=1, **values))
