"""Logs: constant text and ids, one JSON line an event; never who or where to."""

import json
import logging
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
import structlog
from flask import Flask

from app.config import Config
from app.core.extensions import links
from app.core.logs import configure_logging
from app.core.permissions import public
from tests.factories.users import PASSWORD, make_user

EMAIL = "maria.lopez@firm.example"


@pytest.fixture
def lines(config: Config, other_app: Callable[..., Flask]) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Everything that is logged from now on; calling it gives the lines so far."""
    other_app(log_level="DEBUG", log_format="json")
    handler, written = logging.getLogger().handlers[0], StringIO()
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    configure_logging(config)
    structlog.contextvars.clear_contextvars()


def test_ours_and_the_librarys_words_are_json_lines(lines: Callable[[], list[dict[str, Any]]]) -> None:
    structlog.get_logger("test").info("batch_freed", batch=7)
    logging.getLogger("library").warning("slow %s", "query")
    ours, theirs = lines()
    assert (ours["event"], ours["batch"], ours["level"]) == ("batch_freed", 7, "info")
    assert ours["timestamp"].endswith("Z")
    assert (theirs["event"], theirs["level"]) == ("slow query", "warning")


def test_what_a_request_logs_names_the_endpoint_and_nobody(
    app: Flask, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    make_user(email=EMAIL)
    token = links().unsubscribe(1).rpartition("/")[2]
    client = app.test_client()
    client.post("/sign-in", data={"email": EMAIL, "password": "wrong"})
    client.post("/sign-in", data={"email": EMAIL, "password": PASSWORD})
    client.get(f"/u/{token}?email={EMAIL}")
    client.get(f"/clients?q={EMAIL}")
    client.get(f"/o/{token}.gif")
    structlog.get_logger("test").info("marker")
    logged = lines()
    assert logged[-1]["event"] == "marker"
    text = json.dumps(logged)
    for secret in (EMAIL, "maria.lopez", token, PASSWORD, "wrong"):
        assert secret not in text


@pytest.fixture
def crashing(other_app: Callable[..., Flask]) -> Flask:
    other = other_app()

    def crash() -> None:
        raise RuntimeError("no reason")

    other.add_url_rule("/crash", "crash", public(crash))
    return other


def test_an_unexpected_error_is_logged_with_its_endpoint(
    crashing: Flask, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    assert crashing.test_client().get("/crash?email=x@example.com").status_code == 500
    (line,) = (line for line in lines() if line["event"] == "unexpected_error")
    assert (line["endpoint"], line["method"], line["error"]) == ("crash", "GET", "RuntimeError")
    assert "RuntimeError: no reason" in line["exception"]
    assert "x@example.com" not in json.dumps(line)
