"""What people do again and again in the browser."""

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from tests.e2e.firm import PASSWORD
from tests.e2e.waiting import wait_until

WORKER_SECONDS = 60


def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    page.goto("/sign-in")
    type_sign_in(page, email, password)
    expect(page.get_by_role("heading", name=re.compile("Good day"))).to_be_visible()


def type_sign_in(page: Page, email: str, password: str) -> None:
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()


def go(page: Page, menu: str) -> None:
    """Choose from the main menu."""
    link = page.get_by_role("navigation", name="Main menu").get_by_role("link", name=menu)
    with page.expect_navigation(wait_until="load"):
        link.click()


def arrive(page: Page, control: Locator) -> Locator:
    """Wait for the page that holds this control and for its scripts, as a person's eye and hand do; the control."""
    expect(control).to_be_visible()
    page.wait_for_load_state("load")
    return control


def figure(page: Page, label: str) -> str:
    """The number on a tile."""
    named = page.locator(".figure-label", has_text=re.compile(f"^\\s*{label}\\s*$"))
    tile = page.locator(".figure-tile").filter(has=named)
    return (tile.locator(".figure-value").first.inner_text()).split()[0]


def answer_question(page: Page, button: str) -> str:
    """Agree in the dialog that is open; returns what it asked."""
    dialog = page.get_by_role("dialog")
    asked = dialog.inner_text()
    dialog.get_by_role("button", name=button).click()
    return asked


def reload_until(page: Page, condition: Callable[[], bool], what: str) -> None:
    """Look again, as somebody does who waits for a worker's result on a page that does not follow by itself."""

    def looked() -> bool:
        page.reload()
        return condition()

    wait_until(looked, what, seconds=WORKER_SECONDS)
