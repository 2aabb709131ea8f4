"""What a campaign cost, for the whole and for any set of its clients."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from pyroaring import BitMap64
from sqlalchemy import select

from app.campaigns.models import Campaign, Step
from app.core.extensions import db
from app.delivery.models import Run
from app.reports.outcomes.models import Fact, OutcomeSet


@dataclass(frozen=True, slots=True)
class Costs:
    """The fixed cost, and (price of one message, clients it was sent to) of each step and run, as far as counted.

    `treated`: the assignments that the fixed cost is spread over.
    """

    fixed: Decimal
    sent: Sequence[tuple[Decimal, BitMap64]]
    treated: int = 0

    def in_all(self) -> Decimal:
        return self.fixed + sum((price * len(clients) for price, clients in self.sent), Decimal())

    def of(self, clients: BitMap64, treated: int) -> Decimal:
        """What the messages to these clients cost, and the part of the fixed cost that `treated` are of all treated."""
        messages = (price * sent.intersection_cardinality(clients) for price, sent in self.sent)
        return sum(messages, self.fixed * treated / self.treated if self.treated else Decimal())


def costs_of(campaign: Campaign, runs: Sequence[Run], *, treated: int = 0) -> Costs | None:
    """None where neither a fixed cost nor the price of a message is known."""
    if campaign.fixed_cost is None and all(step.unit_cost is None for step in campaign.steps):
        return None
    rows = db.session.execute(
        select(Step.unit_cost, OutcomeSet.bitmap)
        .join(Step, Step.id == OutcomeSet.step_id)
        .where(
            OutcomeSet.run_id.in_([run.id for run in runs]),
            OutcomeSet.fact == Fact.SENT.value,
            Step.unit_cost > 0,
        )
    )
    sent = [(price, BitMap64.deserialize(bitmap)) for price, bitmap in rows if price is not None]
    return Costs(campaign.fixed_cost or Decimal(), sent, treated)
