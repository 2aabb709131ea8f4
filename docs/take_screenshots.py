"""`make screenshots`: the pictures of docs/screenshots, from a demo firm built for them.

Starts embedded PostgreSQL and Valkey over a temporary folder, builds the firm, runs the processes of the product,
and goes from page to page with a real Chromium, at the width of a desktop and of a phone. A picture shows the top of
a page, as it meets the eye. The clients have Chinese names too: without a Chinese font they would be boxes.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from flask_migrate import upgrade
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright
from sqlalchemy import select

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app import create_app  # noqa: E402  the project's folder has to be known first
from app.campaigns.models import Campaign, State  # noqa: E402
from app.campaigns.service import approve, launch  # noqa: E402
from app.clients.models import Client  # noqa: E402
from app.config import load_config  # noqa: E402
from app.core.embedded import embedded_servers, free_port  # noqa: E402
from app.core.extensions import db  # noqa: E402
from app.core.permissions import Role  # noqa: E402
from app.core.unit_of_work import unit_of_work  # noqa: E402
from app.demo.firm import SIGN_INS, build_firm  # noqa: E402
from app.demo.processes import system  # noqa: E402
from app.tracking.models import AccountOpening, Reply  # noqa: E402
from app.users.models import User  # noqa: E402

TARGET = ROOT / "docs" / "screenshots"
SIZES: dict[str, ViewportSize] = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}
PATIENCE_SECONDS = 180
NEW_CLIENTS = """\
Client number,Name,E-mail,Mobile,Email consent,Branch,City,Birth date,Risk level,First contact,Favourite fund
90000001,Clara Novak,clara.novak@example.com,+86 138 0013 8000,yes,SH01,Shanghai,1984-05-17,C3,2026-03-02,Global bonds
90000002,David Lund,david.lund@example.com,+86 139 1234 5678,yes,SH01,Shanghai,1971-11-30,C4,2026-03-09,Asia growth
90000003,王秀英,wang.xiuying@example.com,+86 137 2222 8888,yes,GD02,Shenzhen,1966-08-08,C2,2026-03-11,Global bonds
90000004,Ellen Marsh,ellen.marsh@example.com,,no,BJ01,Beijing,the eighth of May,C3,2026-03-12,Gold
"""


def main() -> int:
    browser_path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser_path is None:
        print("Screenshots need Chromium, and none is installed here.")
        return 1
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bellwether-screenshots-") as folder, ExitStack() as stack:
        var_dir = Path(folder)
        var_dir.chmod(0o755)  # PostgreSQL runs as a user of its own
        os.environ.update(_environment(var_dir))
        stack.enter_context(embedded_servers(var_dir, os.environ))
        stack.enter_context(create_app(load_config(), web=False).app_context())
        upgrade()
        build_firm()
        url = os.environ["BASE_URL"]
        stack.enter_context(_running(url, var_dir))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        clients = var_dir / "new-clients.csv"
        clients.write_text(NEW_CLIENTS)
        _take_all(browser, url, clients)
        browser.close()
    sizes = [picture.stat().st_size for picture in TARGET.glob("*.png")]
    print(f"{len(sizes)} pictures in {TARGET.relative_to(ROOT)}, {sum(sizes) // 1024} kB.")
    return 0


def _environment(var_dir: Path) -> dict[str, str]:
    return {
        "DATABASE_URL": "",
        "BROKER_URL": "",
        "VAR_DIR": str(var_dir),
        "BASE_URL": f"http://127.0.0.1:{free_port()}",
        "EMAIL_CHANNEL": "mailbox",
        "TIME_ZONE": "Asia/Shanghai",
        "LOG_LEVEL": "WARNING",
    }


@contextmanager
def _running(url: str, var_dir: Path) -> Iterator[None]:
    """The processes of the product, ended by their ids."""
    started = [
        subprocess.Popen(command, cwd=ROOT, env={**os.environ, **extra})
        for command, extra in system(url, var_dir).values()
    ]
    try:
        _wait(lambda: _answers(f"{url}/readyz"), "the pages")
        yield
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(timeout=30)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as answer:  # noqa: S310  an http address of our own
            return bool(answer.status == 200)
    except (URLError, TimeoutError, ConnectionError):
        return False


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"Gave up waiting for {what}.")
        time.sleep(0.2)


def _take_all(browser: Browser, url: str, clients: Path) -> None:
    officer, checker = (_signed_in(browser, url, role) for role in (Role.MARKETING, Role.COMPLIANCE))
    for name, path in _pages().items():
        _take(officer, name, url + path)
    _take(checker, "campaign", f"{url}/campaigns/{_campaign(State.IN_REVIEW).code}/review")
    officer.goto(f"{url}/client-imports/new")
    officer.get_by_label("File").set_input_files(clients)
    officer.get_by_role("button", name="Upload and choose columns").click()
    officer.wait_for_url("**/columns")
    _take(officer, "import", officer.url)
    _send_campaign()
    officer.goto(f"{url}/mailbox")
    officer.locator("tbody a").first.click()
    officer.wait_for_url("**/mailbox/*")
    _take(officer, "mailbox", officer.url)


def _pages() -> dict[str, str]:
    """Pages of the marketing officer: name of the picture > path."""
    newest_first = select(Campaign).where(Campaign.state == State.COMPLETE).order_by(Campaign.launched_at.desc())
    reported = db.session.scalars(newest_first.limit(1)).one()
    draft = _campaign(State.DRAFT)
    return {
        "overview": "/",
        "clients": "/clients/",
        "client": f"/clients/{_talkative_client()}",
        "segment": "/segments/new?ready=wealthy_without_fund",
        "message": f"/campaigns/{draft.code}/message",
        "report": f"/reports/{reported.code}",
        "replies": "/replies",
    }


def _campaign(state: State) -> Campaign:
    return db.session.scalars(select(Campaign).where(Campaign.state == state).order_by(Campaign.id)).one()


def _talkative_client() -> str:
    """The number of a client of whom there is much to see: accounts, consent, an answer, an opening."""
    return db.session.scalars(
        select(Client.number)
        .where(
            Client.locale == "en",
            Client.kind == "person",
            Client.email_consent.is_(True),
            Client.id.in_(select(Reply.client_id)),
            Client.id.in_(select(AccountOpening.client_id)),
        )
        .order_by(Client.total_assets.desc())
        .limit(1)
    ).one()


def _send_campaign() -> None:
    """Approve the campaign that waits and let the workers deliver it, so that the mailbox has something to show."""
    campaign = _campaign(State.IN_REVIEW)
    officer, checker = (
        db.session.scalars(select(User).where(User.email == _sign_in_of(role)[0])).one()
        for role in (Role.MARKETING, Role.COMPLIANCE)
    )
    with unit_of_work():
        approve(campaign=campaign, actor=checker)
    with unit_of_work():
        launch(campaign=campaign, actor=officer)

    def complete() -> bool:
        db.session.rollback()
        return campaign.state == State.COMPLETE

    _wait(complete, "the campaign to be sent")


def _sign_in_of(role: Role) -> tuple[str, str]:
    return next((email, password) for one, _name, email, password, _branch in SIGN_INS if one == role)


def _signed_in(browser: Browser, url: str, role: Role) -> Page:
    email, password = _sign_in_of(role)
    page = browser.new_context(locale="en-GB", timezone_id="Asia/Shanghai").new_page()
    page.goto(f"{url}/sign-in")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", level=1).wait_for()
    return page


def _take(page: Page, name: str, address: str) -> None:
    for device, size in SIZES.items():
        page.set_viewport_size(size)
        page.goto(address)
        page.wait_for_load_state("networkidle")
        page.screenshot(path=TARGET / f"{name}-{device}.png", animations="disabled")


if __name__ == "__main__":
    sys.exit(main())
