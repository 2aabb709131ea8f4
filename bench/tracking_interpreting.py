"""How fast events are understood, and judged anew when the rules about machines change."""

import os
import time
from collections.abc import Iterator
from time import process_time

from sqlalchemy import text

from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.tracking.interpretation import hold_lock, interpret_round
from app.tracking.machines.judging import judge_again
from app.tracking.machines.rules import rules_in_force
from bench.figures import Measure
from bench.tracking_system import System, postgres_seconds
from tests.factories.clients import make_clients
from tests.factories.tracking import make_sent_messages

_EVENTS = text(
    """
    INSERT INTO event (kind, message_id, at, source, user_agent, ip, method)
    SELECT (ARRAY['delivered', 'open', 'open', 'click', 'deferred'])[1 + number % 5], 1 + (number * 7919) % :messages,
           now() - interval '50 minutes' + number * interval '10 ms', 'bench',
           CASE WHEN number % 9 = 0 THEN 'Barracuda Sentinel (EE)' ELSE 'Mozilla/5.0 (iPhone)' END,
           '203.0.113.' || number % 250, 'GET'
    FROM generate_series(1, :events) AS number
    """
)


def measures(system: System) -> Iterator[Measure]:
    events = int(os.environ.get("BENCH_EVENTS", "100000"))
    messages = events // 4
    with unit_of_work() as session:
        session.execute(text("TRUNCATE event"))
    make_sent_messages(clients=make_clients(messages))
    first = db.session.scalar(text("SELECT min(id) FROM message")) or 1
    assert first == 1
    with unit_of_work() as session:
        session.execute(_EVENTS, {"messages": messages, "events": events})
    start, done, used = time.perf_counter(), 0, process_time() + postgres_seconds(system)
    while done < events:
        with unit_of_work():
            hold_lock()
            done += interpret_round().events
    taken = time.perf_counter() - start
    used = process_time() + postgres_seconds(system) - used
    yield Measure("interpret events", events, events / taken, "/s")
    yield Measure("interpret events: processor time with PostgreSQL's", events, 1e6 * used / events, "us/event")
    ids = list(range(1, messages + 1))
    start = time.perf_counter()
    for chunk in range(0, messages, 2_000):
        with unit_of_work():
            judge_again(ids[chunk : chunk + 2_000], rules=rules_in_force())
    yield Measure("judge the hits of messages anew", messages, messages / (time.perf_counter() - start), "/s")
