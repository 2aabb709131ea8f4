"""The copies of the real send that the seed list gets: once each, outside all counts."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, exists, literal, select, update

from app.campaigns.models import Campaign, State, Step
from app.campaigns.step_kinds import all_words
from app.channels.base import Outcome
from app.core.clock import now
from app.core.errors import Retryable
from app.core.extensions import db
from app.core.jobs import Job, enqueue
from app.core.queues import SEND_EMAIL
from app.core.unit_of_work import unit_of_work
from app.delivery.models import MessageState, Run, SeedMessage, move
from app.delivery.rendering import send_copies
from app.delivery.routing import choose_account
from app.delivery.rules import marketing_is_stopped
from app.delivery.sending import STATE_OF

SEND_SEEDS = "delivery.send_seeds"
# A small campaign is complete before its seeds have gone.
_GOES_ON = (State.RUNNING, State.COMPLETE)
# What several copies for an address came to: the first of these that any did. None is sent twice.
_IN_DOUBT = (Outcome.SENT, Outcome.UNCONFIRMED, Outcome.FAILED, Outcome.NOT_TAKEN)


def order_seeds(campaign_id: int) -> None:
    """Have the copies sent by a job, in the caller's transaction."""
    enqueue(SEND_SEEDS, queue=SEND_EMAIL, campaign_id=campaign_id)


def order_waiting_seeds() -> None:
    """Once more for what had to wait: for an account, for a campaign that was paused, for marketing to start again."""
    pending = exists(
        select(literal(1)).where(
            Job.name == SEND_SEEDS,
            Job.args["campaign_id"].as_integer() == Campaign.id,
            Job.state.in_(("due", "running")),
        )
    )
    waiting = exists(
        select(literal(1)).where(
            SeedMessage.run_id == Run.id, Run.campaign_id == Campaign.id, SeedMessage.state == MessageState.PLANNED
        )
    )
    for campaign in db.session.scalars(select(Campaign).where(Campaign.state.in_(_GOES_ON), waiting, ~pending)):
        if _may_leave(campaign):
            order_seeds(campaign.id)


def send_seeds(campaign_id: int) -> None:
    """Each seed once, every variant: a row moves before its copies leave, so a repeated job sends nothing twice.

    What no channel took waits for the next time. Raises Retryable while no account can take mail.
    """
    for step in db.session.get_one(Campaign, campaign_id).steps:
        if step.content is None:
            continue
        with unit_of_work() as session:
            campaign = session.get_one(Campaign, campaign_id, populate_existing=True)
            if choose_account("email") is None:
                raise Retryable
            if not _may_leave(campaign):
                return
            addresses = _move(campaign_id, step, MessageState.PLANNED, MessageState.HANDING)
        for state, some in (_sent(campaign, step, addresses) if addresses else {}).items():
            with unit_of_work():
                _move(campaign_id, step, MessageState.HANDING, state, SeedMessage.email.in_(some))


def _sent(campaign: Campaign, step: Step, addresses: Sequence[str]) -> dict[MessageState, list[str]]:
    """Sends every variant; {state: the addresses whose copies came to that}."""
    outcomes: dict[str, set[Outcome]] = {address: set() for address in addresses}
    for letter, words in all_words(step):
        mark = f"[{letter}]" if letter else ""
        for address, outcome in send_copies(
            campaign=campaign, words=words, addresses=addresses, client=None, mark=mark
        ).items():
            outcomes[address].add(outcome)
    states: dict[MessageState, list[str]] = {}
    for address, found in outcomes.items():
        first = next(outcome for outcome in _IN_DOUBT if outcome in found)
        states.setdefault(STATE_OF[first], []).append(address)
    return states


def _may_leave(campaign: Campaign) -> bool:
    return campaign.state in _GOES_ON and (campaign.purpose != "marketing" or not marketing_is_stopped())


def _move(
    campaign_id: int, step: Step, since: MessageState, state: MessageState, *conditions: ColumnElement[bool]
) -> Sequence[str]:
    """Returns the addresses of the rows that moved."""
    return db.session.scalars(
        update(SeedMessage)
        .where(
            SeedMessage.run_id.in_(select(Run.id).where(Run.campaign_id == campaign_id)),
            SeedMessage.step_id == step.id,
            SeedMessage.state == since,
            *conditions,
        )
        .values(state=move(since, state), sent_at=now() if state == MessageState.SENT else None)
        .returning(SeedMessage.email)
        .execution_options(synchronize_session=False)
    ).all()
