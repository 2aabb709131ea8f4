"""Bellwether: campaigns for securities firms and banks, with a response you can trust."""

from flask import Flask

from app.config import Config, ConfigError, load_config
from app.wiring import wire


def create_app(config: Config | None = None, *, web: bool = True) -> Flask:
    """The Flask app. `web=False` leaves the pages out, for workers and their memory.

    Raises ConfigError where a setting is missing or malformed.
    """
    app = Flask(__name__)
    wire(app, config or load_config(), web=web)
    return app


def start(*, web: bool = True) -> Flask:
    """`create_app` for the top of a process: a bad setting ends it with one sentence instead of a traceback."""
    try:
        return create_app(web=web)
    except ConfigError as error:
        raise SystemExit(f"Bellwether cannot start. {error}") from None
