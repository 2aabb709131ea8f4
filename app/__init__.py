"""Bellwether: campaigns for securities firms and banks, with a response you can trust."""

from flask import Flask

from app.config import Config, load_config
from app.wiring import wire


def create_app(config: Config | None = None, *, web: bool = True) -> Flask:
    """The Flask app. `web=False` leaves the pages out, for workers and their memory.

    Raises ConfigError where a setting is missing or malformed.
    """
    app = Flask(__name__)
    wire(app, config or load_config(), web=web)
    return app
