"""Celery workers as in service, a supervisor that starts them again, and their sudden deaths."""

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import psutil
from celery import Celery

from app.core.queues import SENDING_QUEUES
from app.delivery.planning import SEND_BATCH
from app.demo.processes import ROOT, worker_command
from bench.chaos.ledger import Ledger

CHILDREN = 2
_AIM_SECONDS = 60.0  # how long to wait for a moment in which the victim is handing messages over


class Worker:
    """One sending worker (a parent and its pool children), started again whenever it is found dead."""

    def __init__(self, name: str, environ: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self._orphans: list[psutil.Process] = []
        self._environ = {**environ, "WORKER_QUEUES": ",".join(SENDING_QUEUES)}
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        control = Celery(broker=environ["BROKER_URL"]).control
        self._node = f"{name}@{socket.gethostname()}"
        self._inspect = control.inspect(destination=[self._node], timeout=1)

    def supervise(self) -> None:
        """Start the worker if it does not run."""
        if self._process is None or self._process.poll() is not None:
            with self._log.open("ab") as log:
                command = worker_command(self.name, SENDING_QUEUES, processes=CHILDREN)
                self._process = subprocess.Popen(
                    command, cwd=ROOT, env=self._environ, stdout=log, stderr=subprocess.STDOUT
                )

    def children(self) -> list[psutil.Process]:
        """The pool's processes."""
        if self._process is None or self._process.poll() is not None:
            return []
        with suppress(psutil.NoSuchProcess):
            return list(psutil.Process(self._process.pid).children())
        return []

    def kill(self) -> None:
        """`kill -9` the parent. Its children are orphans from then on."""
        self._orphans += self.children()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def batches_of(self, children: list[psutil.Process]) -> list[int]:
        """The batches that these children have in hand, as the parent knows it."""
        pids = {child.pid for child in children}
        found: dict[str, list[dict[str, Any]]] = self._inspect.active() or {}
        return [
            int(task["args"][0])
            for task in found.get(self._node, [])
            if task["name"] == SEND_BATCH and task["worker_pid"] in pids
        ]

    def stop(self) -> None:
        """End the worker as an operator would, then whatever is left of it."""
        children = self.children()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for left in children:
            with suppress(psutil.NoSuchProcess):
                left.kill()

    def living_orphans(self) -> list[psutil.Process]:
        """Children of killed parents that are still there."""
        return [one for one in self._orphans if _lives(one)]


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def frozen(processes: list[psutil.Process]) -> Iterator[None]:
    """The processes stand still while the block runs, so that what the ledger says of them stays true."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    try:
        yield
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def kill_child(workers: list[Worker], ledger: Ledger, chance: Random) -> list[int]:
    """Kill one pool child with -9 while it hands messages over. Returns the batches it had messages of on their way.

    Empty where no child was caught handing over in time: then one is killed all the same.
    """
    return _kill(workers, ledger, chance, parent=False)


def kill_parent(workers: list[Worker], ledger: Ledger, chance: Random) -> list[int]:
    """Kill a parent with -9 while one of its children hands messages over; returns as `kill_child`.

    Only the parent is killed. Its children must not outlive it for long: see `Worker.living_orphans`.
    """
    return _kill(workers, ledger, chance, parent=True)


def _kill(workers: list[Worker], ledger: Ledger, chance: Random, *, parent: bool) -> list[int]:
    deadline = time.monotonic() + _AIM_SECONDS
    while True:
        for worker in workers:
            worker.supervise()
        worker = chance.choice(workers)
        children = worker.children()
        seen = children if parent else chance.sample(children, min(1, len(children)))
        with frozen(seen):
            hit = [batch_id for batch_id in worker.batches_of(seen) if ledger.handing(batch_id)] if seen else []
            if hit or (seen and time.monotonic() > deadline):
                if parent:
                    worker.kill()
                else:
                    seen[0].kill()
                return hit
        if time.monotonic() > deadline + _AIM_SECONDS:
            raise RuntimeError("no worker has come up to be killed")
        time.sleep(chance.uniform(0.01, 0.1))
