"""What the tests of the foundation share."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from redis import Redis

from app import create_app
from app.config import Config
from app.core.extensions import db
from app.core.queues import configure_celery


@pytest.fixture
def broker(config: Config) -> Iterator[Redis]:
    """The real broker, empty."""
    with Redis.from_url(config.broker_url) as connection:
        connection.flushdb()
        yield connection
        connection.flushdb()


@pytest.fixture
def other_app(app: Flask, config: Config) -> Iterator[Callable[..., Flask]]:
    """Makes an app with other settings; tasks stay with the app of the tests."""
    made: list[Flask] = []

    def make(**changes: Any) -> Flask:
        other = create_app(replace(config, **changes))
        other.config.update(WTF_CSRF_ENABLED=False)
        made.append(other)
        return other

    yield make
    configure_celery(app, config)
    for other in made:
        with other.app_context():
            db.engine.dispose()
