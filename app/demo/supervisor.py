"""`make run`: everything on one machine, stopped together with Ctrl-C.

Starts embedded PostgreSQL and Valkey where no addresses are given, migrates, loads the demo firm into an empty
database, and runs web, two workers and beat under one supervisor.
"""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from honcho.manager import Manager

from app.core.embedded import embedded_servers
from app.demo.processes import ROOT, system

STOPPED_BY_HAND = {-signal.SIGINT, -signal.SIGTERM, 128 + signal.SIGINT, 128 + signal.SIGTERM}


def main() -> int:
    """Run until Ctrl-C or until one of the processes ends; returns the exit code."""
    var_dir = Path(os.environ.get("VAR_DIR", ROOT / "var")).resolve()
    var_dir.mkdir(parents=True, exist_ok=True)
    environ = os.environ
    environ.setdefault("VAR_DIR", str(var_dir))
    environ.setdefault("BASE_URL", "http://127.0.0.1:8000")
    environ.setdefault("LOG_FORMAT", "console")
    environ.setdefault("INBOUND_TOKEN", "local-inbound")
    with embedded_servers(var_dir, environ):
        prepared = subprocess.run([sys.executable, "-m", "app.demo", "--prepare"], cwd=ROOT, check=False)
        if prepared.returncode:
            return prepared.returncode
        manager = Manager()
        for name, (command, extra) in system(environ["BASE_URL"], var_dir).items():
            manager.add_process(name, "exec " + shlex.join(command), env={**environ, **extra}, cwd=str(ROOT))
        manager.loop()
    return 0 if manager.returncode in STOPPED_BY_HAND else int(manager.returncode or 0)


if __name__ == "__main__":
    sys.exit(main())
