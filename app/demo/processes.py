"""The processes of a running system, as command lines: web, two workers, beat."""

import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from app.core.queues import SENDING_QUEUES, WORKING_QUEUES

ROOT = Path(__file__).resolve().parents[2]
WEB_THREADS = 64


def web_command(base_url: str) -> list[str]:
    """One process with many threads: a request that waits for its group commit costs a thread, not a core."""
    parts = urlsplit(base_url)
    return [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "--workers", "1", "--no-ws"),
        *("--host", parts.hostname or "127.0.0.1", "--port", str(parts.port or 80)),
        *("--blocking-threads", str(WEB_THREADS), "--backpressure", str(WEB_THREADS * 4)),
        *("--workers-kill-timeout", "10", "--log-level", "error", "wsgi:app"),
    ]


def worker_command(name: str, queues: tuple[str, ...], *, processes: int) -> list[str]:
    return [
        *(sys.executable, "-m", "celery", "-q", "-A", "worker", "worker", "-Q", ",".join(queues), "-n", f"{name}@%h"),
        *("--concurrency", str(processes), "--without-gossip", "--without-mingle", "--loglevel", "WARNING"),
    ]


def beat_command(schedule: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "celery", "-q", "-A", "worker", "beat", "--schedule", str(schedule)),
        *("--loglevel", "WARNING", "--pidfile="),
    ]


def system(base_url: str, var_dir: Path) -> Mapping[str, tuple[list[str], dict[str, str]]]:
    """name > (command, extra environment) of every process of one system."""
    return {
        "web": (web_command(base_url), {}),
        "send": (
            worker_command("send", SENDING_QUEUES, processes=2),
            {"WORKER_QUEUES": ",".join(SENDING_QUEUES)},
        ),
        "work": (
            worker_command("work", WORKING_QUEUES, processes=2),
            {"WORKER_QUEUES": ",".join(WORKING_QUEUES)},
        ),
        "beat": (beat_command(var_dir / "beat-schedule"), {}),
    }
