"""Control groups and variants for tests."""

from collections.abc import Mapping, Sequence
from typing import Any

from pyroaring import BitMap64
from sqlalchemy import select, update

from app.audiences.drawing import new_salt
from app.campaigns.models import Campaign, GlobalControl, Step, Variant
from app.core.clock import now
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Message, Run, RunGroup, RunSplit, RunTest
from tests.factories.campaigns import make_content


def set_global_control(percent: float, *, salt: int | None = None) -> GlobalControl:
    """A committed control group of the firm."""
    with unit_of_work() as session:
        return session.merge(GlobalControl(id=1, percent=percent, salt=salt or new_salt()))


def add_variants(
    campaign: Campaign, shares: Sequence[float], *, step: Step | None = None, **test: Any
) -> list[Variant]:
    """Committed e-mail variants B, C... with these shares; `test` sets the step's test_percent and the like."""
    contents = [make_content(subject=f"Subject {letter}") for letter in "BCDE"[: len(shares)]]
    with unit_of_work():
        step = step or campaign.steps[0]
        step.variants = [
            Variant(letter=letter, share=share, content_id=content.id)
            for letter, share, content in zip("BCDE", shares, contents, strict=False)
        ]
        for name, value in test.items():
            setattr(step, name, value)
    return step.variants


def run_of(campaign: Campaign) -> Run:
    """The campaign's run as it is stored now."""
    db.session.expire_all()
    return db.session.scalars(select(Run).where(Run.campaign_id == campaign.id)).one()


def groups_of(run: Run) -> Mapping[str, Mapping[str, BitMap64]]:
    """The run's groups: {dimension: {key: clients}}."""
    found: dict[str, dict[str, BitMap64]] = {}
    for row in db.session.scalars(select(RunGroup).where(RunGroup.run_id == run.id)):
        found.setdefault(row.dimension, {})[row.key] = row.client_ids
    return found


def splits_of(run: Run) -> Mapping[float, BitMap64]:
    """The run's splits: {control share: clients of both arms}."""
    rows = db.session.scalars(select(RunSplit).where(RunSplit.run_id == run.id))
    return {round(row.control_share, 9): row.assigned.client_ids for row in rows}


def contacted(campaign: Campaign) -> BitMap64:
    """Whom the campaign has a message for, in any state."""
    return BitMap64(db.session.scalars(select(Message.client_id).where(Message.campaign_id == campaign.id)))


def end_tests() -> None:
    """The time of every test is over."""
    with unit_of_work() as session:
        session.execute(update(RunTest).values(ends_at=now()))
    db.session.expire_all()
