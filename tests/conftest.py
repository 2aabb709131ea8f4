"""The real PostgreSQL and the real Valkey for every test, in folders and on ports of their own.

Each test process starts one PostgreSQL and one Valkey and migrates once; after each test, the tables it may have
written to are emptied.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import upgrade
from sqlalchemy import text

from app import create_app
from app.config import Config, load_config
from app.core.embedded import postgres, valkey
from app.core.extensions import db
from app.delivery import preparing

FAST_AND_FORGETFUL = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nshared_buffers = 128MB\n"
KEPT_TABLES = {"alembic_version"}


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, str]]:
    """Environment of a fresh PostgreSQL and Valkey, ended with the test process."""
    with tempfile.TemporaryDirectory(prefix="bellwether-test-") as folder, ExitStack() as stack:
        root = Path(folder)
        root.chmod(0o755)
        yield {
            "DATABASE_URL": stack.enter_context(postgres(root / "postgres", settings=FAST_AND_FORGETFUL)),
            "BROKER_URL": stack.enter_context(valkey(root / "valkey")),
            "VAR_DIR": str(root),
            "SECRET_KEY": "a secret that is long enough for the tests",
            "INBOUND_TOKEN": "inbound-token-of-the-tests",
            "BASE_URL": "http://localhost",
            "LOG_LEVEL": "ERROR",
        }


@pytest.fixture(scope="session")
def config(servers: dict[str, str]) -> Config:
    os.environ.update(servers)
    return load_config(servers)


class Browser(FlaskClient):
    """A browser without script. Each request has an application context of its own, as on the real server.

    Sharing the test's own would keep the person signed in, the language and the rows of the request before.
    """

    def open(self, *args: Any, **kwargs: Any) -> Any:
        with self.application.app_context():
            return super().open(*args, **kwargs)


@pytest.fixture(scope="session")
def migrated_app(config: Config) -> Flask:
    app = create_app(config)
    app.test_client_class = Browser
    app.config.update(TESTING=True, WTF_CSRF_ENABLED=False, SERVER_NAME=None)
    with app.app_context():
        upgrade()
    return app


@pytest.fixture
def app(migrated_app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """The app inside an application context over an empty, migrated database (the head office exists).

    What senders know of a step is read each time: tests change in a moment what takes people longer than it is kept.
    """
    monkeypatch.setattr(preparing, "LASTS", timedelta())
    with migrated_app.app_context():
        yield migrated_app
        db.session.rollback()
        db.session.remove()
        _empty_tables()


_MONTHS = text(
    "SELECT string_agg(inhrelid::regclass::text, ', ') FROM pg_inherits "
    "WHERE inhparent IN ('balance'::regclass, 'transaction'::regclass)"
)


# Deleting from the few tables that a test filled takes a fraction of the time of truncating all of them, which makes
# new files for each table and index; but what it leaves behind has to stay small.
_EMPTY = """
DO $$
DECLARE
    one regclass;
    filled boolean;
BEGIN
    IF EXISTS (SELECT FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
                                      AND pg_relation_size(oid) > 4 * 1024 * 1024) THEN
        EXECUTE (SELECT 'TRUNCATE ' || string_agg(oid::regclass::text, ', ') || ' RESTART IDENTITY' FROM pg_class
                 WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
                   AND relname NOT IN ('alembic_version', 'branch'));
        RETURN;
    END IF;
    SET LOCAL session_replication_role = replica;  -- neither foreign keys nor triggers are asked: everything goes
    FOR one IN SELECT oid FROM pg_class
               WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_relation_size(oid) > 0
                 AND relname NOT IN ('alembic_version', 'branch')
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', one) INTO filled;
        IF filled THEN
            EXECUTE format('DELETE FROM %s', one);
        END IF;
    END LOOP;
    PERFORM setval(format('%I', sequencename)::regclass, start_value, false) FROM pg_sequences
        WHERE schemaname = 'public' AND last_value IS NOT NULL AND sequencename <> 'branch_id_seq';
END $$
"""


def _empty_tables() -> None:
    with db.engine.begin() as connection:
        # Months that one test made would be emptied after every later one.
        if months := connection.scalar(_MONTHS):
            connection.execute(text(f"DROP TABLE {months}"))
        connection.exec_driver_sql(_EMPTY.replace("%", "%%"))
        connection.execute(text("DELETE FROM branch WHERE code <> 'HO'"))


@pytest.fixture
def browser_client(app: Flask) -> FlaskClient:
    """A test client: a browser without script."""
    return app.test_client()


# A busy machine must not fail a property.
hypothesis.settings.register_profile("no time limit", deadline=None)
hypothesis.settings.load_profile("no time limit")

LONGEST_FIRST = ("tests/e2e/", "tests/architecture/test_access")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, so that no worker has one of them left when the others are done."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST_FIRST))
