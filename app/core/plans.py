"""How PostgreSQL would read a query."""

from typing import Any

from sqlalchemy import ClauseElement, Executable, Select
from sqlalchemy.ext.compiler import compiles

from app.core.extensions import db


class _Explain(Executable, ClauseElement):
    """EXPLAIN of a query, with the query's own parameters."""

    inherit_cache = False

    def __init__(self, query: Select[*tuple[Any, ...]], how: str) -> None:
        self.query = query
        self.how = how


@compiles(_Explain)
def _compile_explain(element: _Explain, compiler: Any, **options: Any) -> str:
    return f"EXPLAIN ({element.how}) {compiler.process(element.query, **options)}"


def estimated_rows(query: Select[*tuple[Any, ...]]) -> int:
    """How many rows PostgreSQL expects of a query, by its statistics; the query is not run."""
    plan = db.session.execute(_Explain(query, "FORMAT JSON")).scalar_one()
    return int(plan[0]["Plan"]["Plan Rows"])


def plan_lines(query: Select[*tuple[Any, ...]], *, analyze: bool) -> list[str]:
    """The plan as PostgreSQL prints it; with `analyze` the query is run and each step timed."""
    how = "ANALYZE, BUFFERS" if analyze else "COSTS"
    return list(db.session.scalars(_Explain(query, how)))
