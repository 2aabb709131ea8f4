"""`python -m bench.tracking`: the figures of intake, one JSON line a measure on standard output.

BENCH_PARTS (`hits,webhooks,kills,interpreting`) runs some of the parts only; BENCH_SECONDS (5) is how long each load
lasts, BENCH_BATCHES (60) how many webhook batches there are, BENCH_KILLS (20) how often the web process is killed and
BENCH_EVENTS (100,000) how many events are interpreted. The load comes from processes of its own, over loopback.

A part is a module `bench/tracking_<part>.py` with `def measures(system: System) -> Iterator[Measure]`.
"""

import os
from importlib import import_module

from app import models as models  # every table, before anything is mapped
from bench.figures import report
from bench.tracking_system import tracking_system

PARTS = ("hits", "webhooks", "kills", "interpreting")


def main() -> None:
    with tracking_system() as system:
        for part in os.environ.get("BENCH_PARTS", ",".join(PARTS)).split(","):
            for measure in import_module(f"bench.tracking_{part.strip()}").measures(system):
                report(measure, None)


if __name__ == "__main__":
    main()
