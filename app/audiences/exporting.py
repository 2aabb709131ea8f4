"""Segments and frozen audiences as sets of clients to export."""

from sqlalchemy import BigInteger, ColumnElement, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from app.audiences.compiler import condition
from app.audiences.overlap import find_snapshot
from app.audiences.queries import find_segment
from app.clients.exporting.sources import Source, register_source
from app.clients.models import Client
from app.clients.queries import visible_clients
from app.users.models import User


def register_sources() -> None:
    """Make both exportable; called by the web process and by the worker that writes files."""
    register_source("segment", Source(name=lambda number: find_segment(number).name, where=_in_segment))
    register_source("snapshot", Source(name=lambda number: find_snapshot(number).name, where=_in_snapshot))


def _in_segment(segment_id: int, user: User) -> ColumnElement[bool]:
    return condition(find_segment(segment_id).rule, scope=visible_clients(user))


def _in_snapshot(snapshot_id: int, user: User) -> ColumnElement[bool]:
    ids = list(find_snapshot(snapshot_id).client_ids)
    return Client.id.in_(select(func.unnest(literal(ids, ARRAY(BigInteger)))))
