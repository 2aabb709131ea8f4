"""Planning: from a launched campaign to a row for each message, with every rule that keeps somebody out."""

from collections.abc import Iterator
from functools import partial

from sqlalchemy import text

from app.campaigns.models import State
from app.core.extensions import db
from app.delivery.planning import plan_run
from bench.big_book import run_statements
from bench.delivery_book import DeliveryBook, campaign_to, forget_campaigns, states
from bench.figures import Measure
from bench.measuring import seconds

ROUNDS = 2
_COPY = "message_bare"


def measures(book: DeliveryBook) -> Iterator[Measure]:
    """The freeze with its exclusions and all chunks, against one bare INSERT ... SELECT of the same rows."""
    ours, bare = [], []
    for _ in range(ROUNDS):
        forget_campaigns()
        campaign = campaign_to(sample=False, state=State.PAUSED)
        ours.append(seconds(partial(plan_run, campaign.id, lambda **_: None)))
        assert states() == {"planned": book.clients}, states()
        _make_copy()
        run_statements("CHECKPOINT")
        bare.append(seconds(_copy))
        run_statements(f"DROP TABLE {_COPY}")
    yield Measure("plan messages", book.clients, min(ours), "s", min(bare), bound=2.5)


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
        f"CREATE TABLE {_COPY} (LIKE message INCLUDING ALL) WITH (fillfactor = 60)",
        *(f"ALTER TABLE {_COPY} ADD {key}" for key in keys),
    )
