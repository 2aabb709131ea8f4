"""Keyset paging of lists whose newest entry comes first: as quick on the last page as on the first."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select

from app.core.extensions import db


@dataclass(frozen=True, slots=True)
class Page:
    """Rows by falling id, and the ids to go on from (None: there is nothing that way)."""

    rows: list[Row[*tuple[Any, ...]]]
    newer: int | None
    older: int | None


def newest_first(
    query: Select[*tuple[Any, ...]],
    key: ColumnElement[int],
    *,
    newer_than: int | None,
    older_than: int | None,
    size: int = 50,
) -> Page:
    """One page of a query that selects `key` as a column named id."""
    backwards = newer_than is not None
    if newer_than is not None:
        query = query.where(key > newer_than).order_by(key.asc())
    else:
        query = query.order_by(key.desc())
        if older_than is not None:
            query = query.where(key < older_than)
    found = list(db.session.execute(query.limit(size + 1)).all())
    more, rows = len(found) > size, found[:size]
    if backwards:
        rows.reverse()
    if not rows:
        return Page([], None, None)
    has_newer = more if backwards else older_than is not None
    has_older = backwards or more
    return Page(rows, rows[0].id if has_newer else None, rows[-1].id if has_older else None)
