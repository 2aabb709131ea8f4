"""Runs migrations over the app's own engine, in one transaction each."""

import re

from alembic import context
from flask import current_app

import app.models  # noqa: F401  every table must be known
from app.core.extensions import Base, db

PARTITION = re.compile(r"(event|balance|transaction)_(\d{6}|default)$")


def include_object(item, name, kind, reflected, compare_to):
    """Leave the monthly partitions alone: they are made at run time, not by models."""
    if kind == "table" and reflected and PARTITION.match(name):
        return False
    return not (kind == "index" and reflected and PARTITION.match(item.table.name))


def run() -> None:
    connection = context.config.attributes.get("connection")
    if connection is not None:
        _run(connection)
        return
    with current_app.app_context(), db.engine.connect() as connection:
        _run(connection)


def _run(connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_object=include_object,
        compare_type=True,
        compare_server_default=False,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
