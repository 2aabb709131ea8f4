"""The seed list gets the real send: once, when clients get it, outside all counts."""

import pytest
from sqlalchemy import select, update

from app.campaigns.models import Campaign, State
from app.channels.models import ChannelAccount
from app.core.errors import Retryable
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.delivery.models import MarketingStop, MessageState, SeedMessage
from app.delivery.routing import choose_account
from app.delivery.seeds import order_waiting_seeds, send_seeds
from tests.factories.clients import make_clients
from tests.factories.delivery import do_due_jobs, launched, mailbox_count, set_state, states
from tests.factories.users import make_user

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def campaign(app: object) -> Campaign:
    make_clients(2)
    return launched(seeds=["seed@firm.example"])


def seed_state() -> MessageState:
    db.session.expire_all()
    return db.session.scalars(select(SeedMessage.state)).one()


def look_for_waiting() -> None:
    with unit_of_work():
        order_waiting_seeds()
    do_due_jobs()


def test_a_copy_outside_all_counts(campaign: Campaign) -> None:
    send_seeds(campaign.id)
    send_seeds(campaign.id)
    assert mailbox_count() == 1
    assert seed_state() == MessageState.SENT
    assert states() == {"planned": 2}


@pytest.mark.parametrize("state", [State.PAUSED, State.HELD, State.REVISING])
def test_nothing_leaves_while_the_campaign_does_not_run(campaign: Campaign, state: State) -> None:
    set_state(campaign, state)
    send_seeds(campaign.id)
    look_for_waiting()
    assert (mailbox_count(), seed_state()) == (0, MessageState.PLANNED)
    set_state(campaign, State.RUNNING)
    look_for_waiting()
    look_for_waiting()
    assert (mailbox_count(), seed_state()) == (1, MessageState.SENT)


def test_nothing_leaves_while_marketing_is_stopped(campaign: Campaign) -> None:
    officer = make_user()
    with unit_of_work() as session:
        session.add(MarketingStop(reason="a wrong rate", stopped_by_id=officer.id))
    send_seeds(campaign.id)
    look_for_waiting()
    assert (mailbox_count(), seed_state()) == (0, MessageState.PLANNED)


def test_copies_wait_for_an_account(campaign: Campaign) -> None:
    with unit_of_work() as session:
        choose_account("email")
        session.execute(update(ChannelAccount).values(state="paused"))
    with pytest.raises(Retryable):
        send_seeds(campaign.id)
    db.session.rollback()
    assert (mailbox_count(), seed_state()) == (0, MessageState.PLANNED)
    with unit_of_work() as session:
        session.execute(update(ChannelAccount).values(state="active"))
    look_for_waiting()
    assert (mailbox_count(), seed_state()) == (1, MessageState.SENT)


def test_a_copy_that_was_on_its_way_when_a_worker_died_is_not_sent_again(campaign: Campaign) -> None:
    with unit_of_work() as session:
        session.execute(update(SeedMessage).values(state=MessageState.HANDING))
    send_seeds(campaign.id)
    look_for_waiting()
    assert (mailbox_count(), seed_state()) == (0, MessageState.HANDING)
