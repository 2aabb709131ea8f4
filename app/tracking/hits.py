"""The pixel and the click redirect, answered before Flask is entered.

    GET or HEAD  /o/<token>.gif   a transparent GIF of 43 bytes
    GET or HEAD  /c/<token>       302 to the address that the token itself carries; a sentence where it is the trap

Neither needs the database to answer: while PostgreSQL is away both still work, and the hit counts as unrecorded.
A click goes only to an http or https address that was signed here, so it is never an open redirect.
"""

from base64 import b64decode
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from werkzeug.urls import iri_to_uri

from app.core.clock import now
from app.core.tokens import BadToken, Kind, Signer, click_target
from app.tracking.intake import Intake, RawEvent, Unrecorded

PIXEL = b64decode("R0lGODlhAQABAPAAAAAAAAAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==")
_NO_STORE = ("Cache-Control", "no-store, max-age=0")
_MAX_TOKEN = 4_000
TRAP = "trap"  # the source of a hit of the link that people do not see

StartResponse = Callable[..., Any]
WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class HitFront:
    """WSGI: answers /o/ and /c/, hands everything else to the app behind it."""

    def __init__(self, wsgi_app: WsgiApp, signer: Signer, intake: Intake) -> None:
        self._app = wsgi_app
        self._signer = signer
        self._intake = intake

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path: str = environ.get("PATH_INFO", "")
        if not path.startswith(("/o/", "/c/")):
            return self._app(environ, start_response)
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _sentence(environ, start_response, "405 Method Not Allowed", "This address only answers GET.")
        try:
            return (self._open if path[1] == "o" else self._click)(environ, start_response, path[3:])
        except BadToken:
            return _sentence(environ, start_response, "404 Not Found", "This link is not valid. It may have been cut.")

    def _open(self, environ: dict[str, Any], start_response: StartResponse, name: str) -> Iterable[bytes]:
        if not name.endswith(".gif") or len(name) > _MAX_TOKEN:
            raise BadToken
        token = self._signer.read(name[:-4], Kind.OPEN)
        self._record(environ, "open", token.message_id, "pixel", None)
        return _answer(environ, start_response, "200 OK", [("Content-Type", "image/gif"), _NO_STORE], PIXEL)

    def _click(self, environ: dict[str, Any], start_response: StartResponse, name: str) -> Iterable[bytes]:
        if len(name) > _MAX_TOKEN:
            raise BadToken
        token = self._signer.read(name, Kind.CLICK, Kind.TRAP)
        if token.kind is Kind.TRAP:
            self._record(environ, "click", token.message_id, TRAP, None)
            return _sentence(environ, start_response, "200 OK", "There is nothing to see here.")
        location = redirect_target(click_target(token)[1])
        self._record(environ, "click", token.message_id, "click", location)
        headers = [("Location", location), _NO_STORE, ("Referrer-Policy", "no-referrer"), ("X-Robots-Tag", "noindex")]
        return _answer(environ, start_response, "302 Found", headers, b"")

    def _record(self, environ: dict[str, Any], kind: str, message_id: int, source: str, link: str | None) -> None:
        try:
            self._intake.record(
                RawEvent(
                    kind=kind,
                    message_id=message_id,
                    at=now(),
                    source=source,
                    link=link,
                    user_agent=environ.get("HTTP_USER_AGENT"),
                    ip=environ.get("REMOTE_ADDR"),
                    method=environ["REQUEST_METHOD"],
                )
            )
        except Unrecorded:
            return  # counted and logged by the intake; the client must not notice


def redirect_target(target: str) -> str:
    """The address as it goes into the Location header. Raises BadToken unless it is plain http or https."""
    if any(character <= " " or character == "\x7f" for character in target):
        raise BadToken
    try:
        parts = urlsplit(target)
        location = iri_to_uri(target)
    except ValueError as error:
        raise BadToken from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadToken
    return location


def _sentence(environ: dict[str, Any], start_response: StartResponse, status: str, text: str) -> Iterable[bytes]:
    headers = [("Content-Type", "text/plain; charset=utf-8"), _NO_STORE]
    if status.startswith("405"):
        headers.append(("Allow", "GET, HEAD"))
    return _answer(environ, start_response, status, headers, text.encode())


def _answer(
    environ: dict[str, Any], start_response: StartResponse, status: str, headers: list[tuple[str, str]], body: bytes
) -> Iterable[bytes]:
    start_response(status, [*headers, ("Content-Length", str(len(body))), ("X-Content-Type-Options", "nosniff")])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def install_hit_front(app: Flask) -> None:
    """Put the front before a Flask app: the same for the server, `flask run` and the test client."""
    intake = Intake(app.extensions["bellwether_config"].database_url)
    app.extensions["bellwether_intake"] = intake
    app.wsgi_app = HitFront(app.wsgi_app, app.extensions["bellwether_signer"], intake)  # type: ignore[method-assign]
