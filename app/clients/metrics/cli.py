"""The metrics from the command line."""

import time
from datetime import datetime

import click

from app.clients.metrics.service import refresh_metrics
from app.core.unit_of_work import unit_of_work


@click.command("metrics")
@click.option("--as-of", type=click.DateTime(formats=["%Y-%m-%d"]), help="The day to compute for (yesterday).")
def metrics_command(as_of: datetime | None) -> None:
    """Compute the metrics of every client. Prints how many and how long it took."""
    start = time.perf_counter()
    with unit_of_work():
        clients = refresh_metrics(as_of=as_of.date() if as_of else None)
    click.echo(f"clients {clients}")
    click.echo(f"seconds {time.perf_counter() - start:.1f}")
