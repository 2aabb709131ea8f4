"""Classes of many clients at once: what differs from last time is written, and every move is kept.

A run takes the whole book in chunks, each in a transaction of its own, with cut points found once before. A run whose
worker died goes on after its last chunk.
"""

from collections.abc import Callable, Collection
from datetime import date
from typing import Any

import structlog
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    Text,
    and_,
    cast,
    func,
    literal,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, array
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.sql.dml import Insert

from app.clients.classes.classifying import CutPoints, classes, find_cut_points, scores
from app.clients.classes.models import MODELS, ClassChange, ClassRun, ClientClass, ModelVersion
from app.clients.classes.parsing import dump_parameters
from app.clients.classes.presets import first_preset
from app.clients.classes.versions import all_parameters
from app.clients.models import Client
from app.core import clock
from app.core.asides import put_aside
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work

CHUNK = 100_000  # clients: a second or two, so that a lease is renewed in time
KEPT = (*MODELS, "contribution", "stability", "score", "potential")

log = structlog.get_logger(__name__)

# Which clients, as a condition on their id wherever it stands.
Chosen = Callable[[ColumnElement[int]], ColumnElement[bool]]


def ensure_versions() -> dict[str, int]:
    """The id of the active version of every model; one that has none yet gets what the market profile begins with."""
    active = _active_versions()
    if len(active) < len(MODELS):
        rows = [
            {
                "model": model,
                "number": 1,
                "state": "active",
                "parameters": dump_parameters(first_preset(model)),
                "activated_at": clock.now(),
            }
            for model in MODELS
            if model not in active
        ]
        db.session.execute(upsert(ModelVersion).values(rows).on_conflict_do_nothing())
        active = _active_versions()
    return active


def _active_versions() -> dict[str, int]:
    rows = db.session.execute(select(ModelVersion.model, ModelVersion.id).where(ModelVersion.state == "active"))
    return {row.model: row.id for row in rows}


def compute_all(progress: Callable[..., None] = lambda **_: None) -> ClassRun | None:
    """Compute the classes of the whole book, or go on where today's run stopped.

    `progress(done=, total=)` is called in each chunk's transaction. None where a newer version was activated
    meanwhile: its own run does the work.
    """
    with unit_of_work():
        run = _open_run()
        run_id, versions = run.id, run.versions
        last = db.session.scalar(select(func.max(Client.id))) or 0
        parameters, cut_points, today = all_parameters(), CutPoints(**run.cut_points), run.on_date
    while True:
        with unit_of_work():
            run = db.session.get_one(ClassRun, run_id, with_for_update=True)
            if _active_versions() != versions:
                log.info("class_run_superseded", run=run_id)
                return None
            if run.done_up_to >= last:
                run.finished_at = run.finished_at or clock.now()
                break
            first, end = run.done_up_to + 1, min(run.done_up_to + CHUNK, last)
            written, moves = _write(parameters, cut_points, versions, today, _between(first, end))
            run.done_up_to, run.written, run.moves = end, run.written + written, run.moves + moves
            progress(done=end, total=last)
    log.info("classes_computed", run=run_id, written=run.written, moves=run.moves)
    return run


def _open_run() -> ClassRun:
    """Today's unfinished run with the same versions, or a new one with fresh cut points."""
    versions, today = ensure_versions(), clock.today()
    run = db.session.scalar(
        select(ClassRun)
        .where(ClassRun.on_date == today, ClassRun.finished_at.is_(None), ClassRun.versions == versions)
        .order_by(ClassRun.id.desc())
        .limit(1)
    )
    if run is None:
        cut_points = find_cut_points(all_parameters(), today)
        run = ClassRun(on_date=today, versions=versions, cut_points=cut_points.as_json())
        db.session.add(run)
        db.session.flush()
    return run


def classify(*, client_ids: Collection[int]) -> int:
    """Compute the classes of these clients anew, in the current transaction, with the cut points of the last run.

    Returns how many rows changed; 0 where no run has finished since the active versions are in force, for then a run
    of the whole book is on its way.
    """
    run = db.session.scalar(
        select(ClassRun).where(ClassRun.finished_at.is_not(None)).order_by(ClassRun.id.desc()).limit(1)
    )
    versions = _active_versions()
    if run is None or run.versions != versions or not client_ids:
        return 0
    ids = literal(sorted(set(client_ids)), ARRAY(BigInteger))

    def chosen(client_id: ColumnElement[int]) -> ColumnElement[bool]:
        return client_id == func.any(ids)

    return _write(
        all_parameters(),
        CutPoints(**run.cut_points),
        versions,
        clock.today(),
        lambda client_id: client_id == func.any(ids),
    )[0]


def _between(first: int, end: int) -> Chosen:
    return lambda client_id: client_id.between(first, end)


def _write(
    parameters: Any, cut_points: CutPoints, versions: dict[str, int], today: date, chosen: Chosen
) -> tuple[int, int]:
    """Write the rows that differ and the moves between classes; (rows, moves).

    A client's first classes are no move. One writer at a time: two would note the same move twice. What differs is
    put aside first, for PostgreSQL computes with several processes only where the same statement does not write.
    """
    db.session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('client classes', 0))"))
    fresh = classes(scores(parameters, today, chosen(Client.id.expression)), parameters, cut_points, today).subquery(
        "fresh"
    )
    old = ClientClass.__table__.alias("old")
    differs = [old.c[name].is_distinct_from(fresh.c[name]) for name in KEPT]
    differing = put_aside(
        "differing_classes",
        select(
            *(fresh.c[name] for name in ("client_id", *KEPT)),
            *(old.c[model].label(f"was_{model}") for model in MODELS),
            old.c.client_id.label("known"),
        )
        .select_from(fresh)
        .outerjoin(old, and_(old.c.client_id == fresh.c.client_id, chosen(old.c.client_id)))
        .where(or_(old.c.client_id.is_(None), *differs)),
    )
    names = ["client_id", *KEPT]
    insert = upsert(ClientClass).from_select(
        [*names, "computed_at"], select(*(differing.c[name] for name in names), func.now())
    )
    written = (
        insert.on_conflict_do_update(
            index_elements=["client_id"],
            set_={name: insert.excluded[name] for name in (*KEPT, "computed_at")},
        )
        .returning(ClientClass.client_id)
        .cte("written")
    )
    moves = _moves(differing, versions, today).returning(ClassChange.id).cte("moves")
    counts = db.session.execute(
        select(
            select(func.count()).select_from(written).scalar_subquery(),
            select(func.count()).select_from(moves).scalar_subquery(),
        )
    ).one()
    db.session.execute(text("DROP TABLE differing_classes"))
    return int(counts[0]), int(counts[1])


def _moves(differing: Any, versions: dict[str, int], today: date) -> Insert:
    each = (
        func.unnest(
            array([literal(model) for model in MODELS]),
            array([cast(differing.c[f"was_{model}"], Text) for model in MODELS]),
            array([cast(differing.c[model], Text) for model in MODELS]),
            array([literal(versions[model], BigInteger) for model in MODELS]),
        )
        .table_valued("model", "was", "is_now", "version_id", name="each")
        .render_derived()
    )
    return upsert(ClassChange).from_select(
        ["client_id", "model", "was", "is_now", "on_date", "version_id"],
        select(differing.c.client_id, each.c.model, each.c.was, each.c.is_now, literal(today, Date), each.c.version_id)
        .select_from(differing)
        .join(each, literal(True))
        .where(and_(differing.c.known.is_not(None), each.c.was.is_distinct_from(each.c.is_now))),
    )
