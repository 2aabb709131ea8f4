"""Which clients an export is of. Features that know sets of clients register a source here, in the wiring."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, true

from app.clients.exporting.models import ClientExport
from app.clients.listing import Filters, filter_conditions
from app.core.errors import NotFound
from app.users.models import User

CLIENT_LIST = "clients"


@dataclass(frozen=True, slots=True)
class Source:
    """`name(id)` is what the set is called, `where(id, user)` the condition over Client; both raise NotFound."""

    name: Callable[[int], str]
    where: Callable[[int, User], ColumnElement[bool]]


_sources: dict[str, Source] = {}


def register_source(key: str, source: Source) -> None:
    """Make exports of these sets possible. Needed in the web process and in the worker that writes files."""
    _sources[key] = source


def source_name(source: str, source_id: int | None) -> str | None:
    """What the set is called; None for the client list, which has no name. Raises NotFound."""
    return None if source == CLIENT_LIST else _source(source).name(source_id or 0)


def clients_of(*, source: str, source_id: int | None, filters: Mapping[str, Any], user: User) -> ColumnElement[bool]:
    """The condition over Client of an export's clients, not yet limited to what the user may see."""
    if source == CLIENT_LIST:
        known = {name: str(filters[name]) for name in Filters.__slots__ if filters.get(name)}
        return and_(true(), *filter_conditions(Filters(**known)))
    return _source(source).where(source_id or 0, user)


def clients_of_export(export: ClientExport) -> ColumnElement[bool]:
    return clients_of(
        source=export.source, source_id=export.source_id, filters=export.filters, user=export.requested_by
    )


def _source(key: str) -> Source:
    if key not in _sources:
        raise NotFound
    return _sources[key]
