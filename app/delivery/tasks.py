"""Celery entry points of delivery."""

from sqlalchemy import select

from app.campaigns.models import Campaign, State
from app.campaigns.step_kinds import all_words
from app.channels.base import Outcome
from app.channels.models import ChannelAccount
from app.clients.models import Client
from app.core import jobs, queues
from app.core.errors import Retryable
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.delivery.accounts.service import note_test
from app.delivery.accounts.testing import send_test_through
from app.delivery.deliverability.service import CHECK_JOB, check_sender_domains, count_arrivals, order_check
from app.delivery.experiments.service import PLAN_REST, plan_rest
from app.delivery.outcomes.queries import Filter
from app.delivery.outcomes.service import decide_chunk
from app.delivery.planning import SEND_BATCH, plan_run
from app.delivery.rendering import send_copies
from app.delivery.seeds import SEND_SEEDS, order_seeds, order_waiting_seeds, send_seeds
from app.delivery.sending import send_batch
from app.delivery.stuck import mend_stuck
from app.delivery.sweeping import cancel_run, finish_runs, resume_run, sweep
from app.users.models import User

TEST_MARK = "[Test]"


@jobs.job("delivery.plan_run")
def plan(lease: jobs.Lease, *, campaign_id: int) -> None:
    """A campaign was launched: freeze its audience, plan its messages, have the seed list get its copies."""
    plan_run(campaign_id, lease.renew)
    with unit_of_work() as session:
        if session.get_one(Campaign, campaign_id, populate_existing=True).state == State.CANCELLED:
            cancel_run(campaign_id)
        finish_runs()
        order_seeds(campaign_id)


@jobs.job(PLAN_REST)
def plan_the_rest(lease: jobs.Lease, *, run_id: int, step_id: int) -> None:
    """Somebody chose what the rest of a test gets: plan it."""
    plan_rest(run_id, step_id, lease.renew)
    with unit_of_work():
        finish_runs(run_id)


@jobs.job("delivery.cancel_run")
def cancel(lease: jobs.Lease, *, campaign_id: int) -> None:
    with unit_of_work():
        lease.renew()
        cancel_run(campaign_id)


@jobs.job("delivery.resume_run")
def resume(lease: jobs.Lease, *, campaign_id: int) -> None:
    with unit_of_work():
        lease.renew()
        resume_run(campaign_id)


@jobs.job("delivery.decide")
def decide(
    lease: jobs.Lease, *, verb: str, campaign: str, account_id: int, group: str, up_to: int, reason: str, actor_id: int
) -> None:
    """Settle or retry all that a person chose, chunk by chunk."""
    chosen = Filter(
        campaign=campaign, account_id=account_id or None, group=None if group == "*" else group, up_to=up_to
    )
    done, some = 0, 1
    while some:
        with unit_of_work():
            actor = db.session.get_one(User, actor_id)
            some = decide_chunk(verb=verb, chosen=chosen, reason=reason, actor=actor)
            done += some
            lease.renew(done=done)


@jobs.job("delivery.send_test")
def send_test(lease: jobs.Lease, *, campaign_id: int, address: str, client_number: str = "") -> None:
    """A test of the campaign's first message to one member of staff."""
    campaign = db.session.get_one(Campaign, campaign_id)
    client = db.session.scalar(select(Client).where(Client.number == client_number)) if client_number else None
    for step in campaign.steps[:1]:
        for letter, words in all_words(step):
            mark = f"{TEST_MARK} {letter}:" if letter else TEST_MARK
            outcomes = send_copies(campaign=campaign, words=words, addresses=[address], client=client, mark=mark)
            if outcomes[address] is Outcome.NOT_TAKEN:
                raise Retryable


@jobs.job(SEND_SEEDS)
def send_to_seeds(lease: jobs.Lease, *, campaign_id: int) -> None:
    """The seed list gets its copies of what a launched campaign sends."""
    send_seeds(campaign_id)


@queues.tick("delivery.order_waiting_seeds", every=60, queue=queues.DEFAULT)
def look_for_waiting_seeds() -> None:
    order_waiting_seeds()


@queues.task(SEND_BATCH)
def run_batch(batch_id: int) -> None:
    """Send one batch and, where it was the last, end the run."""
    run_id = send_batch(batch_id)
    if run_id is not None:
        with unit_of_work():
            finish_runs(run_id)


@queues.tick("delivery.sweep", every=2, queue=queues.DEFAULT)
def keep_moving() -> None:
    sweep()


@queues.tick("delivery.mend_stuck", every=300, queue=queues.DEFAULT)
def look_for_stuck() -> None:
    mend_stuck()


@queues.tick("delivery.count_arrivals", every=60, queue=queues.DEFAULT)
def keep_arrivals_counted() -> None:
    count_arrivals()


@queues.tick("delivery.check_dns_daily", every=24 * 3600, queue=queues.DEFAULT)
def look_domains_up_daily() -> None:
    order_check()


@jobs.job(CHECK_JOB)
def look_domains_up(lease: jobs.Lease) -> None:
    """Ask DNS about the sender domains and keep what was found."""
    check_sender_domains()


@jobs.job("delivery.test_account")
def try_account(lease: jobs.Lease, *, account_id: int, user_id: int) -> None:
    """One message through an account to the member of staff who asked for it."""
    user = db.session.get_one(User, user_id)
    result = send_test_through(db.session.get_one(ChannelAccount, account_id), user)
    with unit_of_work():
        note_test(account_id=account_id, result=result, actor=db.session.get_one(User, user_id))
