"""The run: a campaign to everybody, disruptions while it is sent, and the verdict as one line of JSON."""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from app.core.embedded import embedded_servers
from bench.chaos.ledger import Ledger
from bench.chaos.schedule import FULL_SIZE, Disruption, Planned, kills_for, plan_disruptions
from bench.chaos.system import (
    CONNECTIONS,
    beat,
    flush_broker,
    launch_campaign,
    listed_awaiting_receipt,
    new_app,
    read_accepted,
    restart_postgres,
    settings_of,
    sink,
    workers,
)
from bench.chaos.verdict import Verdict, judge
from bench.chaos.workers import Worker, kill_child, kill_parent

WORKERS = 2
WINDOW = 100
SHORTEST_MINUTES, LONGEST_MINUTES = 4.0, 14.0
_FIRST_PATIENCE_SECONDS = 120.0
_ORPHANS_PATIENCE_SECONDS = 60.0


@dataclass
class Chaos:
    """A run under way, and what has been done to it."""

    folder: Path
    environ: Mapping[str, str]
    ledger: Ledger
    workers: list[Worker]
    chance: Random
    after_kill: Callable[[list[int]], None] = lambda hit: None
    started: float = field(default_factory=time.monotonic)
    kills: int = 0
    kills_in_handing: int = 0
    flushes: int = 0
    restarts: int = 0

    def do(self, what: Disruption) -> None:
        """Break something. A kill is in *handing* where the process, or a child of it, had messages on their way."""
        match what:
            case Disruption.KILL_CHILD | Disruption.KILL_PARENT:
                kill = kill_child if what is Disruption.KILL_CHILD else kill_parent
                hit = kill(self.workers, self.ledger, self.chance)
                self.kills += 1
                self.kills_in_handing += bool(hit)
                self.after_kill(hit)
            case Disruption.FLUSH_BROKER:
                flush_broker(self.environ)
                self.flushes += 1
            case Disruption.RESTART_FAST | Disruption.RESTART_IMMEDIATE:
                restart_postgres(self.folder, "fast" if what is Disruption.RESTART_FAST else "immediate")
                self.restarts += 1
        say(f"{time.monotonic() - self.started:6.1f} s  {what}")

    def supervise(self) -> None:
        for worker in self.workers:
            worker.supervise()

    def wait_for_the_first(self) -> None:
        """Until a message has left: planning is over, or nearly so."""
        deadline = time.monotonic() + _FIRST_PATIENCE_SECONDS
        while not self.ledger.rows("SELECT 1 FROM message WHERE state = 'sent' LIMIT 1"):
            if time.monotonic() > deadline:
                raise RuntimeError("no message has left")
            self.supervise()
            time.sleep(0.2)

    def carry_out(
        self, planned: Sequence[Planned], *, minutes: float, meanwhile: Callable[[], None] = lambda: None
    ) -> bool:
        """Break what is planned when it is due, and start again what has died, until the campaign is complete.

        False where something was left to break then, or the campaign was not complete within so many minutes.
        `meanwhile` is called at every turn.
        """
        waiting = list(planned)
        begun = time.monotonic()
        while time.monotonic() - begun < minutes * 60:
            self.supervise()
            if waiting and waiting[0].at <= time.monotonic() - begun:
                self.do(waiting.pop(0).what)
            elif self.complete():
                return not waiting
            meanwhile()
            time.sleep(0.1)
        return False

    def complete(self) -> bool:
        return self.ledger.rows("SELECT bool_and(state = 'complete') FROM campaign")[0][0] is True

    def orphans_left(self) -> int:
        """How many children of killed parents still live, after a while to end what they had in hand."""
        deadline = time.monotonic() + _ORPHANS_PATIENCE_SECONDS
        while left := [orphan for worker in self.workers for orphan in worker.living_orphans()]:
            if time.monotonic() > deadline:
                break
            time.sleep(0.5)
        for orphan in left:
            orphan.kill()
        return len(left)


def say(words: str) -> None:
    """Progress goes to standard error: the line of JSON stands alone."""
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


