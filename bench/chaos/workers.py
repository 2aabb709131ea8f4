"""Celery workers as in service, a supervisor that starts them again, and their sudden deaths."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
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
_AIM_SECONDS = 20.0  # how long to wait for a moment in which the victim is handing messages over


class Worker:
    """One sending worker (a parent and its pool children), started again whenever it is found dead."""

    def __init__(self, name: str, environ: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.starts = 0
        self.orphans: list[psutil.Process] = []
        self._environ = {**environ, "WORKER_QUEUES": ",".join(SENDING_QUEUES)}
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        control = Celery(broker=environ["BROKER_URL"]).control
        self._node = f"{name}@{socket.gethostname()}"
        self._inspect = control.inspect(destination=[self._node], timeout=2)

    def supervise(self) -> None:
        """Start the worker if it does not run."""
        if self._process is None or self._process.poll() is not None:
            with self._log.open("ab") as log:
                command = worker_command(self.name, SENDING_QUEUES, processes=CHILDREN)
                self._process = subprocess.Popen(
                    command, cwd=ROOT, env=self._environ, stdout=log, stderr=subprocess.STDOUT
                )
            self.starts += 1

    def children(self) -> list[psutil.Process]:
        """The pool's processes."""
        if self._process is None or self._process.poll() is not None:
            return []
        with suppress(psutil.NoSuchProcess):
            return list(psutil.Process(self._process.pid).children())
        return []

    def kill(self, victims: list[psutil.Process], *, parent: bool) -> None:
        """`kill -9`: the parent first, so that it does not see its children go."""
        if parent and self._process is not None:
            self._process.kill()
            self._process.wait()
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.kill()

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
        return [orphan for orphan in self.orphans if orphan.is_running() and orphan.status() != psutil.STATUS_ZOMBIE]


class Frozen:
    """Processes that stand still while the block runs, so that what the ledger says of them stays true."""

    def __init__(self, processes: list[psutil.Process]) -> None:
        self._processes = processes

    def __enter__(self) -> None:
        self._signal(signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, sign: signal.Signals) -> None:
        for process in self._processes:
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                os.kill(process.pid, sign)


def kill_child(workers: list[Worker], ledger: Ledger, chance: Random) -> list[int]:
    """Kill one pool child with -9 while it hands messages over. Returns the batches it had messages of on their way.

    Empty where no child was caught handing over in time: then one is killed all the same.
    """
    return _kill(workers, ledger, chance, everyone=False)


def kill_worker(workers: list[Worker], ledger: Ledger, chance: Random) -> list[int]:
    """Kill a parent and all its children with -9; returns as `kill_child`."""
    return _kill(workers, ledger, chance, everyone=True)


def _kill(workers: list[Worker], ledger: Ledger, chance: Random, *, everyone: bool) -> list[int]:
    deadline = time.monotonic() + _AIM_SECONDS
    while True:
        worker = chance.choice(workers)
        children = worker.children()
        victims = children if everyone else chance.sample(children, min(1, len(children)))
        with Frozen(victims):
            batches = worker.batches_of(victims) if victims else []
            hit = [batch_id for batch_id in batches if ledger.handing([batch_id])]
            if hit or (victims and time.monotonic() > deadline):
                worker.kill(victims, parent=everyone)
                return hit
        if time.monotonic() > deadline + _AIM_SECONDS:
            raise RuntimeError("no worker has come up to be killed")
        time.sleep(chance.uniform(0.01, 0.1))


def kill_parent(workers: list[Worker], chance: Random) -> None:
    """Kill a parent with -9. Its children are orphans from then on and end their work by themselves."""
    worker = chance.choice([worker for worker in workers if worker.children()] or workers)
    worker.orphans += worker.children()
    worker.kill([], parent=True)
