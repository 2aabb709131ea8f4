"""`python -m bench.audiences`: the figures of a large client book, one JSON line a measure on standard output.

BENCH_CLIENTS (1,000,000) and BENCH_TRANSACTIONS (10,000,000) are the sizes of the book. Everything is measured on a
book of a tenth first, so that the growth between the two can be told. BENCH_PARTS (e.g. `metrics,counts`) runs some of
the parts only, BENCH_KEEP=folder keeps the generated books for the next run (see `big_book.py`).

A part is a module `bench/audiences_<part>.py` with

    def measures(book: Book) -> Iterator[Measure]  # of bench.big_book, bench.figures
"""

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

from app import models as models  # every table, before anything is mapped
from bench.big_book import Book, big_book
from bench.figures import Measure, exponent, report

PARTS = ("metrics", "classes", "counts", "import")


def main() -> None:
    clients = int(os.environ.get("BENCH_CLIENTS", "1000000"))
    transactions = int(os.environ.get("BENCH_TRANSACTIONS", "10000000"))
    before: dict[str, Measure] = {}
    for share in (10, 1):
        with big_book(clients // share, transactions // share) as book:
            for measure in _all_measures(book):
                small = before.get(measure.name)
                report(measure, exponent(small, measure) if small and share == 1 else None)
                before.setdefault(measure.name, measure)


def _all_measures(book: Book) -> Iterator[Measure]:
    for part in os.environ.get("BENCH_PARTS", ",".join(PARTS)).split(","):
        name = f"bench.audiences_{part.strip()}"
        if find_spec(name) is None:
            sys.stderr.write(f"no part {name}\n")
        else:
            yield from import_module(name).measures(book)


if __name__ == "__main__":
    main()
