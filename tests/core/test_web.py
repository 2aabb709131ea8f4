"""What every web response shares."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Blueprint, Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.exceptions import TooManyRequests

from app.config import Config
from app.core.embedded import free_port
from app.core.errors import Conflict
from app.core.extensions import db, links
from app.core.permissions import public
from app.core.web import for_clients, sandboxed
from tests.factories.users import make_user, sign_in

HTMX = {"HX-Request": "true"}
JSON = {"Accept": "application/json"}


def away(config: Config) -> str:
    """The address of a PostgreSQL that does not answer."""
    return f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/nothing?connect_timeout=2"


def troubles() -> Blueprint:
    """Routes that go wrong in every way."""
    bp = Blueprint("troubles", __name__, url_prefix="/trouble")

    def route(path: str, view: Callable[[], Any]) -> None:
        view.__name__ = path
        bp.add_url_rule(f"/{path}", path, public(view), methods=["GET", "POST"])

    def conflict() -> None:
        raise Conflict("Somebody was quicker.")

    def crash() -> None:
        raise RuntimeError("secret@example.com")

    def busy() -> None:
        raise TooManyRequests

    route("conflict", conflict)
    route("crash", crash)
    route("busy", busy)
    route("out-of-range", lambda: str(db.session.execute(text("SELECT 99999999999999999999::bigint"))))
    route("database", lambda: str(db.session.execute(text("SELECT 1"))))
    route("sandbox", lambda: sandboxed("<p>hello</p>"))
    bp.add_url_rule("/for-clients", "for_clients", public(for_clients(lambda: "hello")))
    bp.add_url_rule("/unmarked", "unmarked", lambda: "never")
    return bp


@pytest.fixture
def client(other_app: Callable[..., Flask]) -> FlaskClient:
    other = other_app()
    other.register_blueprint(troubles())
    return other.test_client()


def test_every_response_carries_the_security_headers(client: FlaskClient) -> None:
    for path in ("/sign-in", "/nowhere", "/trouble/crash", "/static/dist/app.css"):
        headers = client.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe-inline" not in policy
        assert "frame-ancestors 'self'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert "Strict-Transport-Security" not in headers


def test_over_https_cookies_are_secure_and_the_browser_is_told_to_stay(other_app: Callable[..., Flask]) -> None:
    other = other_app(base_url="https://bellwether.example", public_url="https://bellwether.example")
    answer = other.test_client().get("/sign-in", base_url="https://bellwether.example")
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    cookie = answer.headers["Set-Cookie"]
    assert all(word in cookie for word in ("Secure", "HttpOnly", "SameSite=Lax"))


def test_pages_of_the_signed_in_are_not_kept_by_the_browser(app: Flask, browser_client: FlaskClient) -> None:
    assert "no-store" in sign_in(browser_client, make_user()).get("/").headers["Cache-Control"]


def test_what_others_wrote_is_shown_in_a_sandbox(client: FlaskClient) -> None:
    policy = client.get("/trouble/sandbox").headers["Content-Security-Policy"]
    assert policy.startswith("sandbox;")
    assert "script-src" not in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/nowhere", 404, "This does not exist, or it is outside the part of the firm you work for."),
        ("/trouble/conflict", 409, "Somebody was quicker."),
        ("/trouble/busy", 429, "Please wait a minute and try again."),
        ("/trouble/out-of-range", 400, "A value in it is out of range."),
        (
            "/trouble/crash",
            500,
            "It has been recorded. Please try again, and tell an administrator if it stays.",
        ),
    ],
)
def test_an_error_is_a_page_a_fragment_or_json_with_one_sentence(
    client: FlaskClient, path: str, status: int, sentence: str
) -> None:
    page, fragment, data = client.get(path), client.get(path, headers=HTMX), client.get(path, headers=JSON)
    assert {page.status_code, fragment.status_code, data.status_code} == {status}
    assert page.mimetype == "text/html"
    assert sentence in page.text
    assert "</html>" in page.text
    assert (fragment.mimetype, fragment.text) == ("text/plain", sentence)
    assert data.json == {"error": {"status": status, "message": sentence}}
    for answer in (page, fragment, data):
        assert "Traceback" not in answer.text
        assert "secret@example.com" not in answer.text


def test_an_unknown_address_of_the_api_answers_in_json(client: FlaskClient) -> None:
    answer = client.get("/api/v1/nothing")
    assert (answer.status_code, answer.mimetype) == (404, "application/json")


def test_a_wrong_method_says_so(client: FlaskClient) -> None:
    answer = client.delete("/sign-in")
    assert answer.status_code == 405
    assert "does not take that kind of request" in answer.text


def test_a_form_without_its_token_is_refused(app: Flask, other_app: Callable[..., Flask]) -> None:
    other = other_app()
    other.config["WTF_CSRF_ENABLED"] = True
    answer = other.test_client().post("/sign-in", data={"email": "a@example.com", "password": "x"})
    assert answer.status_code == 400
    assert "The form has expired." in answer.text


def test_a_route_without_an_access_rule_is_not_served(client: FlaskClient) -> None:
    assert client.get("/trouble/unmarked").status_code == 404


NOTES = {"events_unrecorded": "0", "mailbox": "off"}


def test_health_looks_at_nothing_and_readiness_at_everything(browser_client: FlaskClient) -> None:
    assert browser_client.get("/healthz").json == {"status": "ok"}
    ready = browser_client.get("/readyz")
    assert (ready.status_code, ready.json) == (
        200,
        {"status": "ready", "database": "ok", "broker": "ok", **NOTES},
    )


def test_with_the_broker_away_the_web_still_does_its_work(other_app: Callable[..., Flask]) -> None:
    """Jobs wait in the database until the broker is back."""
    ready = other_app(broker_url=f"redis://127.0.0.1:{free_port()}/0").test_client().get("/readyz")
    assert (ready.status_code, ready.json) == (
        200,
        {"status": "ready", "database": "ok", "broker": "unreachable", **NOTES},
    )


def test_with_the_database_away_it_is_not_ready_and_says_so_without_a_stack(
    config: Config, other_app: Callable[..., Flask]
) -> None:
    other = other_app(database_url=away(config))
    other.register_blueprint(troubles())
    client = other.test_client()
    assert client.get("/healthz").status_code == 200
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json) == (
        503,
        {"status": "not ready", "database": "unreachable", "broker": "ok", **NOTES},
    )
    page = client.get("/trouble/database")
    assert (page.status_code, page.text) == (
        503,
        "Bellwether cannot reach its database. Please try again in a minute.",
    )


@pytest.fixture
def version() -> Iterator[Callable[[str], None]]:
    """Sets the database's migration, and puts it right again."""
    newest = db.session.scalar(text("SELECT version_num FROM alembic_version"))

    def set_version(number: str | None) -> None:
        with db.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :number"), {"number": number})

    yield set_version
    set_version(newest)


