"""Pixel and click through one web process, each answered after its event is on disk."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import func, select

from app.core.extensions import db, links
from app.demo.processes import ROOT
from app.tracking.models import Event
from bench.figures import Measure
from bench.tracking_system import System, Web, postgres_seconds, web

PATHS = 5_000
ROUNDS = 3
TARGET = "https://www.example.com/offer"


def load(port: int, paths: Path, *, seconds: float, rate: float = 0.0) -> dict[str, float]:
    """What the generator of load found."""
    command = [
        sys.executable,
        "-m",
        "bench.load",
        str(port),
        str(paths),
        "--seconds",
        str(seconds),
        "--rate",
        str(rate),
    ]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    assert found["wrong"] == 0, found
    return found


def _events() -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count(Event.id))) or 0


def measures(system: System) -> Iterator[Measure]:
    made, seconds = links(), float(os.environ.get("BENCH_SECONDS", "5"))
    with web(system) as ours, web(system, "bench.no_op:app") as plain:
        for name, url_of in (("pixel", made.open_pixel), ("click", lambda number: made.click(number, 0, TARGET))):
            paths = system.folder / name
            paths.write_text("\n".join("/" + url_of(number).split("/", 3)[3] for number in range(1, PATHS + 1)))
            yield from _measure(system, name, paths, ours, plain, seconds)


def _measure(system: System, name: str, paths: Path, ours: Web, plain: Web, seconds: float) -> Iterator[Measure]:
    for server in (ours, plain):
        load(server.port, paths, seconds=1)
    before, answers, rates, references = _events(), 0.0, [], []
    used, plain_used, plain_answers = 0.0, 0.0, 0.0
    for _round in range(ROUNDS):
        used -= ours.processor_seconds() + postgres_seconds(system)
        found = load(ours.port, paths, seconds=seconds)
        used += ours.processor_seconds() + postgres_seconds(system)
        answers += found["answers"]
        rates.append(found["rate"])
        plain_used -= plain.processor_seconds()
        found = load(plain.port, paths, seconds=seconds)
        plain_used += plain.processor_seconds()
        plain_answers += found["answers"]
        references.append(found["rate"])
    # what was on its way when the time was over may be recorded too
    recorded = _events() - before
    assert recorded >= answers, (recorded, answers)
    rate, reference = max(rates), max(references)
    size = round(answers / ROUNDS)
    yield Measure(f"{name}, durable, one process", size, rate, "/s", reference, bound=0.5, at_least=True)
    each, plain_each = 1e6 * used / answers, 1e6 * plain_used / plain_answers
    yield Measure(f"{name}: processor time with PostgreSQL's", size, each, "us/hit", plain_each)
    half = load(ours.port, paths, seconds=seconds, rate=rate / 2)
    fair = half["late"] < rate * 0.01
    yield Measure(
        f"{name}: 99 % at half that load", round(half["answers"]), half["p99_ms"], "ms", bound=50, on="value", fair=fair
    )
    plain_half = load(plain.port, paths, seconds=seconds, rate=rate / 2)
    yield Measure(
        f"{name}: 99 % of the view that does nothing", round(plain_half["answers"]), plain_half["p99_ms"], "ms"
    )
