"""The processes around a measured send: the real workers, the sink that swallows the mail, and what they use."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from sqlalchemy import text

from app.core.embedded import free_port
from app.core.extensions import db
from app.core.queues import celery_app
from app.demo.processes import ROOT, system
from bench.delivery_book import DeliveryBook, PartMissing

PATIENCE = 60.0
CONNECTIONS = 2  # of a sending process with the relay


@dataclass(frozen=True)
class Workers:
    """The sending worker of a system; `pool` are the processes that send."""

    parent: psutil.Process

    @property
    def pool(self) -> list[psutil.Process]:
        return [child for child in self.parent.children() if "resource_tracker" not in " ".join(child.cmdline())]

    def largest(self) -> float:
        """The proportional set size of the largest sending process, in MB."""
        return max(_proportional_size(process.pid) for process in self.pool)


@contextmanager
def send_workers(book: DeliveryBook, **environ: str) -> Iterator[Workers]:
    """`app.demo.processes` "send": one Celery worker with two processes. Yields once they answer."""
    command, extra = system(book.environ["BASE_URL"], book.folder)["send"]
    with _process(command, book, extra | environ) as process:
        wait_until(lambda: bool(celery_app.control.ping(timeout=0.5)), "the workers answer")
        workers = Workers(psutil.Process(process.pid))
        wait_until(lambda: len(workers.pool) == 2, "there are two sending processes")
        yield workers


@contextmanager
def web(book: DeliveryBook, *, patience: float = PATIENCE) -> Iterator[None]:
    """The web process. Yields once it listens."""
    command, extra = system(book.environ["BASE_URL"], book.folder)["web"]
    port = urlsplit(book.environ["BASE_URL"]).port or 80
    with _process(command, book, extra) as process:
        wait_until(lambda: _listens(process.pid, port), "the web process listens", patience=patience)
        yield


@contextmanager
def smtp_sink() -> Iterator[int]:
    """Postfix's smtp-sink on a free port of loopback, which counts what it is sent and keeps nothing."""
    program = os.environ.get("BENCH_SMTP_SINK") or shutil.which("smtp-sink", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise PartMissing("Postfix's smtp-sink is not installed")
    port = free_port()
    as_nobody = ["-u", "nobody"] if os.getuid() == 0 else []
    with subprocess.Popen([program, *as_nobody, f"127.0.0.1:{port}", "200"], cwd="/") as process:
        try:
            wait_until(lambda: _listens(process.pid, port), "the sink listens")
            yield port
        finally:
            process.terminate()


@contextmanager
def keeping_sink(store: Path) -> Iterator[int]:
    """The sink of the demo, which keeps every message (`app.demo.sink.read_messages`)."""
    port = free_port()
    with _program("app.demo.sink", "--port", str(port), "--store", str(store)):
        yield port


@contextmanager
def mock(module: str, *arguments: str) -> Iterator[str]:
    """A mock of a vendor, started with a port and these arguments. Yields its address."""
    port = free_port()
    with _program(module, str(port), *arguments):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _program(module: str, *arguments: str) -> Iterator[None]:
    """A program that writes a line once it is ready."""
    with subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.terminate()


def relay(port: int) -> dict[str, str]:
    """The environment that sends mail to a server on this port."""
    return {
        "EMAIL_CHANNEL": "smtp",
        "SMTP_URL": f"smtp://127.0.0.1:{port}",
        "SMTP_CONNECTIONS": str(CONNECTIONS),
    }


def wait_until(ready: Callable[[], bool], what: str, *, patience: float = PATIENCE, pause: float = 0.05) -> None:
    """Look again and again; RuntimeError where it does not come."""
    end = time.monotonic() + patience
    while not ready():
        if time.monotonic() > end:
            raise RuntimeError(f"waited in vain: {what}")
        time.sleep(pause)


def run_together(commands: Sequence[Sequence[str]], environ: Mapping[str, str]) -> float:
    """Start programs, let them go at once when all are ready; how long until the last ended, in seconds."""
    processes = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, bufsize=0, env={**os.environ, **environ}
        )
        for command in commands
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    start = time.perf_counter()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
    codes = [process.wait() for process in processes]
    if any(codes):
        raise RuntimeError("a program failed")
    return time.perf_counter() - start


def all_batches_done() -> bool:
    """Whether everything that was planned has been sent."""
    with db.engine.connect() as connection:
        return not connection.scalar(
            text(
                "SELECT EXISTS (SELECT FROM batch WHERE state = 'open') "
                "OR EXISTS (SELECT FROM run WHERE planned_at IS NULL)"
            )
        )


def _listens(pid: int, port: int) -> bool:
    process = psutil.Process(pid)
    return any(
        connection.laddr.port == port and connection.status == "LISTEN"
        for one in (process, *process.children(recursive=True))
        for connection in one.net_connections()
    )


def _proportional_size(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


@contextmanager
def _process(command: list[str], book: DeliveryBook, extra: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    environ = {**os.environ, **book.environ, **extra}
    with subprocess.Popen(command, env=environ, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.terminate()
