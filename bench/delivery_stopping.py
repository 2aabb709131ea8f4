"""How long after the order messages still leave: "stop all marketing" and "pause", while the real workers send."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime

from sqlalchemy import func, select

from app.campaigns.models import Campaign, State
from app.campaigns.service import pause
from app.core.clock import now
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Message
from app.delivery.planning import plan_run
from app.delivery.stopping import restart_marketing, stop_marketing
from app.delivery.sweeping import resume_run
from bench.delivery_book import DeliveryBook, campaign_to, forget_campaigns, states
from bench.delivery_system import relay, send_workers, smtp_sink, wait_until
from bench.figures import Measure
from tests.factories.delivery import set_state
from tests.factories.users import make_user

ROUNDS = 3
SOME = 2_000
QUIET = 5.0  # seconds for which nothing must leave afterwards
LONGEST = 900.0


def measures(book: DeliveryBook) -> Iterator[Measure]:
    with smtp_sink() as port, send_workers(book, **relay(port)):
        for name, order, bound in (("stop all marketing", _stop, 5), ("pause", _pause, 2)):
            worst = max(_last_after(book, order) for _ in range(ROUNDS))
            yield Measure(
                f"last message after: {name}, worst of {ROUNDS}", book.messages, worst, "s", bound=bound, on="value"
            )


def _last_after(book: DeliveryBook, order: Callable[[Campaign], Callable[[], None]]) -> float:
    """Seconds from the order's commit to the last message that left."""
    forget_campaigns()
    campaign = campaign_to(sample=True, state=State.PAUSED)
    plan_run(campaign.id, lambda **_: None)
    set_state(campaign, State.RUNNING)
    with unit_of_work():
        resume_run(campaign.id)
    wait_until(lambda: states().get("sent", 0) >= SOME, "some are sent", patience=LONGEST)
    undo = order(campaign)
    given_at = now()
    wait_until(lambda: "handing" not in states(), "nothing is on its way")
    time.sleep(QUIET)
    found = states()
    last: datetime | None = db.session.scalar(select(func.max(Message.sent_at)))
    db.session.rollback()
    assert found.keys() == {"sent", "planned"}, found
    assert last is not None
    undo()
    return max(0.0, (last - given_at).total_seconds())


def _stop(campaign: Campaign) -> Callable[[], None]:
    first, second = (make_user(role=Role.MARKETING, email=f"{name}{time.time_ns()}@example.com") for name in "ab")
    with unit_of_work():
        stop_marketing(reason="bench", actor=first)

    def undo() -> None:
        set_state(campaign, State.PAUSED)
        with unit_of_work():
            restart_marketing(actor=second)

    return undo


def _pause(campaign: Campaign) -> Callable[[], None]:
    author = make_user(role=Role.MARKETING, email=f"c{time.time_ns()}@example.com")
    with unit_of_work():
        pause(campaign=db.session.get_one(Campaign, campaign.id), actor=author)
    return lambda: None
