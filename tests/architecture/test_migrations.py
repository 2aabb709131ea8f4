"""The migrations: one line, both ways, and the same as the models."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import check, downgrade, upgrade
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError

from app import create_app
from app.clients.models import Client
from app.config import Config
from app.core.extensions import db, migrate
from app.core.queues import configure_celery

NAME = "bellwether_migrations"


@pytest.fixture
def empty_app(app: Flask, config: Config) -> Iterator[Flask]:
    """An app over a database of its own, without any table."""
    engine = create_engine(config.database_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {NAME}"))
        connection.execute(text(f"CREATE DATABASE {NAME} ENCODING 'UTF8' TEMPLATE template0"))
        address = make_url(config.database_url).set(database=NAME).render_as_string(hide_password=False)
        other = create_app(replace(config, database_url=address), web=False)
        with other.app_context():
            yield other
            db.session.remove()
            db.engine.dispose()
        configure_celery(app, config)
        connection.execute(text(f"DROP DATABASE {NAME}"))
    engine.dispose()


def shape(connection: Connection) -> dict[str, Any]:
    """Tables with their columns, indexes and constraints; nothing that only counts."""
    inspector = inspect(connection)
    return {
        table: {
            "columns": [(column["name"], str(column["type"]), column["nullable"]) for column in columns],
            "indexes": sorted(str(index["name"]) for index in inspector.get_indexes(table)),
            "checks": sorted(str(check["name"]) for check in inspector.get_check_constraints(table)),
            "foreign keys": sorted(str(key["name"]) for key in inspector.get_foreign_keys(table)),
        }
        for (_, table), columns in inspector.get_multi_columns().items()
        if table != "alembic_version"
    }


def leftovers(connection: Connection) -> list[str]:
    """Relations, functions, types and sequences that are still there, but for the version table."""
    return list(
        connection.scalars(
            text(
                """
                SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
                    AND relname NOT LIKE 'alembic_version%'
                UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
                    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
                UNION ALL SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
                    AND typtype IN ('e', 'd')
                """
            )
        )
    )


def test_there_is_one_head(app: Flask) -> None:
    assert len(ScriptDirectory(migrate.directory).get_heads()) == 1


def test_up_down_and_up_again_ends_where_it_began(empty_app: Flask) -> None:
    upgrade()
    with db.engine.connect() as connection:
        first = shape(connection)
    assert "client" in first
    downgrade(revision="base")
    with db.engine.connect() as connection:
        assert leftovers(connection) == []
    upgrade()
    with db.engine.connect() as connection:
        assert shape(connection) == first
        (head,) = ScriptDirectory(migrate.directory).get_heads()
        assert MigrationContext.configure(connection).get_current_revision() == head


def test_models_and_migrations_agree(empty_app: Flask) -> None:
    upgrade()
    check()  # ends the process where a migration is missing


def test_columns_of_the_client_table_stand_in_the_order_of_its_model(app: Flask) -> None:
    columns = [column["name"] for column in inspect(db.engine).get_columns("client")]
    assert columns == [column.name for column in Client.__table__.columns]


def test_rewriting_the_client_table_keeps_its_rows_and_what_refers_to_them(empty_app: Flask) -> None:
    upgrade(revision="0012")
    with db.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO client (number, branch_id, tags, number_02, list_01) "
                "SELECT 'C1', id, '{fair}', 1.5, '{funds,bonds}' FROM branch"
            )
        )
        connection.execute(
            text(
                "INSERT INTO consent (client_id, channel, purpose, granted, source) "
                "SELECT id, 'email', 'marketing', true, 'test' FROM client"
            )
        )
        row = "SELECT to_jsonb(client) FROM client"
        before, first = connection.scalar(text(row)), shape(connection)
    upgrade(revision="0013")
    with db.engine.begin() as connection:
        assert connection.scalar(text(row)) == before
        after = shape(connection)
        after["client"]["columns"].sort()
        first["client"]["columns"].sort()
        assert after == first
        connection.execute(text("INSERT INTO client (number, branch_id) SELECT 'C2', id FROM branch"))
        assert connection.scalars(text("SELECT id FROM client ORDER BY number")).all() == [
            before["id"],
            before["id"] + 1,
        ]
    with pytest.raises(IntegrityError), db.engine.begin() as connection:
        connection.execute(text("DELETE FROM client WHERE number = 'C1'"))  # the consent refers to it


def test_changes_of_facts_keep_their_reason_down_and_up(empty_app: Flask) -> None:
    """A flag is set with a reason, and two facts are changed at once."""
    upgrade(revision="0012")
    with db.engine.begin() as connection:
        connection.execute(text("INSERT INTO client (number, branch_id) SELECT 'C1', id FROM branch"))
        connection.execute(
            text(
                "INSERT INTO client_change (client_id, source, reason, changes) "
                "SELECT id, 'page', 'Asked on the phone', jsonb_build_object('flags', '[null, \"minor\"]'::jsonb) "
                "FROM client UNION ALL "
                'SELECT id, \'page\', NULL, \'{"city": ["Ulm", "Bonn"], "name": [null, "Ana"]}\'::jsonb FROM client'
            )
        )
    downgrade(revision="0011")
    upgrade(revision="0012")
    with db.engine.begin() as connection:
        rows = connection.execute(text("SELECT reason, changes FROM client_change ORDER BY id")).all()
    assert [tuple(row) for row in rows] == [
        ("Asked on the phone", {"flags": [None, "minor"]}),
        (None, {"city": ["Ulm", "Bonn"]}),
        (None, {"name": [None, "Ana"]}),
    ]
