"""`python -m bench.campaign_reports`: the figures of the campaign report, one JSON line a measure.

BENCH_MESSAGES (1,000,000) messages of one campaign, three events each, 20 segments, 4 variants and a control group;
first a tenth of it, so that each line tells how its cost grows. `reference` is measured in the same run.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from flask_migrate import upgrade
from sqlalchemy import text

from app import create_app
from app import models as models  # every table, before anything is mapped
from app.audiences.models import Segment
from app.campaigns.models import Campaign
from app.config import load_config
from app.core.embedded import embedded_servers, free_port
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.reports.effect.groups import groups_at_launch
from app.reports.effect.later import later_row, segment_clients
from app.reports.effect.report import campaign_effect
from app.reports.outcomes.service import count_outcomes
from app.reports.response import Outcome, campaign_runs, frozen_segments, rows_of
from bench.campaign_reports_book import CITY, fill_campaign, forget_all
from bench.delivery_book import DeliveryBook
from bench.delivery_system import web
from bench.figures import Measure, exponent, report
from bench.measuring import best, seconds
from bench.pages import load, session_cookie
from tests.factories.ledger import make_segment

ROUNDS = 5
WINDOW = 100
WINDOWS = 200
MANY = 300_000
PATIENCE = 300.0  # seconds for the web process to start on a busy machine


def main() -> None:
    messages = int(os.environ.get("BENCH_MESSAGES", "1000000"))
    with _system(messages) as book:
        small = list(_measures(book, messages // 10))
        for before, measure in zip(small, _measures(book, messages), strict=True):
            report(measure, exponent(before, measure))


@contextmanager
def _system(messages: int) -> Iterator[DeliveryBook]:
    """A PostgreSQL of its own (durable, as in service), a Valkey, and the settings of the web process."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bellwether-bench-")))
        folder.chmod(0o755)
        base = f"http://127.0.0.1:{free_port()}"
        environ = {"VAR_DIR": str(folder), "LOG_LEVEL": "ERROR", "BASE_URL": base, "PUBLIC_URL": "https://mail.example"}
        stack.enter_context(embedded_servers(folder, environ))
        app = create_app(load_config(environ))
        stack.enter_context(app.app_context())
        upgrade()
        try:
            yield DeliveryBook(app, folder, environ, messages, messages)
        finally:
            db.session.remove()
            db.engine.dispose()


def _measures(book: DeliveryBook, messages: int) -> Iterator[Measure]:
    forget_all()
    campaign_id = fill_campaign(messages)
    yield Measure("count a campaign's outcomes", messages, seconds(_count_all), "s")
    cells: list[Any] = []
    ours, plain = best(
        partial(_ours, campaign_id, cells),
        partial(_plain, campaign_id, cells),
        rounds=ROUNDS if messages < 300_000 else 3,
    )
    unlike = {key for key in cells[0] if cells[0][key] != cells[1].get(key)}
    assert not unlike, [(key, cells[0][key], cells[1].get(key)) for key in sorted(unlike)[:3]]
    yield Measure("response by segment and variant", messages, ours, "s", plain, bound=0.1)
    effect = best(lambda: _fresh(lambda: campaign_effect(db.session.get_one(Campaign, campaign_id))), rounds=ROUNDS)
    yield Measure("lift by segment", messages, effect[0], "s")
    segment_id = make_segment(f"Later {messages}", rule=CITY).id
    whole, query = best(
        lambda: _fresh(
            lambda: later_row(db.session.get_one(Campaign, campaign_id), db.session.get_one(Segment, segment_id))
        ),
        lambda: _fresh(lambda: segment_clients(db.session.get_one(Segment, segment_id))),
    )
    yield Measure(
        "new segment on an old report, beyond its query",
        messages,
        (whole - query) * 1000,
        "ms",
        query * 1000,
        500,
        "value",
    )
    cookie = session_cookie(book)
    url = f"{book.environ['BASE_URL']}/reports/{db.session.get_one(Campaign, campaign_id).code}"
    db.session.rollback()
    with web(book, patience=PATIENCE):
        page = min(load(url, cookie, holding="segment 19") for _ in range(ROUNDS * 2))
        memory = _memory(book)
    yield Measure("report page over HTTP", messages, page * 1000, "ms", bound=300, on="value")
    yield Measure("memory of the web process", messages, memory, "MB")
    with_notes, without = _windows(campaign_id)
    yield Measure("window of a send, with its clients noted", messages, with_notes * 1000, "ms", without * 1000)


