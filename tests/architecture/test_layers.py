"""Who may import whom, and what a process carries in memory."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# For reports, imports and pages only: each would cost the send worker's processes tens of megabytes.
HEAVY = {
    "statsmodels",
    "scipy",
    "pandas",
    "numpy",
    "xlsxwriter",
    "python_calamine",
    "phonenumbers",
    "cnlunar",
    "app.pages",
    "app.demo",
    "app.reports",
    "app.clients.importing",
    "app.tracking",
    "app.api",
}


def test_features_import_upstream_only_and_keep_their_inner_order() -> None:
    """As a program of its own: it sets up logging anew, which would silence the loggers of this process."""
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_feature_is_in_the_order() -> None:
    """A package that no contract names could import anything."""
    outer, inner = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    packages = {path.parent.name for path in (ROOT / "app").glob("*/__init__.py")}
    assert packages - set(re.findall(r"\w+", " ".join(outer["layers"]))) == set()
    kits = {path.parent.name for path in (ROOT / "app").glob("*/service.py")}
    assert {f"app.{name}" for name in kits} - set(inner["containers"]) == set()


@pytest.mark.usefixtures("config")
def test_the_send_worker_carries_nothing_it_does_not_need(servers: dict[str, str]) -> None:
    program = "import sys, worker; print(*sorted(sys.modules), sep='\\n')"
    environment = servers | {"WORKER_QUEUES": "send-email,send-sms,default", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "app.delivery.tasks" in loaded
    carried = {name for name in HEAVY if any(module == name or module.startswith(f"{name}.") for module in loaded)}
    assert carried == set()
