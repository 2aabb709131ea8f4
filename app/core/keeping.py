"""Keeps a job's lease while one long statement runs, which cannot renew it itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from sqlalchemy import update
from sqlalchemy.engine import Engine

from app.core.clock import now
from app.core.extensions import db
from app.core.jobs import LEASE, Job, Lease


@contextmanager
def kept(lease: Lease) -> Iterator[None]:
    """Renew the lease from another connection every third of its time until the block ends.

    A lease that was lost all the same is left alone: `lease.renew()` in the transaction of the work tells.
    """
    ended = Event()
    thread = Thread(target=_renew, args=(lease, db.engine, ended), name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _renew(lease: Lease, engine: Engine, ended: Event) -> None:
    held = (Job.id == lease.job_id) & (Job.token == lease.token) & (Job.state == "running")
    while not ended.wait(LEASE.total_seconds() / 3):
        with engine.begin() as connection:
            connection.execute(update(Job).where(held).values(lease_until=now() + LEASE))
