"""Whatever state a row is stuck in, it is found and goes on."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select, update

from app.campaigns.models import Campaign, State
from app.core.clock import now
from app.core.extensions import db
from app.core.jobs import Job
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Batch, Message, Run
from app.delivery.stuck import mend_stuck, stuck_counts
from tests.factories.campaigns import make_campaign
from tests.factories.clients import make_clients
from tests.factories.delivery import do_due_jobs, launched, send_all, states

pytestmark = pytest.mark.usefixtures("app")


def change(table: type, **values: object) -> None:
    with unit_of_work() as session:
        session.execute(update(table).values(**values))


def mended() -> dict[str, int]:
    with unit_of_work():
        found = mend_stuck()
    assert all(count == 0 for count in stuck_counts().values())
    db.session.rollback()
    return found


def test_a_sound_ledger_has_nothing_stuck() -> None:
    make_clients(3)
    launched()
    assert mended() == {}
    send_all()
    assert mended() == {}
    assert states() == {"sent": 3}


@pytest.mark.parametrize("ended", [False, True])
def test_planned_rows_of_a_done_batch_are_sent(ended: bool) -> None:
    make_clients(3)
    campaign = launched()
    change(Batch, state="done")
    if ended:
        change(Run, state="complete", finished_at=now())
        change(Campaign, state=State.COMPLETE, finished_at=now())
    assert mended() == {"planned in a batch that is done": 3}
    send_all()
    assert states() == {"sent": 3}
    db.session.refresh(campaign)
    assert campaign.state == State.COMPLETE


def test_rows_on_their_way_that_no_worker_has_await_receipt() -> None:
    make_clients(3)
    launched()
    change(Message, state="handing")
    assert mended() == {"on its way without a worker": 3}
    assert states() == {"unconfirmed": 3}
    assert db.session.scalars(select(Batch.unconfirmed)).one() == 3
    send_all()
    assert db.session.scalars(select(Run.state)).one() == "complete"


def test_rows_on_their_way_with_a_worker_are_left_alone() -> None:
    make_clients(3)
    launched()
    change(Message, state="handing")
    change(Batch, token=uuid4(), lease_until=now() + timedelta(minutes=1))
    assert mended() == {}


def test_rows_that_came_back_after_a_cancellation_are_cancelled() -> None:
    make_clients(2)
    launched()
    change(Run, state="cancelled", finished_at=now())
    assert mended() == {"planned in a cancelled run": 2, "batch open in a run that ended": 1}
    assert states() == {"cancelled": 2}
    assert db.session.scalars(select(Batch.state)).one() == "done"


def test_a_claim_without_an_end_gets_one() -> None:
    make_clients(2)
    launched()
    change(Batch, token=uuid4(), lease_until=None)
    assert mended() == {"batch claimed without an end": 1}
    assert db.session.scalars(select(Batch.lease_until)).one() is not None


def test_a_launch_whose_planning_failed_is_planned_again() -> None:
    make_clients(4)
    make_campaign(state=State.RUNNING, launched_at=now() - timedelta(hours=1))
    with unit_of_work() as session:
        campaign_id = session.scalars(select(Campaign.id)).one()
        session.add(
            Job(
                name="delivery.plan_run", queue="default", args={"campaign_id": campaign_id}, state="failed",
                attempts=8, done=0, finished_at=now() - timedelta(minutes=30),
            )
        )  # fmt: skip
    assert stuck_counts()["launched and not planned"] == 1
    assert mended() == {"launched and not planned": 1}
    do_due_jobs()
    assert states() == {"planned": 4}


def test_a_launch_that_is_being_planned_is_left_alone() -> None:
    make_clients(1)
    make_campaign(state=State.RUNNING, launched_at=now() - timedelta(hours=1))
    with unit_of_work() as session:
        campaign_id = session.scalars(select(Campaign.id)).one()
        session.add(
            Job(name="delivery.plan_run", queue="default", args={"campaign_id": campaign_id}, attempts=0, done=0)
        )
    assert mended() == {}


def test_the_run_of_a_cancelled_campaign_is_cancelled() -> None:
    make_clients(3)
    launched()
    change(Campaign, state=State.CANCELLED)
    assert mended() == {"run of a cancelled campaign": 1}
    assert states() == {"cancelled": 3}
