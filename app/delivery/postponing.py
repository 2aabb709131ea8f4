"""Messages that have to wait move to a batch that is due later; their own batch goes on without them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from math import ceil
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, bindparam, func, insert, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from app.core.clock import now
from app.core.extensions import db
from app.delivery.models import Batch, MessageState, move

BATCH_SIZE = 1_000  # what a vendor takes in one request at most


def put_off(message_ids: Sequence[int], *, until: datetime, batch_id: int, attempts: int = 0) -> None:
    """Move messages that are planned or being handed over in this transaction to a batch due at `until`, planned.

    In the caller's transaction, which hands nothing over of them. Those that become due together share batches of up to
    500, so that waiting does not leave the ledger in crumbs. The tally of the batch they leave is the caller's.
    """
    put_off_each(dict.fromkeys(message_ids, until), batch_id=batch_id, attempts=attempts)


def put_off_each(until: Mapping[int, datetime], *, batch_id: int, attempts: int = 0) -> None:
    """As `put_off`, each message to a time of its own: so many statements, however many times there are."""
    due = {message_id: _rounded_up(moment) for message_id, moment in until.items()}
    slots = {
        due_at: list(ids)
        for due_at, ids in groupby(sorted(due, key=lambda message_id: (due[message_id], message_id)), due.__getitem__)
    }
    rooms: dict[datetime, tuple[int, int]] = {}
    origin = _origin(batch_id)
    wanted = [Batch.due_at.in_(slots), Batch.attempts == attempts, Batch.domain.is_(None)]
    for room in _rooms(origin, batch_id, *wanted):
        rooms[room.due_at] = (room.id, BATCH_SIZE - room.size)
    places: dict[int, int] = {}
    parts: list[tuple[datetime, list[int]]] = []
    for due_at, ids in slots.items():
        room_id, free = rooms.get(due_at, (0, 0))
        places.update(dict.fromkeys(ids[:free], room_id))
        parts += [(due_at, part) for part in _pieces(ids[free:])]
    facts = [{"due_at": due_at, "attempts": attempts} for due_at, _part in parts]
    for new_id, (_due_at, part) in zip(_new_batches(origin, facts), parts, strict=True):
        places.update(dict.fromkeys(part, new_id))
    _move(places)


def queue_for_domain(message_ids: Sequence[int], *, domain: str, rate: float, batch_id: int) -> None:
    """As `put_off`, to the end of the queue of a receiving domain that takes `rate` messages a second.

    The queue is a chain of batches, each due when those before it should be through. A worker takes from the first as
    much as the domain may get, lets it go and comes back to it: what waits further behind is not touched meanwhile.
    The caller holds the row of the domain's limit, so the end of the queue is the same for everybody.
    """
    origin, remaining = _origin(batch_id), list(message_ids)
    places: dict[int, int] = {}
    for room in _rooms(origin, batch_id, Batch.domain == domain):
        free = BATCH_SIZE - room.size
        places.update(dict.fromkeys(remaining[:free], room.id))
        remaining = remaining[free:]
    last = db.session.scalar(select(func.max(Batch.due_at)).where(Batch.domain == domain, Batch.state == "open"))
    first = now() + timedelta(seconds=1 / rate)
    if last is not None:
        first = max(first, last + timedelta(seconds=BATCH_SIZE / rate))
    parts = _pieces(remaining)
    facts = [
        {"due_at": first + timedelta(seconds=place * BATCH_SIZE / rate), "attempts": 0, "domain": domain}
        for place, _part in enumerate(parts)
    ]
    for new_id, part in zip(_new_batches(origin, facts), parts, strict=True):
        places.update(dict.fromkeys(part, new_id))
    _move(places)


def _origin(batch_id: int) -> dict[str, Any]:
    columns = (Batch.run_id, Batch.step_id, Batch.channel, Batch.variant)
    return dict(db.session.execute(select(*columns).where(Batch.id == batch_id)).one()._mapping)


def _rooms(origin: Mapping[str, Any], batch_id: int, *conditions: ColumnElement[bool]) -> Iterable[Any]:
    """Waiting batches of the same run, step and variant with free places, in which nothing was sent yet; locked."""
    return db.session.execute(
        select(Batch.id, Batch.size, Batch.due_at)
        .where(
            Batch.run_id == origin["run_id"],
            Batch.step_id == origin["step_id"],
            Batch.variant.is_not_distinct_from(origin["variant"]),
            Batch.state == "open",
            Batch.token.is_(None),
            Batch.content_id.is_(None),
            Batch.size < BATCH_SIZE,
            Batch.id != batch_id,
            *conditions,
        )
        .order_by(Batch.id)
        .with_for_update(skip_locked=True)
    ).all()


def _new_batches(origin: Mapping[str, Any], facts: Sequence[Mapping[str, Any]]) -> Sequence[int]:
    if not facts:
        return ()
    made = insert(Batch).returning(Batch.id, sort_by_parameter_order=True)
    return db.session.scalars(made, [{**origin, "size": 0, **fact} for fact in facts]).all()


def _pieces(ids: Sequence[int]) -> list[list[int]]:
    return [list(ids[start : start + BATCH_SIZE]) for start in range(0, len(ids), BATCH_SIZE)]


def _rounded_up(until: datetime) -> datetime:
    """To the next second, or where the wait is long to a minute or five, so that waiting messages share batches."""
    wait = until - now()
    step = 300 if wait > timedelta(hours=2) else 60 if wait > timedelta(minutes=10) else 1
    return datetime.fromtimestamp(ceil(until.timestamp() / step) * step, UTC)


_MOVE = text(
    """
    WITH moved AS (
        UPDATE message SET batch_id = place.batch_id, state = :planned
        FROM unnest(:ids, :batch_ids) AS place (id, batch_id)
        WHERE message.id = place.id AND message.state IN ('planned', 'handing')
        RETURNING place.batch_id
    ), counted AS (
        SELECT batch_id, count(*) AS messages FROM moved GROUP BY batch_id
    )
    UPDATE batch SET size = batch.size + counted.messages FROM counted WHERE batch.id = counted.batch_id
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)), bindparam("batch_ids", type_=ARRAY(BigInteger)))


def _move(places: Mapping[int, int]) -> None:
    """Messages to batches, by id."""
    if places:
        db.session.execute(
            _MOVE,
            {
                "ids": list(places),
                "batch_ids": list(places.values()),
                "planned": move(MessageState.HANDING, MessageState.PLANNED),
            },
        )
