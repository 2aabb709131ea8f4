"""Contact tasks for tests: a launched campaign with a call step, its tasks written and placed as workers would."""

from collections.abc import Sequence
from datetime import date, time
from itertools import count
from typing import Any
from uuid import uuid4

from sqlalchemy import insert, select

from app.advising.channel import OutgoingTask, write_tasks
from app.advising.models import AdviserTask
from app.advising.placing import one_at_a_time, place_tasks
from app.advising.service import Contact
from app.campaigns.models import Campaign, SendingRules, State, Step
from app.clients.models import Client
from app.content.calls.models import CallScript
from app.core.clock import now, today
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Batch, Message, MessageState, Run
from app.users.models import Absence, User
from tests.factories.clients import make_client

_numbers = count(1)


def make_script(**fields: Any) -> CallScript:
    """A committed script for everyone."""
    values = {"kind": "call", "goal": "Invite to the seminar", "words": "Good morning, this is your adviser."} | fields
    with unit_of_work() as session:
        script = CallScript(**values)
        session.add(script)
    return script


def make_call_campaign(*, script: CallScript | None = None, **fields: Any) -> Campaign:
    """A committed running campaign with one call step and a run."""
    number = next(_numbers)
    script = script or make_script()
    values: dict[str, Any] = {
        "code": f"CALL-{number:04}", "name": f"Calls {number}", "purpose": "marketing", "tags": [],
        "state": State.RUNNING, "launched_at": now(),
    } | fields  # fmt: skip
    with unit_of_work() as session:
        campaign = Campaign(**values, steps=[Step(position=0, channel="call", call_script_id=script.id)])
        session.add(campaign)
        session.flush()
        session.add(Run(campaign_id=campaign.id, number=1, state="complete"))
    return campaign


def make_called_client(adviser: User | None = None, **fields: Any) -> Client:
    """A committed client who may be called."""
    number = next(_numbers)
    values: dict[str, Any] = {
        "mobile": f"+8613800{number:06}", "call_consent": True, "adviser_id": adviser.id if adviser else None,
    }  # fmt: skip
    if adviser is not None:
        values["branch_id"] = adviser.branch_id
    return make_client(**(values | fields))


def make_tasks(
    clients: Sequence[Client], *, campaign: Campaign | None = None, place: bool = True, segment_id: int | None = None
) -> list[AdviserTask]:
    """Committed tasks about these clients, in their order, with their messages in the ledger."""
    campaign = campaign or make_call_campaign()
    step = campaign.steps[0]
    run_id = db.session.scalars(select(Run.id).where(Run.campaign_id == campaign.id)).one()
    with unit_of_work() as session:
        batch = Batch(
            run_id=run_id, step_id=step.id, channel="call", state="done", size=len(clients), sent=len(clients)
        )
        session.add(batch)
        session.flush()
        message_ids = session.scalars(
            insert(Message).returning(Message.id, sort_by_parameter_order=True),
            [
                {
                    "run_id": run_id, "campaign_id": campaign.id, "step_id": step.id, "client_id": client.id,
                    "batch_id": batch.id, "channel": "call", "branch_id": client.branch_id,
                    "adviser_id": client.adviser_id, "state": MessageState.SENT, "sent_at": now(),
                }
                for client in clients
            ],
        ).all()  # fmt: skip
        assert step.call_script_id is not None
        write_tasks(step.call_script_id, [OutgoingTask(message_id, segment_id) for message_id in message_ids])
    if place:
        place_all()
    found = db.session.scalars(select(AdviserTask).where(AdviserTask.message_id.in_(message_ids)))
    by_message = {task.message_id: task for task in found}
    return [by_message[message_id] for message_id in message_ids]


def place_all(*, now_too: bool = False) -> None:
    """What the tick does."""
    with unit_of_work():
        one_at_a_time()
        place_tasks(now_too=now_too)
    db.session.expire_all()


def make_absence(user: User, deputy: User | None, *, first: date | None = None, last: date | None = None) -> Absence:
    """A committed absence, of today unless told otherwise."""
    with unit_of_work() as session:
        absence = Absence(
            user_id=user.id,
            deputy_id=deputy.id if deputy else None,
            first_day=first or today(),
            last_day=last or today(),
        )
        session.add(absence)
    return absence


def a_contact(client: Client, outcome: str, **fields: Any) -> Contact:
    """A contact that took place just now."""
    values: dict[str, Any] = {"key": f"page:{uuid4()}", "at": now()} | fields
    return Contact(client_id=client.id, outcome=outcome, **values)


def quiet(*, always: bool) -> None:
    """Quiet hours all day but for a minute, or none at all."""
    with unit_of_work() as session:
        session.merge(
            SendingRules(
                id=1,
                caps={},
                quiet_from=time(0, 1) if always else time(),
                quiet_until=time(),
                quiet_channels=["call"] if always else [],
                launch_tolerance=5,
            )
        )
