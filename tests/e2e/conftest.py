"""A whole running system (web, two workers, beat) and a real Chromium in front of it.

The system has a database and a broker number of its own on the test servers, so that the tables other tests empty
and the rows these tests make never meet.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from app.core.embedded import free_port
from app.demo.processes import ROOT, system
from tests.e2e.waiting import wait_until

ARTIFACTS = ROOT / "var" / "test-artifacts"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
START_SECONDS = 120
STEP_SECONDS = 20
DATABASE = "browser_tests"
BROKER_NUMBER = 5
# A refused form and a refused page are answers, not faults; Chromium reports both on the console.
EXPECTED = ("the server responded with a status of 422", "the server responded with a status of 404")


@dataclass(frozen=True)
class System:
    """A running system: its address, the environment of its processes, and what they said."""

    url: str
    environ: dict[str, str]
    logs: Path

    def run(self, module: str, *arguments: str) -> None:
        """Run a Python module beside the system, such as `flask db upgrade`."""
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environ, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def said(self) -> str:
        """The end of every process's log."""
        return "\n".join(f"--- {log.stem}\n{log.read_text()[-3000:]}" for log in sorted(self.logs.glob("*.log")))


@pytest.fixture(scope="session")
def chromium() -> str:
    """The machine's Chromium. Without one these tests are skipped, but never on the build server."""
    for name in CHROMIUM_NAMES:
        if path := shutil.which(name):
            return path
    if os.environ.get("CI") == "true":
        pytest.fail("The browser tests need Chromium, and none is installed here.")
    pytest.skip("No Chromium is installed, so the browser tests are left out.")


@pytest.fixture(scope="package")
def system_running(
    chromium: str, servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """The processes that `make run` starts, over a fresh database."""
    folder = tmp_path_factory.mktemp("system")
    url = f"http://127.0.0.1:{free_port()}"
    environ = {
        **os.environ,
        **servers,
        "DATABASE_URL": _fresh_database(servers["DATABASE_URL"]),
        "BROKER_URL": servers["BROKER_URL"].rpartition("/")[0] + f"/{BROKER_NUMBER}",
        "VAR_DIR": str(folder),
        "BASE_URL": url,
        "PUBLIC_URL": url,
        "EMAIL_CHANNEL": "mailbox",
        "MACHINE_HIT_SECONDS": "0",
        "LOG_LEVEL": "WARNING",
        "FLASK_APP": "wsgi",
    }
    running = System(url, environ, folder)
    running.run("flask", "db", "upgrade")
    with _processes(running):
        yield running


def _fresh_database(server_url: str) -> str:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {DATABASE}")
    before, _slash, parameters = server_url.partition("?")
    return f"{before.rpartition('/')[0]}/{DATABASE}?{parameters}"


@contextmanager
def _processes(running: System) -> Iterator[None]:
    """Start them, wait until they answer, end them one by one by their ids."""
    started: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, (command, extra) in system(running.url, running.logs).items():
            with (running.logs / f"{name}.log").open("wb") as log:
                started[name] = subprocess.Popen(
                    command, cwd=ROOT, env={**running.environ, **extra}, stdout=log, stderr=subprocess.STDOUT
                )
        wait_until(lambda: _ready(running, started), "the system to be ready", seconds=START_SECONDS)
        yield
    finally:
        for process in reversed(started.values()):
            process.terminate()
        for process in started.values():
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def _ready(running: System, started: dict[str, subprocess.Popen[bytes]]) -> bool:
    for name, process in started.items():
        assert process.poll() is None, f"“{name}” ended at the start.\n{running.said()}"
    try:
        with urlopen(f"{running.url}/readyz", timeout=5) as answer:  # noqa: S310  an http address of our own
            return bool(answer.status == 200)
    except (URLError, TimeoutError, ConnectionError):
        return False


@pytest.fixture(scope="package")
def chromium_running(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def firm(system_running: System) -> None:
    """Branches and staff, see `firm.py`."""
    system_running.run("tests.e2e.firm")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> object:
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


FAILED: pytest.StashKey[bool] = pytest.StashKey()
NewPage = Callable[..., Page]


@pytest.fixture
def new_page(request: pytest.FixtureRequest, system_running: System, chromium_running: Browser) -> Iterator[NewPage]:
    """Opens a browser of somebody: nothing is shared between two of them but the server.

    At the end of the test each must have been without an error on its console, an uncaught error of a script or a
    violation of the Content-Security-Policy (which Chromium reports on the console).
    """
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def open_browser(*, width: int = 1280, height: int = 900, touch: bool = False) -> Page:
        context = chromium_running.new_context(
            base_url=system_running.url,
            viewport={"width": width, "height": height},
            locale="en-GB",
            has_touch=touch,
            is_mobile=touch,
        )
        contexts.append(context)
        context.set_default_timeout(STEP_SECONDS * 1000)
        context.on("console", lambda message: _note(message, faults))
        context.on("weberror", lambda error: faults.append(f"uncaught: {error.error}"))
        return context.new_page()

    expect.set_options(timeout=STEP_SECONDS * 1000)
    yield open_browser
    failed = request.node.stash.get(FAILED, False)
    if failed or faults:
        _keep(request.node.name, contexts, system_running)
    for context in contexts:
        context.close()
    assert not faults, faults


def _note(message: ConsoleMessage, faults: list[str]) -> None:
    if message.type == "error" and not any(part in message.text for part in EXPECTED):
        faults.append(f"{message.text} ({message.location.get('url', '')})")


def _keep(test: str, contexts: list[BrowserContext], running: System) -> None:
    """A picture of every open page and the logs, for whoever looks into the failure."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    for number, page in enumerate(page for context in contexts for page in context.pages):
        page.screenshot(path=ARTIFACTS / f"{test}-{number}.png", full_page=True)
    print(running.said())  # noqa: T201  pytest shows it with the failure
    print(f"Pictures are in {ARTIFACTS}.")  # noqa: T201


@pytest.fixture
def page(new_page: NewPage) -> Page:
    """A browser of 1280 pixels."""
    return new_page()
