"""Segments of somebody who leaves, and segments as a way to choose clients who change hands."""

from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, func, select, update

from app.audiences.compiler import condition
from app.audiences.fields import load_catalogue
from app.audiences.models import Segment
from app.audiences.queries import understood
from app.clients.ownership.handing_over import Belongings, Selection
from app.clients.queries import visible_clients
from app.core.errors import NotFound
from app.core.extensions import db
from app.core.permissions import Permission, allows
from app.users.models import User


def _owned(user_id: int) -> ColumnElement[bool]:
    return (Segment.owner_id == user_id) & Segment.archived_at.is_(None)


def segments_owned(user_id: int) -> int:
    """How many segments in use somebody owns."""
    return db.session.scalar(select(func.count()).select_from(Segment).where(_owned(user_id))) or 0


def pass_on_segments(leaver: User, successor: User, actor: User) -> int:
    """Give the segments of a leaver to a successor. Returns how many; audited by the caller as one act."""
    changed = db.session.execute(
        update(Segment)
        .where(_owned(leaver.id))
        .values(owner_id=successor.id)
        .returning(Segment.id)
        .execution_options(synchronize_session=False)
    ).all()
    db.session.expire_all()
    return len(changed)


def segment_choices(user: User) -> list[tuple[int, str]]:
    """The segments that a person may choose clients by."""
    if not allows(user, Permission.VIEW_SEGMENTS):
        return []
    rows = db.session.execute(
        select(Segment.id, Segment.name).where(Segment.archived_at.is_(None)).order_by(func.lower(Segment.name))
    )
    return [(segment_id, name) for segment_id, name in rows]


def segment_clients(segment_id: int, user: User) -> ColumnElement[bool]:
    """For WHERE on client: the members of the segment. NotFound where it is gone or its rule asks for what is gone."""
    segment = db.session.get(Segment, segment_id) if allows(user, Permission.VIEW_SEGMENTS) else None
    rule = understood(segment, load_catalogue()) if segment is not None and segment.archived_at is None else None
    if rule is None:
        raise NotFound
    return condition(rule, scope=visible_clients(user))


SEGMENTS = Belongings("segments", _l("Segments"), Permission.EDIT_SEGMENTS, segments_owned, pass_on_segments)
BY_SEGMENT = Selection("segment", _l("The clients of a segment"), segment_choices, segment_clients)