def test_a_database_that_is_newer_than_the_process_is_ready(
    app: Flask, version: Callable[[str], None], browser_client: FlaskClient
) -> None:
    """Migrations come first, processes after: the old ones go on until they are replaced."""
    version("9999_of_the_future")
    assert browser_client.get("/readyz").status_code == 200


# Two hosts

STAFF, CLIENTS = "http://staff.firm.example", "http://m.firm.example"


@pytest.fixture
def two_hosts(other_app: Callable[..., Flask]) -> FlaskClient:
    other = other_app(base_url=STAFF, public_url=CLIENTS)
    other.register_blueprint(troubles())
    return other.test_client()


@pytest.mark.parametrize(
    "path", ["/", "/sign-in", "/clients/", "/campaigns/", "/trouble/conflict", "/api/v1/openapi.json"]
)
@pytest.mark.parametrize("host", [CLIENTS, CLIENTS.upper().replace("HTTP", "http")])
def test_staff_pages_are_not_found_on_the_clients_host(two_hosts: FlaskClient, path: str, host: str) -> None:
    assert two_hosts.get(path, base_url=host).status_code == 404


def test_staff_pages_are_on_the_staff_host(two_hosts: FlaskClient) -> None:
    assert two_hosts.get("/sign-in", base_url=STAFF).status_code == 200
    assert two_hosts.get("/trouble/conflict", base_url=STAFF).status_code == 409


def test_what_clients_reach_from_messages_is_on_their_host(two_hosts: FlaskClient) -> None:
    assert two_hosts.get("/trouble/for-clients", base_url=CLIENTS).text == "hello"
    assert two_hosts.get("/static/dist/app.css", base_url=CLIENTS).status_code == 200
    assert two_hosts.get("/healthz", base_url=CLIENTS).status_code == 200
    with two_hosts.application.app_context():
        made = links()
    assert made.unsubscribe(1).startswith(CLIENTS)
    for url, status in ((made.unsubscribe(1), 200), (made.open_pixel(1), 200), (made.click(1, 0, STAFF), 302)):
        assert two_hosts.get(url.removeprefix(CLIENTS), base_url=CLIENTS).status_code == status


def test_one_host_serves_both_by_default(config: Config) -> None:
    assert not replace(config, public_url=config.base_url).separate_public_host


def test_a_refused_form_leads_back_to_the_page_it_came_from(other_app: Callable[..., Flask]) -> None:
    other = other_app()

    def refuse() -> str:
        raise Conflict

    other.add_url_rule("/refuse", "refuse", public(refuse), methods=["POST"])
    client = other.test_client()
    page = client.post("/refuse", headers={"Referer": "http://localhost/campaigns/C1?step=2"})
    assert (page.status_code, 'href="/campaigns/C1?step=2"' in page.text) == (409, True)
    stranger = client.post("/refuse", headers={"Referer": "http://elsewhere.example/campaigns/C1"})
    assert "/campaigns/C1" not in stranger.text
