"""Planning: from a launched campaign to a row for each message, with every rule that keeps somebody out."""

from collections.abc import Iterator, Sequence
from functools import partial

from sqlalchemy import text

from app.campaigns.models import Campaign, State, Variant
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.delivery.planning import plan_run
from bench.big_book import run_statements
from bench.delivery_book import DeliveryBook, campaign_to, forget_campaigns, states
from bench.figures import Measure
from bench.measuring import seconds

ROUNDS = 2
_COPY = "message_bare"


def measures(book: DeliveryBook) -> Iterator[Measure]:
    """The freeze with its exclusions and all chunks, against one bare INSERT ... SELECT of the same rows.

    Then the same where a tenth is drawn for the control group and each of the others gets one of three variants.
    """
    for name, control_percent, shares in (("plan messages", 0, ()), ("plan three variants", 10, (33, 33))):
        ours, bare = [], []
        for _ in range(ROUNDS):
            forget_campaigns()
            campaign = campaign_to(sample=False, state=State.PAUSED)
            _try_out(campaign, control_percent, shares)
            ours.append(seconds(partial(plan_run, campaign.id, lambda **_: None)))
            planned = states()["planned"]
            assert abs(planned - book.clients * (100 - control_percent) / 100) < 10 + book.clients / 100, planned
            _make_copy()
            run_statements("CHECKPOINT")
            bare.append(seconds(_copy))
            run_statements(f"DROP TABLE {_COPY}")
        yield Measure(name, planned, min(ours), "s", min(bare), bound=2.5)


def _try_out(campaign: Campaign, control_percent: float, shares: Sequence[float]) -> None:
    with unit_of_work():
        campaign.control_percent = control_percent
        step = campaign.steps[0]
        step.variants = [
            Variant(letter=letter, share=share, content_id=step.content_id)
            for letter, share in zip("BC", shares, strict=False)
        ]


def _copy() -> None:
    with db.engine.begin() as connection:
        connection.execute(text(f"INSERT INTO {_COPY} SELECT * FROM message"))


def _make_copy() -> None:
    """A table like `message`, with its indexes, checks and foreign keys."""
    keys = db.session.scalars(
        text(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'message'::regclass AND contype = 'f'"
        )
    ).all()
    db.session.rollback()
    run_statements(
        f"CREATE TABLE {_COPY} (LIKE message INCLUDING ALL)",
        *(f"ALTER TABLE {_COPY} ADD {key}" for key in keys),
    )
