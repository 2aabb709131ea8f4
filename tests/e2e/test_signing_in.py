"""Signing in and out as people do it: mistakes, the keyboard alone, the other language.

It has people of its own, so that it may lock them out.
"""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.acts import sign_in, type_sign_in
from tests.e2e.firm import CHECKER, NEWCOMER, OFFICER, PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("firm")]


def test_wrong_password_is_answered_with_a_sentence_and_the_address_is_kept(page: Page) -> None:
    page.goto("/sign-in")
    type_sign_in(page, OFFICER, "not the password")
    expect(page.get_by_role("alert")).to_contain_text("The e-mail address or the password is not right.")
    expect(page.get_by_label("E-mail address")).to_have_value(OFFICER)
    expect(page.get_by_label("Password", exact=True)).to_have_value("")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name=re.compile("Good day"))).to_be_visible()


def test_after_five_failures_the_right_password_does_not_help_either(page: Page) -> None:
    page.goto("/sign-in")
    for _attempt in range(5):
        with page.expect_navigation():
            type_sign_in(page, NEWCOMER, "not the password")
    with page.expect_navigation():
        type_sign_in(page, NEWCOMER, PASSWORD)
    expect(page.get_by_role("alert")).to_contain_text("locked for 15 minutes")


def test_signing_in_works_with_the_keyboard_alone(page: Page) -> None:
    page.goto("/sign-in")
    expect(page.get_by_label("E-mail address")).to_be_focused()
    page.keyboard.type(CHECKER)
    page.keyboard.press("Tab")
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=re.compile("Good day"))).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_a_stranger_is_led_back_to_the_page_they_asked_for(page: Page) -> None:
    page.goto("/segments")
    type_sign_in(page, OFFICER, PASSWORD)
    expect(page.get_by_role("heading", name="Segments", level=1)).to_be_visible()


def test_the_chosen_language_stays_with_the_person_after_signing_out(page: Page) -> None:
    sign_in(page, CHECKER)
    open_user_menu(page)
    page.get_by_role("button", name="简体中文").click()
    expect(page.locator("html")).to_have_attribute("lang", re.compile("^zh"))
    open_user_menu(page)
    page.locator("form[action='/sign-out'] button:visible").click()
    expect(page).to_have_url(re.compile("/sign-in"))
    expect(page.locator("html")).to_have_attribute("lang", re.compile("^zh"))
    page.goto("/campaigns")
    expect(page).to_have_url(re.compile("/sign-in"))
    page.get_by_role("button", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    sign_in(page, CHECKER)
    expect(page.locator("html")).to_have_attribute("lang", "en")


def open_user_menu(page: Page) -> None:
    page.wait_for_load_state()  # until the styles are there, both places of the button are visible
    page.locator(".user-button:visible").click()
