"""A campaign of personalised letters over SMTP by the real workers, against the same bytes through bare sockets."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from app.campaigns.models import Campaign, State
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.delivery.planning import plan_run
from app.delivery.sweeping import resume_run
from app.demo.sink import read_messages
from bench.delivery_book import DeliveryBook, campaign_to, forget_campaigns, states
from bench.delivery_system import (
    CONNECTIONS,
    all_batches_done,
    keeping_sink,
    relay,
    run_together,
    send_workers,
    smtp_sink,
    wait_until,
)
from bench.figures import Measure
from tests.factories.delivery import set_state

ROUNDS = 3
PROCESSES = 2
SLOWEST_SINK = 10_000  # messages a second
KEPT = 2_000
LONGEST = 900.0


def measures(book: DeliveryBook) -> Iterator[Measure]:
    store = book.folder / "letters"
    store.unlink(missing_ok=True)
    with keeping_sink(store) as port, send_workers(book, **relay(port)):
        send_sample(book, enough=KEPT)
    sizes = [len(mime) for _recipient, mime in read_messages(store)]
    size = sum(sizes) / len(sizes)
    assert 7_500 < size < 9_000, size
    ours, bare = [], []
    with smtp_sink() as port:
        for _ in range(ROUNDS):
            bare.append(_send_bare(port, store, book.messages))
            with send_workers(book, **relay(port)):
                ours.append(send_sample(book))
    store.unlink()
    reference = book.messages / min(bare)
    yield Measure(
        f"send over SMTP, {size / 1000:.1f} kB",
        book.messages,
        book.messages / min(ours),
        "messages/s",
        reference,
        bound=0.5,
        at_least=True,
        fair=reference >= SLOWEST_SINK,
    )


def send_sample(
    book: DeliveryBook,
    *,
    enough: int | None = None,
    campaign: Callable[[], Campaign] | None = None,
) -> float:
    """Plan a campaign to the sample (the letter), then let the waiting workers send it; how long that took, in seconds.

    With `enough` the campaign is paused once so many are sent.
    """
    forget_campaigns()
    made = campaign() if campaign else campaign_to(sample=True, state=State.PAUSED)
    plan_run(made.id, lambda **_: None)
    set_state(made, State.RUNNING)
    start = time.perf_counter()
    with unit_of_work():
        resume_run(made.id)
    if enough is not None:
        wait_until(lambda: all_batches_done() or states().get("sent", 0) >= enough, "some are sent", patience=LONGEST)
        set_state(made, State.PAUSED)
        wait_until(lambda: "handing" not in states(), "nothing is on its way")
        return time.perf_counter() - start
    wait_until(all_batches_done, "everything is sent", patience=LONGEST)
    taken = time.perf_counter() - start
    assert states() == {"sent": book.messages}, states()
    db.session.rollback()
    return taken


def _send_bare(port: int, store: Path, count: int) -> float:
    command = [
        sys.executable,
        "-m",
        "bench.bare_smtp",
        str(port),
        str(store),
        str(count // PROCESSES),
        str(CONNECTIONS),
    ]
    return run_together([command] * PROCESSES, {})
