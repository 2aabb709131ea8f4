"""`python -m bench.delivery`: the figures of sending, one JSON line a measure on standard output.

BENCH_CLIENTS (1,000,000) is the size of the large audience, BENCH_MESSAGES (100,000) of the small one, which is what
the rates are measured with. BENCH_PARTS (e.g. `planning,smtp`) runs some of the parts only, BENCH_KEEP=folder keeps
the generated clients for the next run. Postfix's `smtp-sink` is looked for on the path, or is BENCH_SMTP_SINK.

A part is a module `bench/delivery_<part>.py` with

    def measures(book: DeliveryBook) -> Iterator[Measure]  # of bench.delivery_book, bench.figures
"""

import os
import sys
from importlib import import_module

from app import models as models  # every table, before anything is mapped
from bench.delivery_book import PartMissing, delivery_book
from bench.figures import report

PARTS = ("planning", "smtp", "sendgrid", "sms", "stopping", "launch")


def main() -> None:
    clients = int(os.environ.get("BENCH_CLIENTS", "1000000"))
    messages = min(clients, int(os.environ.get("BENCH_MESSAGES", "100000")))
    with delivery_book(clients, messages) as book:
        for part in os.environ.get("BENCH_PARTS", ",".join(PARTS)).split(","):
            try:
                for measure in import_module(f"bench.delivery_{part.strip()}").measures(book):
                    report(measure, None)
            except PartMissing as missing:
                sys.stderr.write(f"part {part} is left out: {missing}\n")


if __name__ == "__main__":
    main()
