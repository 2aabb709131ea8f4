"""What tracking is measured on: a durable PostgreSQL of its own, and web processes as in service, to be killed."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import psutil
from flask import Flask
from flask_migrate import upgrade

from app import create_app
from app.config import load_config
from app.core.embedded import embedded_servers, free_port
from app.demo.processes import ROOT, WEB_THREADS
from tests.factories.tracking import Vendor

PATIENCE = 60.0


@dataclass(frozen=True)
class System:
    """The database's environment, the app over it, a folder for files, and SendGrid's signing key."""

    environ: Mapping[str, str]
    app: Flask
    folder: Path
    vendor: Vendor


@contextmanager
def tracking_system() -> Iterator[System]:
    with tempfile.TemporaryDirectory(prefix="bellwether-bench-") as name:
        folder, vendor = Path(name), Vendor()
        folder.chmod(0o755)
        environ = {
            "VAR_DIR": name,
            "LOG_LEVEL": "ERROR",
            "SECRET_KEY": "a secret that is long enough for a measure",
            "SENDGRID_WEBHOOK_KEY": vendor.public_key,
            "BASE_URL": "http://127.0.0.1:8000",
        }
        with embedded_servers(folder, environ):
            app = create_app(load_config(environ))
            with app.app_context():
                upgrade()
                yield System(environ, app, folder, vendor)


def _used(process: psutil.Process) -> float:
    """Of a process and its children that are still there."""
    used = 0.0
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.Error):
            times = one.cpu_times()
            used += times.user + times.system
    return used


def postgres_seconds(system: System) -> float:
    """What PostgreSQL's processes of now have used. They must be the same ones before and after a measure."""
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if str(system.folder) in " ".join(command) and "postgres" in " ".join(command[:1]):
            return _used(process)
    raise RuntimeError("PostgreSQL is not there")


class Web:
    """One web process of granian, with the threads that it has in service."""

    def __init__(self, system: System, target: str = "wsgi:app") -> None:
        self.port = free_port()
        command = [
            *(sys.executable, "-m", "granian", "--interface", "wsgi", "--workers", "1", "--no-ws"),
            *("--host", "127.0.0.1", "--port", str(self.port)),
            *("--blocking-threads", str(WEB_THREADS), "--backpressure", str(WEB_THREADS * 4)),
            *("--log-level", "error", target),
        ]
        # a session of its own, so that all of it can be killed at once
        self._process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **system.environ}, start_new_session=True, stdout=subprocess.DEVNULL
        )
        self._wait()

    def _wait(self) -> None:
        """Until it answers, whatever it answers."""
        deadline = time.monotonic() + PATIENCE
        while True:
            with suppress(OSError):
                connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/o/x")
                connection.getresponse().read()
                return
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.kill()
                raise RuntimeError("the web process did not start")
            time.sleep(0.05)

    def processor_seconds(self) -> float:
        """What it has used so far: a busy machine disturbs this less than the clock."""
        return _used(psutil.Process(self._process.pid))

    def kill(self) -> None:
        """SIGKILL to all of it: nothing is finished, nothing is said."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def web(system: System, target: str = "wsgi:app") -> Iterator[Web]:
    made = Web(system, target)
    try:
        yield made
    finally:
        made.kill()
