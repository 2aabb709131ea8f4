"""Workers are killed while they send and the broker is wiped: nothing is lost, nothing comes twice.

The small brother of `make chaos`, with its sink, its workers and its verdict. Where the long run waits for leases to
run out, time is moved on in the ledger here.
"""

from collections import Counter
from pathlib import Path
from random import Random

from flask import Flask
from sqlalchemy import text

from app.core.extensions import db
from app.core.queues import run_tick
from app.delivery.sweeping import sweep
from bench.chaos.ledger import Ledger
from bench.chaos.run import Chaos
from bench.chaos.schedule import FULL_SIZE, Disruption, Planned, plan_disruptions
from bench.chaos.system import (
    CONNECTIONS,
    launch_campaign,
    listed_awaiting_receipt,
    read_accepted,
    settings_of,
    sink,
    workers,
)
from bench.chaos.verdict import judge

MESSAGES = 1_500


def test_a_campaign_ends_complete_whoever_is_killed_meanwhile(
    app: Flask, servers: dict[str, str], tmp_path: Path
) -> None:
    environ = settings_of(tmp_path) | servers | {"VAR_DIR": str(tmp_path)}
    ledger = Ledger(environ["DATABASE_URL"])
    launch_campaign(MESSAGES)
    calm = ["--often", "3", "--no-stalls"]
    with (
        sink(tmp_path, environ, rate=600, seed="1", options=calm) as sunk,
        workers(tmp_path, environ, count=1) as running,
    ):

        def free_what_the_dead_held(hit: list[int]) -> None:
            everybody = not running[0].children()
            execute(
                "UPDATE batch SET lease_until = now() WHERE token IS NOT NULL AND (id = ANY(:hit) OR :everybody)",
                hit=hit,
                everybody=everybody,
            )

        chaos = Chaos(tmp_path, environ, ledger, running, Random("aim"), after_kill=free_what_the_dead_held)
        chaos.wait_for_the_first()
        execute("UPDATE client SET email_consent = false WHERE mod(id, 50) = 0")
        planned = [
            Planned(0, what) for what in (Disruption.KILL_CHILD, Disruption.FLUSH_BROKER, Disruption.KILL_PARENT)
        ]
        complete = chaos.carry_out(planned, minutes=3, meanwhile=time_passes_quickly)
        assert chaos.orphans_left() == 0
    assert complete
    assert (chaos.kills, chaos.kills_in_handing, chaos.flushes) == (2, 2, 1)
    accepted, strays = read_accepted(tmp_path, environ, ledger.addresses())
    states = ledger.message_states()
    verdict = judge(states, accepted, strays=strays)
    ledger.close()
    assert listed_awaiting_receipt(app) == {one for one, state in states.items() if state == "unconfirmed"}
    assert (verdict.lost, verdict.twice, verdict.strange) == (0, 0, 0)
    assert 0 < verdict.unconfirmed <= 2 * CONNECTIONS * 100 + sunk["cut_after_the_dot"]
    assert sum(verdict.states.values()) == MESSAGES
    assert verdict.states["skipped"] > 0
    assert verdict.states["failed"] > 0


def time_passes_quickly() -> None:
    """What waits comes due sooner, at every turn by three seconds, and beat's tick is run."""
    execute("UPDATE batch SET due_at = due_at - interval '3 seconds' WHERE state = 'open' AND token IS NULL")
    run_tick("delivery.sweep", sweep)


def execute(statement: str, **values: object) -> None:
    with db.engine.begin() as connection:
        connection.execute(text(statement), values)


def test_the_verdict_tells_what_is_lost_twice_and_strange() -> None:
    states = {1: "sent", 2: "sent", 3: "failed", 4: "unconfirmed", 5: "unconfirmed", 6: "handing", 7: "skipped"}
    verdict = judge(states, Counter({1: 1, 3: 1, 4: 2, 5: 1, 9: 1}), strays=1)
    assert verdict.lost == 2  # 2 was never accepted, 6 is still on its way
    assert verdict.twice == 1
    assert verdict.strange == 3  # 3 failed and was accepted, 9 is nobody's, and one went to another address
    assert (verdict.unconfirmed, verdict.unconfirmed_accepted) == (2, 2)


def test_the_full_run_breaks_what_it_promises() -> None:
    planned = plan_disruptions(messages=FULL_SIZE, seconds=300, seed="any")
    times = Counter(one.what for one in planned)
    assert times[Disruption.KILL_CHILD] == times[Disruption.KILL_PARENT] == 15
    assert times[Disruption.FLUSH_BROKER] == 3
    assert times[Disruption.RESTART_FAST] == times[Disruption.RESTART_IMMEDIATE] == 1
    assert planned == plan_disruptions(messages=FULL_SIZE, seconds=300, seed="any")
    assert planned != plan_disruptions(messages=FULL_SIZE, seconds=300, seed="other")