def _fresh(work: Callable[[], object]) -> None:
    work()
    db.session.rollback()
    db.session.expunge_all()


def _count_all() -> None:
    while True:
        with unit_of_work():
            if not count_outcomes():
                return


def _ours(campaign_id: int, cells: list[Any]) -> None:
    """Every figure of the 80 cells of 20 segments and 4 variants."""
    campaign = db.session.get_one(Campaign, campaign_id)
    runs = campaign_runs(campaign)
    variants = groups_at_launch(campaign, runs, "variant")
    sets = [
        (f"{segment_id}:{variant.rpartition(':')[2]}", name, ids & chosen)  # of the campaign's one step
        for segment_id, name, ids in frozen_segments(runs)
        for variant, _name, chosen in variants
    ]
    rows = rows_of(campaign, sets)
    found = {row.key: tuple(row.count(outcome) for outcome in COMPARED) for row in rows}
    cells[:1] = [found]
    db.session.rollback()
    db.session.expunge_all()


COMPARED = (
    Outcome.SENT, Outcome.DELIVERED, Outcome.OPENED, Outcome.CLICKED, Outcome.REPLIED, Outcome.UNSUBSCRIBED,
    Outcome.BOUNCED,
)  # fmt: skip
_PLAIN = text(
    """
    SELECT member.segment_id || ':' || member.variant,
           count(*) FILTER (WHERE state = 'sent'),
           count(*) FILTER (
               WHERE coalesce(delivered_at, opened_at, clicked_at, replied_at, unsubscribed_at) IS NOT NULL
           ),
           count(*) FILTER (WHERE coalesce(opened_at, clicked_at) IS NOT NULL),
           count(clicked_at), count(replied_at), count(unsubscribed_at), count(bounced_at)
    FROM message JOIN bench_member AS member ON member.client_id = message.client_id
    WHERE message.campaign_id = :campaign_id
    GROUP BY member.segment_id, member.variant
    """
)


def _plain(campaign_id: int, cells: list[Any]) -> None:
    found = {row[0]: tuple(row[1:]) for row in db.session.execute(_PLAIN, {"campaign_id": campaign_id})}
    cells[1:2] = [found]
    db.session.rollback()


def _memory(book: DeliveryBook) -> float:
    """Of the largest web process, after it showed the report."""
    port = str(urlsplit(book.environ["BASE_URL"]).port)
    sizes = []
    for process in psutil.Process().children(recursive=True):
        if port in process.cmdline() or any(port in part for part in process.cmdline()):
            sizes.append(process.memory_info().rss)
            sizes += [child.memory_info().rss for child in process.children(recursive=True)]
    return max(sizes, default=0) / 1e6


_WINDOW = text("UPDATE message SET state = 'sent', sent_at = now() WHERE id BETWEEN :first AND :last")


def _windows(campaign_id: int) -> list[float]:
    """The same updates of a hundred rows with and without the trigger that notes their clients."""
    first = db.session.scalar(text("SELECT min(id) FROM message WHERE campaign_id = :id"), {"id": campaign_id}) or 0
    db.session.rollback()

    def send() -> None:
        for number in range(WINDOWS):
            with db.engine.begin() as connection:
                connection.execute(
                    _WINDOW, {"first": first + number * WINDOW, "last": first + (number + 1) * WINDOW - 1}
                )

    def noted(on: bool) -> None:
        with db.engine.begin() as connection:
            connection.execute(
                text(f"ALTER TABLE message {'ENABLE' if on else 'DISABLE'} TRIGGER note_updated_messages")
            )

    found = []
    for on in (True, False):
        noted(on)
        send()
        found.append(min(seconds(send) for _ in range(3)) / WINDOWS)
    noted(True)
    return found


if __name__ == "__main__":
    main()
