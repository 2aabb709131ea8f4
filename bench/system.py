"""What the measures run on: a PostgreSQL and a Valkey of their own in a folder that is removed afterwards."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask
from flask_migrate import upgrade

from app import create_app
from app.config import load_config
from app.core.embedded import embedded_servers, free_port

ROOT = Path(__file__).parents[1]


@contextmanager
def running_app() -> Iterator[tuple[Flask, Path]]:
    """An app over an empty database (durable, as in service), sending to a sink; and where the sink keeps the mail."""
    with tempfile.TemporaryDirectory(prefix="bellwether-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        port = free_port()
        environ = {
            "VAR_DIR": name,
            "EMAIL_CHANNEL": "smtp",
            "SMTP_URL": f"smtp://127.0.0.1:{port}",
            "LOG_LEVEL": "ERROR",
        }
        with embedded_servers(folder, environ), _sink(port, folder / "mail") as store:
            app = create_app(load_config(environ))
            with app.app_context():
                upgrade()
                yield app, store


@contextmanager
def _sink(port: int, store: Path) -> Iterator[Path]:
    """The pipelining SMTP server of the demo, a process of its own."""
    command = [sys.executable, "-m", "app.demo.sink", "--port", str(port), "--store", str(store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        process.stdout.readline()  # "listening"
        try:
            yield store
        finally:
            process.terminate()
