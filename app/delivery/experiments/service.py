"""Ending a test of variants: somebody chooses what the rest of its clients gets."""

from collections.abc import Callable

from flask_babel import lazy_gettext as _l
from sqlalchemy import select, update

from app.audit.service import record
from app.campaigns.models import Campaign, State, Step
from app.campaigns.step_kinds import words_of
from app.core.clock import now
from app.core.errors import AppError, Conflict
from app.core.extensions import db
from app.core.jobs import enqueue
from app.core.permissions import Actor, Permission, require
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Run, RunTest
from app.delivery.planning import plan_step

PLAN_REST = "delivery.plan_rest"


class TooEarly(Conflict):
    message = _l("The test is not over yet. Until then there is no verdict, and the rest waits.")


class AlreadyChosen(Conflict):
    message = _l("What the rest gets was chosen already.")


def send_to_rest(*, campaign: Campaign, step: Step, variant: str, actor: Actor) -> None:
    """Send this variant, the winner or any other, to those who waited for the end of the step's test.

    Chosen once, however many ask; the choice that stands may be asked for again, should its planning have failed.
    Raises NotFound for a variant that is not there, Conflict before the end and while the campaign does not run.
    """
    require(actor, Permission.RUN_CAMPAIGNS)
    words_of(step, variant)
    test = db.session.scalar(
        select(RunTest)
        .join(Run, Run.id == RunTest.run_id)
        .where(Run.campaign_id == campaign.id, RunTest.step_id == step.id, RunTest.rest > 0)
        .order_by(RunTest.run_id.desc())
        .limit(1)
    )
    if test is None:
        raise AppError(_l("Nobody waits for the end of a test in this step."))
    if State(campaign.state) != State.RUNNING:
        raise Conflict(_l("The campaign does not run. Resume it first."))
    if now() < test.ends_at:
        raise TooEarly
    taken = db.session.execute(
        update(RunTest)
        .where(RunTest.run_id == test.run_id, RunTest.step_id == step.id, RunTest.chosen.is_(None))
        .values(chosen=variant, chosen_by_id=actor.id, chosen_at=now())
        .returning(RunTest.rest)
        .execution_options(synchronize_session=False)
    ).scalar_one_or_none()
    db.session.refresh(test)
    if taken is None and (test.chosen != variant or test.planned_at is not None):
        raise AlreadyChosen
    if taken is not None:
        record(
            actor=actor,
            action="campaign.rest_sent",
            subject="campaign",
            subject_id=campaign.id,
            changes={"step": [None, step.id], "variant": [None, variant], "clients": [0, taken]},
        )
    enqueue(PLAN_REST, run_id=test.run_id, step_id=step.id)


def plan_rest(run_id: int, step_id: int, renew: Callable[..., None]) -> None:
    """Plan the messages of the rest, in chunks. May be called again. A run that was cancelled stays as it is."""
    if db.session.get_one(Run, run_id).state == "cancelled":
        return
    plan_step(run_id, step_id, renew)
    with unit_of_work() as session:
        session.execute(
            update(RunTest)
            .where(RunTest.run_id == run_id, RunTest.step_id == step_id, RunTest.planned_at.is_(None))
            .values(planned_at=now())
        )
