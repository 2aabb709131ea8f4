"""The rows of a query put aside in a temporary table, for the statements that follow in the same transaction."""

from typing import Any

from sqlalchemy import ClauseElement, Executable, Select, TableClause, column, table
from sqlalchemy.ext.compiler import compiles

from app.core.extensions import db


class _CreateAside(Executable, ClauseElement):
    """CREATE TEMPORARY TABLE ... AS with the query's own parameters (SQLAlchemy's own construct writes them out)."""

    inherit_cache = False

    def __init__(self, name: str, query: Select[*tuple[Any, ...]]) -> None:
        self.name = name
        self.query = query


@compiles(_CreateAside)
def _compile_create(element: _CreateAside, compiler: Any, **options: Any) -> str:
    return f"CREATE TEMPORARY TABLE {element.name} ON COMMIT DROP AS {compiler.process(element.query, **options)}"


def put_aside(name: str, query: Select[*tuple[Any, ...]]) -> TableClause:
    """Run a query into a temporary table of this name, gone at the end of the transaction; the table.

    PostgreSQL answers a query with several processes at once here, but not inside a statement that writes.
    """
    db.session.execute(_CreateAside(name, query))
    return table(name, *(column(one.name, one.type) for one in query.selected_columns))
