"""`python -m bench.chaos`: see `make chaos` in docs/operations.md. One line of JSON on standard output.

CHAOS_MESSAGES (100,000), CHAOS_MINUTES (how long the sink takes for them, 5), CHAOS_SEED ("1").
"""

import os
import sys

from app import models as models  # every table, before anything is mapped
from bench.chaos.run import run

SMALLEST = 2_000


def main() -> int:
    messages = max(SMALLEST, int(os.environ.get("CHAOS_MESSAGES", "100000")))
    minutes = float(os.environ.get("CHAOS_MINUTES", "5"))
    return run(messages=messages, minutes=minutes, seed=os.environ.get("CHAOS_SEED", "1"))


if __name__ == "__main__":
    sys.exit(main())
