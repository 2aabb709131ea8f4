"""How a segment changes: counted every night, kept as a set of client ids, so that "who joined, who left since" is
the difference of two sets.

Every day's size is kept for good. Its set (an eighth of a byte to two bytes a member) is kept for DAYS_KEPT days, and
that of the first day counted in each month for MONTHS_KEPT months.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import structlog
from psycopg.errors import QueryCanceled
from pyroaring import BitMap64
from sqlalchemy import Select, and_, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import OperationalError

from app.audiences.fields import load_catalogue
from app.audiences.models import Segment, SegmentDay
from app.audiences.queries import understood
from app.audiences.snapshots import rule_ids
from app.core.clock import now, today
from app.core.extensions import db

DAYS_KEPT = 35
MONTHS_KEPT = 13
NIGHTLY_LIMIT_MS = 60_000

log = structlog.get_logger(__name__)


def uncounted_segments(on_date: date, *, limit: int) -> Sequence[Segment]:
    """Segments in use that have no count of this day yet, those longest without one first."""
    counted = select(SegmentDay.segment_id).where(SegmentDay.on_date == on_date)
    last = (
        select(func.max(SegmentDay.on_date))
        .where(SegmentDay.segment_id == Segment.id)
        .correlate(Segment)
        .scalar_subquery()
    )
    return db.session.scalars(
        select(Segment)
        .where(Segment.archived_at.is_(None), Segment.id.not_in(counted))
        .order_by(last.asc().nulls_first(), Segment.id)
        .limit(limit)
    ).all()


def record_day(*, segment: Segment, on_date: date) -> int | None:
    """Count a segment in the whole book and keep who is in it; a second time on a day replaces the first.

    Returns the size; None where the rule names a field that is gone, or counting takes longer than a minute.
    """
    ids = _countable(segment, on_date)
    size, bitmap = (None, None) if ids is None else (len(ids), ids.serialize())
    values = {"version": segment.version, "size": size, "bitmap": bitmap, "counted_at": now()}
    db.session.execute(
        upsert(SegmentDay)
        .values(segment_id=segment.id, on_date=on_date, **values)
        .on_conflict_do_update(index_elements=[SegmentDay.segment_id, SegmentDay.on_date], set_=values)
    )
    if size is not None:
        segment.last_count, segment.last_counted_at = size, now()
    return size


def _countable(segment: Segment, on_date: date) -> BitMap64 | None:
    catalogue = load_catalogue()
    rule = understood(segment, catalogue)
    if rule is None:
        return None
    try:
        # A savepoint: one segment that is given up must not undo those counted before it.
        with db.session.begin_nested():
            db.session.execute(text(f"SET LOCAL statement_timeout = {NIGHTLY_LIMIT_MS}"))
            return rule_ids(rule, catalogue=catalogue, today=on_date)
    except OperationalError as error:
        if not isinstance(error.orig, QueryCanceled):
            raise
        log.warning("segment_not_counted", segment=segment.id)
        return None


def forget_old_sets(on_date: date) -> int:
    """Drop the sets that are too old to be asked for; the sizes stay. Returns how many."""
    oldest = on_date - timedelta(days=DAYS_KEPT)
    first_of_month = (
        select(SegmentDay.segment_id, func.min(SegmentDay.on_date).label("on_date"))
        .group_by(SegmentDay.segment_id, func.date_trunc("month", SegmentDay.on_date))
        .subquery()
    )
    kept = select(first_of_month.c.segment_id).where(
        first_of_month.c.segment_id == SegmentDay.segment_id,
        first_of_month.c.on_date == SegmentDay.on_date,
        SegmentDay.on_date > on_date - timedelta(days=31 * MONTHS_KEPT),
    )
    dropped = db.session.execute(
        update(SegmentDay)
        .where(SegmentDay.bitmap.is_not(None), and_(SegmentDay.on_date < oldest, ~kept.exists()))
        .values(bitmap=None)
        .execution_options(synchronize_session=False)
    )
    return int(dropped.rowcount)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Change:
    """Who joined and who left a segment between a day and the newest count. `rule_changed`: not by themselves alone."""

    since: date
    until: date
    before: BitMap64
    after: BitMap64
    rule_changed: bool

    @property
    def joined(self) -> BitMap64:
        return self.after - self.before

    @property
    def left(self) -> BitMap64:
        return self.before - self.after

    def seen_by(self, sight: Callable[[BitMap64], BitMap64]) -> "Change":
        """The same among the clients somebody may see (`overlap.sight_of`)."""
        return Change(self.since, self.until, sight(self.before), sight(self.after), self.rule_changed)


def growth(segment_id: int, *, days: int = 400) -> Sequence[tuple[date, int]]:
    """Day and size of each count, oldest first."""
    rows = db.session.execute(
        select(SegmentDay.on_date, SegmentDay.size)
        .where(
            SegmentDay.segment_id == segment_id,
            SegmentDay.size.is_not(None),
            SegmentDay.on_date > today() - timedelta(days=days),
        )
        .order_by(SegmentDay.on_date)
    )
    return [(row.on_date, row.size) for row in rows]


def newest_day(segment_id: int) -> SegmentDay | None:
    """The last count with its set."""
    return db.session.scalar(_with_sets(segment_id).order_by(SegmentDay.on_date.desc()).limit(1))


def days_with_sets(segment_id: int) -> Sequence[date]:
    """The days one may compare with, newest first."""
    query = (
        select(SegmentDay.on_date)
        .where(SegmentDay.segment_id == segment_id, SegmentDay.bitmap.is_not(None))
        .order_by(SegmentDay.on_date.desc())
    )
    return db.session.scalars(query).all()


def change_since(segment_id: int, since: date) -> Change | None:
    """From the last count at or before `since` (else the first there is) to the newest. None with fewer than two."""
    newest = newest_day(segment_id)
    if newest is None:
        return None
    earlier = _with_sets(segment_id).where(SegmentDay.on_date < newest.on_date)
    then = db.session.scalar(
        earlier.where(SegmentDay.on_date <= since).order_by(SegmentDay.on_date.desc()).limit(1)
    ) or db.session.scalar(earlier.order_by(SegmentDay.on_date).limit(1))
    if then is None:
        return None
    return Change(
        since=then.on_date,
        until=newest.on_date,
        before=then.client_ids or BitMap64(),
        after=newest.client_ids or BitMap64(),
        rule_changed=then.version != newest.version,
    )


def _with_sets(segment_id: int) -> Select[SegmentDay]:
    return select(SegmentDay).where(SegmentDay.segment_id == segment_id, SegmentDay.bitmap.is_not(None))