def run(*, messages: int, minutes: float, seed: str) -> int:
    """Run it and print the line. Returns the exit code: 1 where a bound was not reached."""
    with _folder() as folder, ExitStack() as stack:
        environ = settings_of(folder)
        stack.enter_context(embedded_servers(folder, environ))
        with new_app(environ):
            launch_campaign(messages)
        ledger = Ledger(environ["DATABASE_URL"])
        stack.callback(ledger.close)
        with (
            sink(folder, environ, rate=messages / (minutes * 60), seed=seed) as sunk,
            workers(folder, environ, count=WORKERS) as running,
            beat(folder, environ),
        ):
            chaos = Chaos(folder, environ, ledger, running, Random(f"{seed}:aim"))
            chaos.wait_for_the_first()
            # One client in 200 changes his mind now: where the message has not left yet, it is skipped.
            ledger.rows("UPDATE client SET email_consent = false WHERE mod(id, 200) = 0")
            planned = plan_disruptions(messages=messages, seconds=minutes * 60, seed=seed)
            complete = chaos.carry_out(planned, minutes=LONGEST_MINUTES)
            taken = (time.monotonic() - chaos.started) / 60
            orphans = chaos.orphans_left()
        if not complete:
            _say_why(ledger)
        accepted, strays = read_accepted(folder, environ, ledger.addresses())
        states = ledger.message_states()
        verdict = judge(states, accepted, strays=strays)
        with new_app(environ, web=True) as app:
            unlisted = {one for one, state in states.items() if state == "unconfirmed"} ^ listed_awaiting_receipt(app)
        line = _line(
            chaos, verdict, sunk, messages, seed, taken, complete=complete, orphans=orphans, unlisted=len(unlisted)
        )
        sys.stdout.write(json.dumps(line) + "\n")
        return 0 if line["reached"] else 1


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for the run. With CHAOS_LOGS=folder the logs of its processes are kept there."""
    with tempfile.TemporaryDirectory(prefix="bellwether-chaos-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        try:
            yield folder
        finally:
            if kept := os.environ.get("CHAOS_LOGS"):
                Path(kept).mkdir(parents=True, exist_ok=True)
                for log in (*folder.glob("*.log"), *folder.glob("sink.json"), folder / "postgres" / "log"):
                    shutil.copy(log, kept)


def _say_why(ledger: Ledger) -> None:
    """What keeps the campaign from being complete."""
    for question in (
        "SELECT state, count(*) FROM message GROUP BY 1",
        "SELECT state, token IS NOT NULL AS held, count(*), min(due_at), max(lease_until) FROM batch GROUP BY 1, 2",
        "SELECT name, state, attempts, error FROM job WHERE state <> 'done'",
        "SELECT id, state FROM run",
    ):
        say(f"{question}: {ledger.rows(question)}")


def _line(
    chaos: Chaos,
    verdict: Verdict,
    sunk: Mapping[str, int],
    messages: int,
    seed: str,
    taken: float,
    *,
    complete: bool,
    orphans: int,
    unlisted: int,
) -> dict[str, Any]:
    """The figures and whether every bound was reached. `minutes` are from the launch to the campaign's end."""
    cut = sunk.get("cut_after_the_dot", 0)
    kills = kills_for(messages)
    full = messages >= FULL_SIZE
    bounds = {
        "complete": complete,
        "nothing lost": verdict.lost == 0,
        "nothing twice": verdict.twice == 0,
        "nothing strange": verdict.strange == 0,
        "unconfirmed within what broke": verdict.unconfirmed <= chaos.kills * CONNECTIONS * WINDOW + cut,
        "unconfirmed within 1 %": verdict.unconfirmed <= messages / 100,
        "every unconfirmed one on its page": unlisted == 0,
        "all kills": chaos.kills == kills,
        "kills in handing": chaos.kills_in_handing >= kills * 2 // 3,
        "no orphan left": orphans == 0,
        "time": not full or SHORTEST_MINUTES <= taken <= LONGEST_MINUTES,
    }
    return {
        "measure": "chaos",
        "size": messages,
        "lost": verdict.lost,
        "twice": verdict.twice,
        "strange": verdict.strange,
        "unconfirmed": verdict.unconfirmed,
        "unconfirmed_accepted": verdict.unconfirmed_accepted,
        "kills": chaos.kills,
        "kills_in_handing": chaos.kills_in_handing,
        "flushes": chaos.flushes,
        "restarts": chaos.restarts,
        "cut_after_the_dot": cut,
        "orphans": orphans,
        "unlisted": unlisted,
        "states": dict(verdict.states),
        "minutes": round(taken, 1),
        "rate": round(messages / (taken * 60)),
        "seed": seed,
        "missed": [name for name, held in bounds.items() if not held],
        "reached": all(bounds.values()),
    }
