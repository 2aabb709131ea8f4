"""`python -m bench`: one JSON line a measure on standard output, nothing else. BENCH_SIZE clients (200,000)."""

import os

from app import models as models  # every table, before anything is mapped
from bench.clients import add_clients, measure_audience, measure_importing
from bench.hits import measure_hits
from bench.messages import measure_building, measure_sending, stock_content
from bench.reports import measure_report
from bench.system import running_app

SMALLEST = 30_000


def main() -> None:
    size = max(SMALLEST, int(os.environ.get("BENCH_SIZE", "200000")))
    with running_app() as (app, store):
        content = stock_content()
        measure_building(content, size // 50)
        measure_importing(store.parent, size // 4)
        add_clients(size)
        measure_audience(size)
        campaign_id = measure_sending(content, size // 20, store)
        measure_hits(app, size // 40)
        measure_report(campaign_id)


if __name__ == "__main__":
    main()
