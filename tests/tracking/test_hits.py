"""The pixel and the click redirect, as a client's mail program meets them."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.core.extensions import db, links, signer
from app.core.tokens import Kind
from app.tracking.hits import PIXEL
from app.tracking.intake import Intake
from app.tracking.models import Event
from tests.factories.tracking import make_sent_messages


def _path(url: str) -> str:
    return url.removeprefix("http://localhost")


def _events() -> list[Event]:
    return list(db.session.scalars(select(Event).order_by(Event.id)))


def test_the_pixel_is_a_gif_of_43_bytes_and_leaves_an_event(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    answer = browser_client.get(_path(links().open_pixel(message.id)), headers={"User-Agent": "A" * 500})
    assert (answer.status_code, answer.mimetype, answer.data) == (200, "image/gif", PIXEL)
    assert len(PIXEL) == 43
    assert "no-store" in answer.headers["Cache-Control"]
    assert "Set-Cookie" not in answer.headers
    (event,) = _events()
    assert (event.kind, event.message_id, event.source, event.method) == ("open", message.id, "pixel", "GET")
    assert event.user_agent == "A" * 300


def test_a_click_goes_to_the_signed_address_and_is_recorded(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    target = "https://www.example.com/offer?a=1&b=%20#part"
    answer = browser_client.get(_path(links().click(message.id, 3, target)))
    assert (answer.status_code, answer.headers["Location"]) == (302, target)
    (event,) = _events()
    assert (event.kind, event.message_id, event.link) == ("click", message.id, target)


def test_a_head_request_is_answered_without_body_and_recorded_as_such(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    assert browser_client.head(_path(links().open_pixel(message.id))).data == b""
    assert browser_client.head(_path(links().click(message.id, 0, "https://example.com/"))).status_code == 302
    assert [event.method for event in _events()] == ["HEAD", "HEAD"]


def test_an_altered_token_is_not_found_and_leaves_nothing(browser_client: FlaskClient) -> None:
    click = _path(links().click(1, 0, "https://example.com/"))
    for position in range(3, len(click)):
        altered = click[:position] + ("A" if click[position] != "A" else "B") + click[position + 1 :]
        answer = browser_client.get(altered)
        # the last sign of a token may carry bits that mean nothing: then it is still the same token
        assert answer.status_code == 404 or answer.headers["Location"] == "https://example.com/"
    assert all(event.message_id == 1 for event in _events())


@pytest.mark.parametrize(
    "path", ["/c/", "/o/", "/c/x", "/o/x.gif", "/o/.gif", "/c/%00", "/o/é.gif", "/c/" + "A" * 9000]
)
def test_a_token_that_is_none_is_not_found(browser_client: FlaskClient, path: str) -> None:
    answer = browser_client.get(path)
    assert (answer.status_code, answer.mimetype) == (404, "text/plain")


def test_a_token_of_another_kind_is_not_accepted(browser_client: FlaskClient) -> None:
    token = signer().sign(Kind.UNSUBSCRIBE, 1)
    assert browser_client.get(f"/o/{token}.gif").status_code == 404
    assert browser_client.get(f"/c/{token}").status_code == 404


@pytest.mark.parametrize(
    "target",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "//evil.example/",
        "/relative",
        "ftp://example.com/",
        "https://",
        "https://example.com/\r\nSet-Cookie: a=b",
        "https://example.com/a b",
        "http://[::1",
        "",
    ],
)
def test_only_http_and_https_addresses_are_followed_even_if_signed(browser_client: FlaskClient, target: str) -> None:
    answer = browser_client.get(_path(links().click(1, 0, target)))
    assert answer.status_code == 404
    assert "Location" not in answer.headers


def test_nothing_in_the_query_changes_where_a_click_leads(browser_client: FlaskClient) -> None:
    path = _path(links().click(1, 0, "https://example.com/"))
    answer = browser_client.get(path + "?url=https://evil.example/&next=//evil.example")
    assert answer.headers["Location"] == "https://example.com/"


def test_an_address_in_another_script_is_encoded(browser_client: FlaskClient) -> None:
    answer = browser_client.get(_path(links().click(1, 0, "https://例子.example/开户?名=值")))
    assert answer.headers["Location"].isascii()


def test_other_methods_are_refused(browser_client: FlaskClient) -> None:
    answer = browser_client.post(_path(links().open_pixel(1)))
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_while_the_database_is_away_pixel_and_click_still_work(
    app: Flask, browser_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = Intake("postgresql://nobody@127.0.0.1:1/nothing")
    front = app.wsgi_app
    monkeypatch.setattr(front, "_intake", dead)
    assert browser_client.get(_path(links().open_pixel(1))).data == PIXEL
    assert browser_client.get(_path(links().click(1, 0, "https://example.com/"))).status_code == 302
    assert dead.unrecorded == 2
    assert _events() == []
