"""Calls as a channel of the ledger: from a launch to tasks, and after a crash."""

from flask import Flask
from sqlalchemy import select, update

from app.advising.channel import settle_after_crash
from app.advising.models import AdviserTask
from app.campaigns.models import Campaign, State, Step
from app.channels.registry import vendors
from app.clients.engagement.models import Engagement
from app.core.clock import now
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Message, MessageState
from tests.factories.advising import make_called_client, make_script, place_all, quiet
from tests.factories.delivery import plan, send_all, states
from tests.factories.ledger import make_segment
from tests.factories.users import make_user


def launched_calls(**fields: object) -> Campaign:
    """A running call campaign to everyone, planned."""
    quiet(always=False)
    script, everyone = make_script(), make_segment("Everyone")
    with unit_of_work() as session:
        campaign = Campaign(
            code="CALLS", name="Calls", purpose="marketing", tags=[], state=State.RUNNING, launched_at=now(), **fields
        )
        campaign.steps.append(Step(position=0, channel="call", call_script_id=script.id))
        session.add(campaign)
        session.flush()
        session.execute(
            db.text(
                "INSERT INTO campaign_segment (campaign_id, segment_id, role, position) VALUES (:c, :s, 'include', 0)"
            ),
            {"c": campaign.id, "s": everyone.id},
        )
    db.session.refresh(campaign)
    plan(campaign)
    return campaign


def test_the_channel_is_registered(app: Flask) -> None:
    assert vendors()["adviser_task"].channel == "call"


def test_a_launch_writes_one_task_per_client_who_may_be_called(app: Flask) -> None:
    wang = make_user(role=Role.ADVISER)
    wanted = make_called_client(wang)
    make_called_client(wang, call_consent=False)
    make_called_client(wang, mobile=None)
    launched_calls()
    send_all()
    place_all()
    (task,) = db.session.scalars(select(AdviserTask))
    assert (task.client_id, task.adviser_id) == (wanted.id, wang.id)
    assert task.segment_id == db.session.scalar(db.text("SELECT id FROM segment WHERE name = 'Everyone'"))
    assert states() == {"sent": 1}


def test_a_task_that_is_written_is_not_a_contact_yet(app: Flask) -> None:
    make_called_client(make_user(role=Role.ADVISER))
    launched_calls()
    send_all()
    assert db.session.scalars(select(Engagement)).all() == []


def test_a_window_whose_end_nobody_saw_is_settled_by_looking(app: Flask) -> None:
    """One message's task was written before the crash, the other's was not."""
    wang = make_user(role=Role.ADVISER)
    make_called_client(wang)
    make_called_client(wang)
    launched_calls()
    send_all()
    with unit_of_work() as session:
        session.execute(update(Message).values(state=MessageState.UNCONFIRMED, sent_at=None))
        session.delete(session.scalars(select(AdviserTask).limit(1)).one())
    with unit_of_work():
        assert settle_after_crash() == 2
    assert states() == {"sent": 2}
    assert len(db.session.scalars(select(AdviserTask)).all()) == 2
    with unit_of_work():
        assert settle_after_crash() == 0
