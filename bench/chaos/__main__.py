"""`python -m bench.chaos`: see `make chaos` in docs/operations.md. One line of JSON on standard output.

CHAOS_MESSAGES (100,000), CHAOS_MINUTES (how long the sink takes for them, 5), CHAOS_SEED ("1").
"""

import os
import signal
import sys

from app import models as models  # every table, before anything is mapped
from bench.chaos.run import run

SMALLEST = 2_000


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything that was started is stopped
    messages = max(SMALLEST, int(os.environ.get("CHAOS_MESSAGES", "100000")))
    minutes = float(os.environ.get("CHAOS_MINUTES", "5"))
    return run(messages=messages, minutes=minutes, seed=os.environ.get("CHAOS_SEED", "1"))


if __name__ == "__main__":
    sys.exit(main())
