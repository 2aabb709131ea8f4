"""A launch to everyone while the whole system runs: how soon the first message is out, what a sending process weighs,
and how the progress page bears it."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import text

from app.campaigns.models import Campaign, State
from app.campaigns.service import launch
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from bench.delivery_book import DeliveryBook, campaign_to, forget_campaigns, states
from bench.delivery_system import Workers, all_batches_done, relay, send_workers, smtp_sink, wait_until, web
from bench.figures import Measure
from bench.pages import load, session_cookie

LONGEST = 3_600.0
LOOK_EVERY = 0.25
PART = 10  # the start and the end of a send are a tenth of it each


@dataclass
class Seen:
    """What was seen of one send: seconds to the first message, MB of the largest process, seconds a page took.

    The first `planning` pages are shorter: they say that the messages are being planned.
    """

    first: float = 0.0
    size: float = 0.0
    pages: list[float] = field(default_factory=list)
    planning: int = 0

    def start_and_end(self) -> tuple[float, float]:
        """The typical page, in ms, of the first and of the last tenth of those that show how far the send is."""
        pages = self.pages[self.planning :]
        count = len(pages) // PART or 1
        return statistics.median(pages[:count]) * 1000, statistics.median(pages[-count:]) * 1000


def measures(book: DeliveryBook) -> Iterator[Measure]:
    cookie = session_cookie(book)
    with smtp_sink() as port, web(book):
        seen = {}
        for sample in (True, False):
            forget_campaigns()
            with send_workers(book, **relay(port)) as workers:
                seen[sample] = _launch(book, workers, cookie, sample=sample)
    small, large = seen[True], seen[False]
    start, end = large.start_and_end()
    slowest = statistics.quantiles(large.pages, n=20)[-1] * 1000
    size = book.clients
    yield Measure("first message after the launch", size, large.first, "s", bound=3, on="value")
    yield Measure("memory of a sending process", size, large.size, "MB", small.size, bound=1.1)
    yield Measure("memory of a sending process, absolute", size, large.size, "MB", bound=200, on="value")
    yield Measure("progress page during the send, 95th of 100", size, slowest, "ms", bound=100, on="value")
    yield Measure("progress page at the end of the send against its start", size, end, "ms", start, bound=1.1)


def _launch(book: DeliveryBook, workers: Workers, cookie: str, *, sample: bool) -> Seen:
    seen = Seen()
    campaign = campaign_to(sample=sample, state=State.APPROVED)
    url = f"{book.environ['BASE_URL']}/campaigns/{campaign.code}/progress"
    load(url, cookie, holding="progress")  # the page is warm, as it is where people work
    with unit_of_work():
        launch(campaign=db.session.get_one(Campaign, campaign.id), actor=None)
    wait_until(_something_planned, "messages are planned", patience=LONGEST)
    looked = time.monotonic()
    while not all_batches_done():
        seen.planning += not _planned()
        seen.pages.append(load(url, cookie, holding="progress"))
        seen.size = max(seen.size, workers.largest())
        looked += LOOK_EVERY
        time.sleep(max(0.0, looked - time.monotonic()))
    found = states()
    assert found == {"sent": book.messages if sample else book.clients}, found
    seen.first = db.session.scalar(
        text("SELECT extract(epoch FROM (SELECT min(sent_at) FROM message) - launched_at) FROM campaign")
    )
    db.session.rollback()
    return seen


def _planned() -> bool:
    with db.engine.connect() as connection:
        return bool(connection.scalar(text("SELECT bool_and(planned_at IS NOT NULL) FROM run")))


def _something_planned() -> bool:
    with db.engine.connect() as connection:
        return bool(connection.scalar(text("SELECT EXISTS (SELECT FROM batch)")))
