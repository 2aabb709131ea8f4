"""How far a campaign's delivery has come, from the counts on its batches."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from app.core.extensions import db
from app.delivery.models import Batch, Run


@dataclass(frozen=True, slots=True)
class Progress:
    """planned = sent + failed + skipped + unconfirmed + waiting."""

    run: Run
    planned: int
    sent: int
    failed: int
    skipped: int
    unconfirmed: int

    @property
    def done(self) -> int:
        return self.sent + self.failed + self.skipped + self.unconfirmed

    @property
    def waiting(self) -> int:
        return self.planned - self.done


def campaign_progress(campaign_id: int) -> Progress | None:
    """The progress of the campaign's run; None where it has not been launched."""
    run = db.session.scalar(select(Run).where(Run.campaign_id == campaign_id).order_by(Run.number.desc()).limit(1))
    if run is None:
        return None

    def total(column: Any) -> Any:
        return func.coalesce(func.sum(column), 0)

    row = db.session.execute(
        select(
            total(Batch.size), total(Batch.sent), total(Batch.failed), total(Batch.skipped), total(Batch.unconfirmed)
        ).where(Batch.run_id == run.id)
    ).one()
    return Progress(run, *(int(value) for value in row))
