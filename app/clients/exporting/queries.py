"""Reads about exports: one's own, and those that wait for one's decision."""

from collections.abc import Sequence

from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from app.clients.exporting.models import ClientExport
from app.core.errors import NotFound
from app.core.extensions import db
from app.core.paging import Page, newest_first
from app.core.permissions import Permission, allows
from app.users.models import User
from app.users.queries import contains

STATE_LABELS = {
    "asked": _l("Waits for a second person"),
    "writing": _l("Being written"),
    "ready": _l("Ready"),
    "refused": _l("Refused"),
    "failed": _l("Failed"),
    "expired": _l("Expired"),
}


def own_exports(user: User, *, newer: int | None, older: int | None) -> Page:
    """What a person asked for, newest first, 50 a page; each row has the `ClientExport`."""
    query = select(ClientExport.id, ClientExport).where(ClientExport.requested_by_id == user.id)
    return newest_first(query, ClientExport.id.expression, newer_than=newer, older_than=older)


def waiting_exports(user: User) -> Sequence[ClientExport]:
    """Those that a person may decide about: asked by somebody else in their part of the firm, oldest first."""
    if not allows(user, Permission.ALLOW_EXPORTS):
        return []
    found = db.session.scalars(
        select(ClientExport)
        .options(joinedload(ClientExport.requested_by).joinedload(User.branch))
        .where(ClientExport.state == "asked", ClientExport.requested_by_id != user.id)
        .order_by(ClientExport.id)
        .limit(200)
    )
    return [export for export in found if contains(user.branch, export.requested_by.branch)]


def own_export(export_id: int, *, user: User) -> ClientExport:
    """One of the person's own; else NotFound."""
    found = db.session.get(ClientExport, export_id)
    if found is None or found.requested_by_id != user.id:
        raise NotFound
    return found


def waiting_export(export_id: int, *, user: User) -> ClientExport:
    """One that the person may decide about, in any state; else NotFound."""
    found = db.session.get(ClientExport, export_id)
    if found is None or not contains(user.branch, found.requested_by.branch):
        raise NotFound
    return found
